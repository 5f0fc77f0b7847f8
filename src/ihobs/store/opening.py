"""Open the telemetry store of a home as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ihobs.clock import Clock, now_ns
from ihobs.redact.policy import Policy
from ihobs.spans.dialects import dialects_of
from ihobs.store.redaction import redactor_for
from ihobs.store.telemetry import TelemetryStore

if TYPE_CHECKING:
    from ihobs.redact.text import Hook
    from ihobs.settings import Settings
    from ihobs.store.home import Home


def open_store(home: Home, settings: Settings, *, clock: Clock = now_ns, hook: Hook | None = None) -> TelemetryStore:
    """Return the store for who brings spans in: it reads the settings' dialects, and redacts by their policy.

    Args:
        hook: the plug-ins that redact, if there are any.

    Raises:
        InvalidInputError: the settings' dialects name what does not exist.
    """
    dialects = dialects_of(settings.dialects)
    redactor = redactor_for(home, Policy.of(settings), dialects, hook)
    return TelemetryStore(home, clock=clock, dialects=dialects, redactor=redactor)
