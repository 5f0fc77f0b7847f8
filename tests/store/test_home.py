"""The home on disk: made whole or not at all, locks that die with their owner, no network file system."""

import contextlib
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from ihobs.errors import NotFoundError, StoreRefusedError, StoreUnavailableError
from ihobs.store.home import Home, refuse_network_file_system


def test_a_missing_home_is_not_made_unless_asked_for(tmp_path):
    with pytest.raises(NotFoundError) as caught:
        Home.open(tmp_path / "none")
    assert (caught.value.what, caught.value.name) == ("home", str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_a_new_home_is_closed_to_others_and_names_its_generation(tmp_path):
    home = Home.open(tmp_path / "deep" / "home", create=True)

    assert home.generation() == "g0001"
    assert home.database("state") == home.path / "data" / "g0001" / "state.db"
    assert home.path.stat().st_mode & 0o077 == 0


def test_a_home_opened_by_many_at_once_is_made_once(tmp_path):
    paths = []
    threads = [
        threading.Thread(target=lambda: paths.append(Home.open(tmp_path / "home", create=True).generation()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths == ["g0001"] * 8


def test_a_half_made_home_is_finished(tmp_path):
    home = Home.open(tmp_path / "home", create=True)
    (home.path / "CURRENT").unlink()  # as when the power failed before the last step

    assert Home.open(home.path, create=True).generation() == "g0001"


def test_a_file_in_the_place_of_the_home_is_an_error_that_says_so(tmp_path):
    (tmp_path / "home").write_text("not a folder")
    with pytest.raises(StoreUnavailableError) as caught:
        Home.open(tmp_path / "home", create=True)
    assert caught.value.path == str(tmp_path / "home")


def test_a_home_that_went_away_says_so(home):
    shutil.rmtree(home.path)
    with pytest.raises(StoreUnavailableError) as caught:
        home.generation()
    assert caught.value.reason == "the home is gone"


def test_current_is_replaced_whole_and_leaves_nothing_beside(home):
    home.write_current("g0002")
    assert home.generation() == "g0002"
    assert not list(home.path.glob("CURRENT.*"))


MOUNTS = r"""/dev/vda / ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
server:/export /srv/shared nfs4 rw 0 0
/dev/vdb /srv/shared/local ext4 rw 0 0
me@host: /home/me/remote fuse.sshfs rw 0 0
server:/under /mnt/over nfs rw 0 0
/dev/vdc /mnt/over ext4 rw 0 0
server:/spaces /mnt/my\040share cifs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/shared/home", "nfs4"),
        ("/srv/shared/local/home", None),  # a local disk mounted inside the network one
        ("/srv/shared2/home", None),  # only begins like it
        ("/home/me/remote/x", "fuse.sshfs"),
        ("/mnt/my share/x", "cifs"),  # /proc/mounts writes a blank as \040
        ("/mnt/over/x", None),  # mounted over the network one
        ("/elsewhere", None),
    ],
)
def test_a_network_file_system_is_refused_and_a_local_one_beside_it_is_not(tmp_path, path, kind):
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)

    refused = pytest.raises(StoreRefusedError) if kind else contextlib.nullcontext()
    with refused as caught:
        refuse_network_file_system(Path(path), mounts)
    assert kind is None or caught.value.reason == f"is on a network file system ({kind})"


class TestLocks:
    def test_a_lock_is_held_by_one_and_names_its_owner(self, home):
        with home.locked("duties") as got:
            assert got
            assert home.lock_owner("duties") == os.getpid()
            with home.locked("duties", wait=False) as again:
                assert not again
        assert home.lock_owner("duties") is None
        with home.locked("duties", wait=False) as again:
            assert again

    def test_who_waits_gets_the_lock_when_it_is_free(self, home):
        order = []

        def wait_for_it():
            with home.locked("duties"):
                order.append("second")

        with home.locked("duties"):
            waiter = threading.Thread(target=wait_for_it)
            waiter.start()
            order.append("first")
        waiter.join()
        assert order == ["first", "second"]

    def test_the_kernel_frees_the_lock_of_a_killed_owner_though_its_forked_child_lives(self, home):
        told, tell = os.pipe()
        owner = os.fork()
        if owner == 0:
            lock = home.locked("duties")
            lock.__enter__()
            if os.fork() == 0:
                os.write(tell, f"{os.getpid()}\n".encode())
            signal.pause()
        child = int(os.read(told, 32))
        assert home.lock_owner("duties") == owner

        os.kill(owner, signal.SIGKILL)
        os.waitpid(owner, 0)
        try:
            assert home.lock_owner("duties") is None
            os.kill(child, 0)  # it is alive
        finally:
            os.kill(child, signal.SIGKILL)

    def test_a_child_that_inherits_a_lock_does_not_hold_it_and_its_end_frees_nothing(self, home):
        with home.locked("duties"):
            child = os.fork()
            if child == 0:
                with home.locked("duties", wait=False) as got:
                    os._exit(10 + got)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 10
            assert home.lock_owner("duties") == os.getpid()

    def test_the_owner_of_a_lock_that_nobody_ever_took_is_nobody(self, home):
        assert home.lock_owner("never") is None
