"""Open the telemetry store of a home as the settings say, and redact by them what goes elsewhere."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from ihobs.clock import Clock, now_ns
from ihobs.courtesy import Pause, no_pause
from ihobs.redact.policy import Policy
from ihobs.redact.tally import Tally
from ihobs.spans.dialects import dialects_of
from ihobs.store.redaction import redactor_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from ihobs.redact.message import Redactor
    from ihobs.redact.text import Hook
    from ihobs.settings import Settings
    from ihobs.store.home import Home
    from ihobs.store.retention import Retention
    from ihobs.store.spool import SignalName
    from ihobs.store.telemetry import TelemetryStore


def open_store(
    home: Home,
    settings: Settings,
    *,
    clock: Clock = now_ns,
    hook: Hook | None = None,
    retention: Retention | None = None,
    pause: Pause = no_pause,
) -> TelemetryStore:
    """Return the store for who brings spans in: it reads the settings' dialects, and redacts by their policy.

    Args:
        hook: the plug-ins that redact, if there are any.
        pause: called between small pieces of work, by who shares its process with a program in a hurry.

    Raises:
        InvalidInputError: the settings' dialects name what does not exist.
    """
    from ihobs.store.telemetry import TelemetryStore  # SQL: not for a process that only sends

    dialects = dialects_of(settings.dialects)
    redactor = redactor_for(home, Policy.of(settings), dialects, hook)
    return TelemetryStore(home, clock=clock, dialects=dialects, redactor=redactor, retention=retention, pause=pause)


class RequestRedaction:
    """Redacts the bytes of requests that go to a file or a server before a store reads them.

    Args:
        home: where the key of hashes is.
        open_hook: loads the plug-ins; called with the first request, as making a redactor takes some time.
        signal: what the requests hold.
    """

    def __init__(
        self, home: Home, settings: Settings, open_hook: Callable[[], Hook | None], *, signal: SignalName = "spans"
    ) -> None:
        self._home, self._settings, self._open_hook, self._signal = home, settings, open_hook, signal

    def __call__(self, request: bytes) -> bytes:
        """Return the request as it may leave this process."""
        from ihobs.spans.signals import SIGNALS  # slow: not before it is needed

        message: Any = SIGNALS[self._signal].request.FromString(request)
        redact: Any = self._redactor.request if self._signal == "spans" else self._redactor.logs
        redact(message, Tally())
        redacted: bytes = message.SerializeToString()
        return redacted

    @cached_property
    def _redactor(self) -> Redactor:
        policy, dialects = Policy.of(self._settings), dialects_of(self._settings.dialects)
        return redactor_for(self._home, policy, dialects, self._open_hook())
