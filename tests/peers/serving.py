"""`ihobs` as its users run it: processes, and what they print."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from click.testing import CliRunner

from ihobs.cli import main

BOUND_S = 60.0
"""How long anything is waited for; everything happens long before."""

DIMENSIONS = ("service", "workflow", "kind", "node", "provider", "model")

FOREIGN = ("IHOBS_", "OTEL_", "LANGSMITH_", "LANGCHAIN_", "PHOENIX_")
"""Variables of the machine that must not decide what a test sees."""


def environment(**more):
    """Return the variables of a process that a test starts."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return kept | {"PYTHONUNBUFFERED": "1"} | more


def ihobs(home, *arguments):
    """Give a command as it is typed; return what it printed."""
    done = CliRunner().invoke(main, ["--home", str(home), *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.stdout


def totals(home):
    """Return every number that `ihobs metrics` shows of a home, as a whole and by each dimension."""
    found = {}
    for by in ((), *((dimension,) for dimension in DIMENSIONS)):
        options = ["--by", ",".join(by)] if by else []
        groups = json.loads(ihobs(home, "metrics", "--all", "--json", *options))["groups"]
        found |= {(by, *sorted(group["by"].items())): group for group in groups}
    return found


def spans(home):
    """Return how many spans a home counts."""
    groups = json.loads(ihobs(home, "metrics", "--all", "--json"))["groups"]
    return groups[0]["spans"] if groups else 0


def until(condition, *, bound_s=BOUND_S, pause_s=0.05):
    """Wait for a condition, looking every so often; say whether it came."""
    end = time.monotonic() + bound_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause_s)
    return True


@contextlib.contextmanager
def serving(home, *options, config=None):
    """Run `ihobs serve` on a home; give its process and where it listens, over gRPC when that is among the options."""
    of_config = ["--config", str(config)] if config else []
    command = [sys.executable, "-m", "ihobs", "--home", str(home), *of_config, "serve", "--port", "0", *options]
    log = Path(f"{home}.log")
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment()) as process,
    ):
        try:
            yield process, _address(process, "gRPC" if "--grpc" in options else "listening")
            process.terminate()
            assert process.wait(timeout=BOUND_S) == 0, log.read_text()
            assert "Traceback" not in log.read_text(), log.read_text()  # alerts are told there, too
        finally:
            process.kill()


def _address(process, word):
    """Return the address of the first line that has a word."""
    for line in process.stdout:
        if f"{word} at" in line:
            return re.search(r"http://\S+:\d+", line)[0]
    raise AssertionError("ihobs serve ended before it listened; its log is beside its home")
