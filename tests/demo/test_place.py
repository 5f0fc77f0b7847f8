import pytest

from ihobs.config import load
from ihobs.demo.faults import FAULTS
from ihobs.demo.place import MARK, WATCHED_RULE, prepare
from ihobs.errors import StoreRefusedError
from ihobs.store.home import Home


def test_a_demo_home_has_a_valid_configuration_that_watches_every_fault(tmp_path):
    home, path = prepare(tmp_path / "demo")
    settings = load(path, environ={}).settings
    assert settings.home.resolve() == home.path.resolve()
    assert set(WATCHED_RULE) == set(FAULTS)
    assert {rule["id"] for rule in settings.rules} == set(WATCHED_RULE.values())


def test_the_next_demo_starts_from_nothing(tmp_path):
    first, _ = prepare(tmp_path / "demo")
    (first.path / "alerts.log").write_text("old", encoding="utf-8")
    prepare(tmp_path / "demo")
    assert not (tmp_path / "demo" / "alerts.log").exists()
    assert (tmp_path / "demo" / MARK).is_file()
    assert (tmp_path / "demo" / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_an_empty_directory_may_become_a_demo_home(tmp_path):
    assert prepare(tmp_path)[0].path == tmp_path


def test_a_real_home_is_never_replaced(tmp_path):
    Home.open(tmp_path / "home", create=True)
    with pytest.raises(StoreRefusedError) as caught:
        prepare(tmp_path / "home")
    assert caught.value.reason == "is not the home of a demo"
    assert (tmp_path / "home" / "CURRENT").is_file()


def test_a_file_is_never_replaced(tmp_path):
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    with pytest.raises(StoreRefusedError):
        prepare(tmp_path / "notes")
    assert (tmp_path / "notes").read_text(encoding="utf-8") == "mine"


def test_a_running_demo_is_left_alone(tmp_path):
    home, _ = prepare(tmp_path / "demo")
    with home.locked("duties"), pytest.raises(StoreRefusedError) as caught:
        prepare(tmp_path / "demo")
    assert "in use" in caught.value.reason
