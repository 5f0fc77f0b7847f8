"""The home on disk: which generation of the databases is live, and who holds which lock.

- `.ihobs/CURRENT` names the live generation
- `.ihobs/data/<generation>/` holds telemetry.db and state.db
- `.ihobs/locks/` has one file for each lock; the kernel frees it when its owner dies
- `.ihobs/logs/` and others are made when something is written there
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ihobs.errors import NotFoundError, StoreRefusedError, StoreUnavailableError

FIRST_GENERATION = "g0001"
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs"}
)
"""SQLite's WAL needs shared memory between its users, which these do not give: sqlite.org/wal.html."""

_WHO_MAKES_IT = "'ihobs exec', 'ihobs serve' and 'ihobs init' make it; is IHOBS_HOME right?"


@dataclass(frozen=True, slots=True)
class Home:
    """A home directory that exists. Cheap: it holds a path, no connection and no descriptor."""

    path: Path

    @classmethod
    def open(cls, path: Path | str, *, create: bool = False) -> Home:
        """Return the home at `path`, making it first when `create`.

        Raises:
            NotFoundError: there is none and `create` is False.
            StoreRefusedError: it lies on a network file system.
            StoreUnavailableError: it cannot be made or read.
        """
        root = Path(path).absolute()
        home = cls(root)
        try:
            if not (root / "CURRENT").exists():
                if not create:
                    raise NotFoundError("home", str(path), _WHO_MAKES_IT)
                home._create()
        except OSError as error:
            raise StoreUnavailableError(root, error.strerror or str(error), "choose another with IHOBS_HOME") from error
        return home

    def _create(self) -> None:
        """Make the directories, then CURRENT last, so that a home without it is not one."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_network_file_system(self.path)
        (self.path / "locks").mkdir(mode=0o700, exist_ok=True)
        with self.locked("create"):
            if (self.path / "CURRENT").exists():
                return
            (self.path / "data" / FIRST_GENERATION).mkdir(mode=0o700, parents=True, exist_ok=True)
            self.write_current(FIRST_GENERATION)

    def write_current(self, generation: str) -> None:
        """Make `generation` the live one: write beside, fsync, rename, fsync the directory."""
        beside = self.path / "CURRENT.new"
        with beside.open("w", encoding="ascii") as file:
            file.write(generation + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path / "CURRENT")
        directory = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def generation(self) -> str:
        """Return the name of the live generation.

        Raises:
            StoreUnavailableError: the home is gone or unreadable.
        """
        try:
            return (self.path / "CURRENT").read_text(encoding="ascii").strip()
        except OSError as error:
            reason = "the home is gone" if isinstance(error, FileNotFoundError) else str(error.strerror)
            raise StoreUnavailableError(self.path, reason) from error

    def database(self, name: str) -> Path:
        """Return the path of database `name` ("telemetry" or "state") in the live generation."""
        return self.path / "data" / self.generation() / f"{name}.db"

    def directory(self, name: str) -> Path:
        """Return the sub-directory `name`, made when missing."""
        path = self.path / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    @contextlib.contextmanager
    def locked(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold `locks/<name>` for the body; yield whether it was got (always True when `wait`).

        The lock is the kernel's (flock): it is free the moment its owner dies, whatever the clock says. The
        owner's process id stands in the file for people.
        """
        self.directory("locks")
        descriptor = os.open(self.path / "locks" / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _held.add(descriptor)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield True
        finally:
            if descriptor in _held:  # a forked child has closed it already
                _held.remove(descriptor)
                os.close(descriptor)

    def lock_owner(self, name: str) -> int | None:
        """Return the process id that holds `locks/<name>`, or None when nobody does."""
        try:
            descriptor = os.open(self.path / "locks" / name, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.pread(descriptor, 32, 0).strip() or 0)
        finally:
            os.close(descriptor)
        return None


def refuse_network_file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> None:
    """Raise StoreRefusedError when `path` lies on a network file system, by Linux's table of mounts."""
    kind = _file_system(path.resolve(), mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreRefusedError(path, f"is on a network file system ({kind})", "put the home on a local disk")


_OCTAL = re.compile(r"\\([0-7]{3})")
"""How the table of mounts writes a blank, a tab, a line's end and a backslash."""


def _file_system(path: Path, mounts: Path) -> str | None:
    """Return the type of the file system that holds `path`, or None when the system does not say."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    best, kind = "", None
    for line in lines:
        _, escaped, mount_kind, *_ = line.split(" ")
        mount_point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), escaped)
        if path.is_relative_to(mount_point) and len(mount_point) >= len(best):  # of two on one place, the later
            best, kind = mount_point, mount_kind
    return kind


_held: set[int] = set()
"""Descriptors of locks. A forked child closes them, or the locks would live on in it when their owner dies."""


def _after_fork_in_child() -> None:
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_after_fork_in_child)
