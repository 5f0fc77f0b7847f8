"""The step that runs a program: a list of arguments, never a shell, and only what the configuration allows."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from threading import Thread
from typing import IO, TYPE_CHECKING, Any

from ihobs.runbooks.kinds.flow import remaining_s
from ihobs.runbooks.kinds.forms import outputs, parameters, said
from ihobs.steps import Context, StepFailedError, StepKind, Values

if TYPE_CHECKING:
    from ihobs.runbooks.kinds.surroundings import Surroundings

MAX_OUTPUT_BYTES = 32_768
"""Of each stream; what is beyond is read and dropped, so that the program does not wait for us."""
POLL_S = 0.05
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""Variables that a program gets. Ours hold keys, which are none of its business."""


def command_kind(around: Surroundings) -> StepKind:
    """Return the kind of step that runs a program."""

    def run(context: Context, given: Values) -> Values:
        argv = [str(argument) for argument in given["argv"]]
        program = allowed_program(argv[0], around.allowed.commands, around.environ)
        env = {name: around.environ[name] for name in PASSED_ON if name in around.environ}
        env |= {name: str(value) for name, value in given.get("env", {}).items()}
        ended = _run(context, [program, *argv[1:]], env, given.get("stdin", ""))
        if ended["exit_code"] not in given.get("expect", [0]):
            last = (ended["stderr"] or ended["stdout"]).strip().rpartition("\n")[2][:300]
            raise StepFailedError(
                f"{argv[0]} ended with {ended['exit_code']}: {last}", status=ended["exit_code"], details=ended
            )
        return ended

    return StepKind(
        name="command",
        summary="run a program that `runbooks.allow.commands` names, without a shell",
        effect="change",
        idempotent=False,
        parameters=parameters(
            ("argv",),
            argv={
                "type": "array",
                "items": {"type": ["string", "number"], "title": "text or a number"},
                "minItems": 1,
                "description": "The program and its arguments, each as it is: nothing in them is special.",
                "examples": [["systemctl", "restart", "worker"]],
            },
            env={
                "type": "object",
                "additionalProperties": {"type": ["string", "number"], "title": "text or a number"},
                "description": "Variables, beside PATH, HOME and the locale.",
            },
            stdin={"type": "string", "description": "What it reads."},
            expect={
                "type": "array",
                "items": {"type": "integer"},
                "default": [0],
                "description": "Exit codes that are no failure.",
            },
        ),
        outputs=outputs(
            exit_code={"type": "integer", "description": "What it ended with.", "examples": [0]},
            stdout=said({"type": "string"}, "The first 32 kB of what it wrote.", examples=["done\n"]),
            stderr=said({"type": "string"}, "The same of its errors.", examples=[""]),
        ),
        run=run,
        shorthand="argv",
        secrets=frozenset({"env", "stdin"}),
    )


def allowed_program(name: str, allowed: tuple[str, ...], environ: Mapping[str, str]) -> str:
    """Return the absolute path of a program that may be run.

    Raises:
        StepFailedError: it is not allowed, or not there.
    """
    if name not in allowed or ("/" in name and not name.startswith("/")):
        raise StepFailedError(
            f"the program {name!r} is not among runbooks.allow.commands in ihobs.yaml", kind="refused"
        )
    found = shutil.which(name, path=environ.get("PATH", os.defpath))
    if found is None:
        raise StepFailedError(f"there is no program {name!r}", kind="unreachable")
    return os.path.abspath(found)  # noqa: PTH100 - a symbolic link may be what makes a program behave (busybox)


def _run(context: Context, argv: list[str], env: Mapping[str, str], stdin: str) -> dict[str, Any]:
    """Run a program until it ends, or end it and all it started when the step is to stop."""
    try:
        process = subprocess.Popen(  # noqa: S603 - a list that was allowed
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
        raise StepFailedError(f"{argv[0]} cannot be started: {error}", kind="unreachable") from error
    with process:
        streams = [_Drain(process.stdout), _Drain(process.stderr)]
        feeder = Thread(target=_feed, args=(process.stdin, stdin.encode()), daemon=True)
        feeder.start()
        try:
            _wait(context, process)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        for thread in (*streams, feeder):
            thread.join(remaining_s(context))
    return {"exit_code": process.returncode, "stdout": streams[0].text, "stderr": streams[1].text}


def _wait(context: Context, process: subprocess.Popen[bytes]) -> None:
    while True:
        try:
            process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            if context.cancelled():
                raise StepFailedError("was ended before it was done", kind="timeout") from None
        else:
            return


def _feed(stream: IO[bytes] | None, content: bytes) -> None:
    if stream is None:
        return
    try:
        stream.write(content)
        stream.close()
    except OSError:  # it does not want to read; that is its business
        return


class _Drain(Thread):
    """Reads a stream to its end, and keeps its beginning."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._kept = bytearray()
        self.start()

    @property
    def text(self) -> str:
        """What was kept."""
        return self._kept.decode("utf-8", errors="replace")

    def run(self) -> None:
        """Read until the end."""
        while self._stream is not None and (chunk := self._stream.read1(65_536)):  # type: ignore[attr-defined] # buffered
            self._kept += chunk[: MAX_OUTPUT_BYTES - len(self._kept)]
