"""Running a command as a child: signals go to it, its exit code comes back, and it does not outlive us."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

EXIT_NOT_FOUND = 127
EXIT_NOT_EXECUTABLE = 126
"""What a shell reports for a command that does not exist, or cannot be run."""

FORWARDED = frozenset(
    {
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGWINCH,
    }
)
_WATCHED = FORWARDED | {signal.SIGCHLD}

_SI_KERNEL = 0x80
"""`si_code` of a signal that the kernel itself sent, e.g. for Ctrl-C (sigaction(2))."""

_PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process is sent when its parent dies."""


def supervise(
    command: Sequence[str], environ: Mapping[str, str], meanwhile: Callable[[], AbstractContextManager[object]]
) -> int:
    """Run `command` to its end; return its exit code as a shell would (128 + n for signal n).

    Args:
        command: program and arguments.
        environ: its environment.
        meanwhile: entered while the command runs. Threads that it starts never receive the signals.
    """
    # Blocked, so that none is lost between starting the child and waiting; the child gets the old mask.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    try:
        try:
            child = subprocess.Popen(command, env=dict(environ), preexec_fn=_before_exec(mask))  # noqa: PLW1509,S603 - no thread runs yet; it is the user's own command
        except FileNotFoundError:
            click.echo(f"error: {command[0]}: command not found", err=True)
            return EXIT_NOT_FOUND
        except OSError as error:
            click.echo(f"error: {command[0]}: {error.strerror}", err=True)
            return EXIT_NOT_EXECUTABLE
        with meanwhile():
            return _wait(child)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _before_exec(mask: set[int | signal.Signals]) -> Callable[[], None]:
    """Return what the child does before it becomes the command."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def before_exec() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return before_exec


def _wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for `child`, passing signals on."""
    while (code := child.poll()) is None:
        received = _next_signal()
        if received.number != signal.SIGCHLD and not received.by_terminal:
            child.send_signal(received.number)
    return code if code >= 0 else 128 - code


class _Received(NamedTuple):
    """A signal, and whether the terminal sent it: then the child, in the same group, got it already."""

    number: int
    by_terminal: bool


def _next_signal() -> _Received:
    if sys.platform == "linux":
        info = signal.sigwaitinfo(_WATCHED)
        return _Received(info.si_signo, info.si_code == _SI_KERNEL)
    number = signal.sigwait(_WATCHED)  # macOS does not tell who sent it
    return _Received(number, number in {signal.SIGINT, signal.SIGQUIT} and os.isatty(0))
