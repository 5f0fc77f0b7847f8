"""The key of hashes."""

import multiprocessing
import stat

from ihobs.redact.hash_key import FILE, HashKey


def test_it_is_made_when_it_is_first_needed_for_its_owner_only_and_stays(tmp_path):
    key = HashKey(tmp_path)
    assert not (tmp_path / FILE).exists()
    assert len(key()) == 32
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert HashKey(tmp_path)() == key()
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_two_homes_have_two_keys(tmp_path):
    assert HashKey(tmp_path / "a")() != HashKey(tmp_path / "b")()


def _ask(directory, barrier, answers):
    barrier.wait(30)
    answers.put(HashKey(directory)())


def test_processes_that_make_it_at_once_agree(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_ask, args=(tmp_path, barrier, answers)) for _ in range(4)]
    for process in processes:
        process.start()
    assert len({answers.get(timeout=30) for _ in processes}) == 1
    for process in processes:
        process.join(30)


def test_where_no_key_can_be_made_the_text_goes_whole(redactor, monkeypatch, tmp_path):
    from ihobs.guard import guard
    from ihobs.redact.policy import Policy
    from ihobs.redact.text import TextRedactor

    monkeypatch.setattr(guard, "strict", False)
    (tmp_path / "file").write_text("")
    made = TextRedactor(Policy(personal="hash"), hash_key=HashKey(tmp_path / "file"), hook=None)
    found = []
    assert made.redact("to alice@example.org", "key", found.append) == "[failed]"
    assert "failed" in found
