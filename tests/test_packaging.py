"""What is installed is what stands in the folders; and a stranger's plug-in works when it is really installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DATA = ("schemas", "runbooks")

Build = Callable[[Path], Path]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return a function that builds the wheel of a directory, with the build back end that is installed."""

    def wheel_of(directory: Path) -> Path:
        out = tmp_path_factory.mktemp("dist")
        code = "import hatchling.build, sys; hatchling.build.build_wheel(sys.argv[1])"
        subprocess.run([sys.executable, "-c", code, str(out)], cwd=directory, check=True, capture_output=True)
        [wheel] = out.glob("*.whl")
        return wheel

    return wheel_of


@pytest.fixture(scope="session")
def wheel(build: Build) -> Path:
    return build(ROOT)


def files_below(folder: str) -> set[str]:
    """The files of a folder as the wheel must name them; what git ignores is not there in a clone."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", folder], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}


def test_the_wheel_holds_what_the_folders_hold_and_nothing_else(wheel):
    expected = {name.removeprefix("src/") for name in files_below("src/ihobs")}
    expected |= {name.removeprefix("plugins/") for name in files_below("plugins") if name.count("/") > 1}
    for kind in DATA:
        expected |= {f"ihobs/_data/{name}" for name in files_below(kind) if not name.endswith(".md")}
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == expected
    assert "ihobs/_data/schemas/config.schema.json" in found


def test_only_our_names_land_in_site_packages(wheel):
    with zipfile.ZipFile(wheel) as archive:
        top = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" not in name}
    assert "ihobs" in top
    assert all(name == "ihobs" or name.startswith("ihobs_") for name in top)


def test_the_directories_of_plugins_are_the_entry_points():
    directories = {path.name for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").exists()}
    points = PROJECT["project"]["entry-points"]["ihobs"]
    assert set(points.values()) == directories
    assert {f"ihobs_{name}" for name in points} == directories


def test_the_version_stands_in_two_places_that_agree():
    import ihobs

    assert PROJECT["project"]["version"] == ihobs.__version__


def test_the_lock_file_names_no_host_and_every_requirement():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    direct = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    locked = {line.split("==")[0] for line in lock.splitlines() if "==" in line and not line.startswith(" ")}
    for requirement in direct:
        name = re.split(r"[;>=\[ ]", requirement)[0].lower().replace(".", "-")
        assert name in locked, f"{name} is not locked: make lock"


@pytest.fixture(scope="session")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the wheel unpacked, as an installer leaves it."""
    target = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def run_in(sites: list[Path], *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run this Python with `sites` first on its path, so that they go over the checkout."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sites)), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )


def test_the_wheel_works_without_the_checkout(site, tmp_path):
    code = "import ihobs.resources as r; print(r.__file__); print(r.shipped('schemas') / 'config.schema.json')"
    shown = run_in([site], "-c", code, cwd=tmp_path).stdout.splitlines()
    assert shown == [f"{site}/ihobs/resources.py", f"{site}/ihobs/_data/schemas/config.schema.json"]
    (tmp_path / "ihobs.yaml").write_text("thresolds: 1\n")
    checked = run_in([site], "-m", "ihobs", "config", "check", cwd=tmp_path)
    assert checked.returncode == 2
    assert checked.stderr == "error: ihobs.yaml:1:1: unknown key 'thresolds'; did you mean 'thresholds'?\n"


def test_an_editable_install_sees_the_folders_themselves(tmp_path):
    """hatchling leaves one .pth file that names the folders, and copies nothing."""
    code = "import hatchling.build, sys; hatchling.build.build_editable(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        assert [Path(name).suffix for name in names] == [".pth"]
        assert set(archive.read(names[0]).decode().splitlines()) == {str(ROOT / "src"), str(ROOT / "plugins")}


STRANGER = {
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"
        [project]
        name = "quiet-hours"
        version = "3.1"
        [project.entry-points.ihobs]
        quiet-hours = "quiet_hours"
        quiet-broken = "quiet_broken"
        [tool.hatch.build.targets.wheel]
        include = ["quiet_hours.py", "quiet_broken.py"]
        """,
    "quiet_broken.py": """
        raise RuntimeError("no licence found")
        """,
    "quiet_hours.py": """
        from pathlib import Path
        import ihobs

        @ihobs.hookimpl
        def ihobs_rules(settings):
            return [ihobs.Rule("quiet-hours", "throughput", warning=1000.0, labels={"home": settings.home.name})]

        @ihobs.hookimpl
        def ihobs_window_closed(window):
            Path("heard.txt").write_text(f"{window.total.counters.runs} {window.end_ns - window.start_ns}")
        """,
}

DUTIES = """
from ihobs.config import load as load_config
from ihobs.model import Counters, Distribution, MetricGroup, Window
from ihobs.plugins import load
plugins = load(quiet=True)
group = MetricGroup({}, Counters(runs=7), Distribution(), Distribution())
plugins.call_each("ihobs_window_closed", window=Window(0, 10_000_000_000, group, (), 0))
settings = load_config().settings
print(sorted((a.plugin, rule.id) for a in plugins.call_each("ihobs_rules", settings=settings) for rule in a.value))
"""


@pytest.fixture(scope="session")
def stranger(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory into which the distribution of a stranger was installed, from its own wheel."""
    source = tmp_path_factory.mktemp("quiet-hours")
    for name, text in STRANGER.items():
        (source / name).write_text("\n".join(line.removeprefix(" " * 8) for line in text.splitlines()))
    target = tmp_path_factory.mktemp("strangers")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*install, str(build(source))], check=True, capture_output=True)
    return target


def test_a_strangers_plugin_contributes_a_rule_and_hears_a_window(site, stranger, tmp_path):
    done = run_in([stranger, site], "-c", DUTIES, cwd=tmp_path)
    assert done.stderr == ""
    assert "('quiet-hours', 'quiet-hours')" in done.stdout
    assert "('threshold', 'error_rate')" in done.stdout
    assert (tmp_path / "heard.txt").read_text() == "7 10000000000"


def test_a_broken_plugin_is_listed_and_harms_nothing(site, stranger, tmp_path):
    listed = run_in([stranger, site], "-m", "ihobs", "plugins", "list", "--json", cwd=tmp_path)
    found = json.loads(listed.stdout)
    assert [(one["name"], one["distribution"]) for one in found["plugins"]] == [
        ("notifier", "ihobs"),
        ("threshold", "ihobs"),
        ("quiet-hours", "quiet-hours"),
    ]
    assert found["plugins"][2]["version"] == "3.1"
    assert found["plugins"][2]["hooks"] == ["ihobs_rules", "ihobs_window_closed"]
    assert found["problems"] == [
        {"plugin": "quiet-broken", "hook": "load", "error": "RuntimeError: no licence found", "count": 1}
    ]
    assert (listed.returncode, listed.stderr) == (1, "")
