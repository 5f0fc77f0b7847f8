"""Other people's programs: where they are, and where what they need is installed."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
INSTALL_S = 240
"""How long an installation may take before its tests are skipped."""


@pytest.fixture(scope="session")
def traces_dir():
    """The folder of real traces: $IHOBS_TRACES, or shared/traces beside the checkout."""
    path = Path(os.environ.get("IHOBS_TRACES") or REPOSITORY.parent / "shared" / "traces")
    if not path.is_dir():
        pytest.skip(f"the real traces are not at {path}; set IHOBS_TRACES")
    return path


def program(name, path=None):
    """Return where a program is; without it the test is skipped."""
    found = shutil.which(name, path=path)
    return found or pytest.skip(f"{name} is not installed")


@pytest.fixture(scope="session")
def install():
    """Install into a directory under build/ that is named after what is pinned, once; skip where that cannot be had."""

    def install_into(name, pinned, *commands):
        digest = hashlib.sha256(pinned.encode()).hexdigest()[:12]
        directory = REPOSITORY / "build" / "peers" / f"{name}-{digest}"
        complete = directory / ".complete"
        if not complete.exists():
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
            for command in commands:
                run([part.format(directory=directory) for part in command], directory)
            complete.touch()
        return directory

    def run(command, directory):
        try:
            done = subprocess.run(
                command, cwd=directory, capture_output=True, text=True, timeout=INSTALL_S, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"{command[0]} did not install within {INSTALL_S} s")
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            pytest.skip(f"{Path(command[0]).name} could not install: {said[0] if said else done.returncode}")

    return install_into
