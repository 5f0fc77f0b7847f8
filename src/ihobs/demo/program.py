"""The watched program, `python -m ihobs.demo` under `ihobs exec`, as a child of the demo."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ihobs.store.home import Home

OTHER_TELEMETRY = ("IHOBS_", "OTEL_", "LANGSMITH_", "LANGCHAIN_")
"""Variables of the user's own set-up: the demo is to show this home, and to send nothing anywhere else."""


@dataclass(frozen=True, slots=True)
class Report:
    """A line of the program's report.

    Attributes:
        event: what happened: "ready", "conditions" or "done". name: of the conditions that came into force.
        at_ns: when.
        processed, failed: documents so far, when it is done.
    """

    event: str
    at_ns: int
    name: str = ""
    processed: int = 0
    failed: int = 0


def command(home: Home, config: Path, provider: str) -> list[str]:
    """Return the command line: just what a user would type before their own program."""
    ihobs = [sys.executable, "-m", "ihobs", "--home", str(home.path), "--config", str(config)]
    return [*ihobs, "exec", "--", sys.executable, "-m", "ihobs.demo", provider]


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` without what would lead telemetry elsewhere."""
    return {name: value for name, value in environ.items() if not name.startswith(OTHER_TELEMETRY)}


class Program:
    """The running child. What it writes that is no report goes to the log.

    Attributes:
        log: the file with the child's stderr.
    """

    def __init__(self, arguments: Sequence[str], log: Path, environ: Mapping[str, str]) -> None:
        self.log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=dict(environ)
            )
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="demo-reports", daemon=True)
        self._reader.start()

    def tell(self, conditions: str) -> None:
        """Ask for other conditions; a report says when they came into force."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended: `exit_code` says so
                self._process.stdin.write(f"{conditions}\n")
                self._process.stdin.flush()

    def reports(self) -> list[Report]:
        """Return the reports since the last call, oldest first."""
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._reports.get_nowait())
        return found

    def exit_code(self) -> int | None:
        """Return how the program ended; None while it runs."""
        return self._process.poll()

    def stop(self, *, grace_s: float) -> int:
        """Let the program finish its work, kill it when that takes longer than `grace_s`; return its exit code."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.terminate()  # ihobs exec passes it on, and ends when the program has
            self._process.wait()
        self._reader.join()
        return self._process.returncode

    def _read(self) -> None:
        if self._process.stdout is None:
            return
        with self._process.stdout as lines:
            for line in lines:
                with contextlib.suppress(json.JSONDecodeError, TypeError):
                    self._reports.put(Report(**json.loads(line)))
