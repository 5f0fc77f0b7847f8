"""`ihobs.send_alert`: a program says something that people should hear, by the same ways as alerts of rules."""

from __future__ import annotations

import functools
import logging
import os
from typing import TYPE_CHECKING

from ihobs.clock import Clock, now_ns
from ihobs.errors import IhobsError
from ihobs.guard import guard
from ihobs.model import Event, Level

if TYPE_CHECKING:
    from ihobs.config import Settings
    from ihobs.store.database import Database

RULE = "message"
"""What stands for the rule in labels: routes and silences find such words by `rule=message`."""

MAX_TEXT_CHARS = 2_000
BUSY_TIMEOUT_S = 2.0
"""How long the program waits at most for others who write."""

_LEVELS: dict[str, Level] = {"warning": "warning", "critical": "critical", "error": "critical", "info": "warning"}

log = logging.getLogger("ihobs")


def send_alert(level: str, text: str, *, clock: Clock = now_ns, **labels: object) -> bool:
    """Tell those who hear of alerts something, once.

    It is stored in the home before this returns, and delivered by the duties process (`ihobs exec` or `ihobs serve`)
    as alerts of rules are: by routes and channels, grouped, unless it is silenced. Secrets and personal data are
    masked. It never raises, and waits 2 s at most when the home is busy.

    Args:
        level: "warning" or "critical"; "error" means critical, anything else warning.
        text: one line for people, at most 2 000 characters.
        clock: tells the time.
        labels: for routes and silences, and for people.

    Returns:
        Whether it is stored. Not when ihobs is disabled, when the home cannot be written, or with `IHOBS_ENDPOINT`:
        the home in which alerts are evaluated is elsewhere then, and cannot be written from here.
    """
    with guard:
        try:
            return _store(level, text, labels, clock())
        except IhobsError as error:
            log.warning("ihobs.send_alert: not sent: %s", error)
    return False


def _store(level: str, text: str, labels: dict[str, object], at_ns: int) -> bool:
    from ihobs.store.state.alerts import insert_event
    from ihobs.store.wake import notify

    settings = _settings(os.environ.get("IHOBS_CONFIG"), os.environ.get("IHOBS_HOME"))
    if settings.disabled or settings.endpoint is not None:
        log.warning("ihobs.send_alert: not sent: %s", "disabled" if settings.disabled else "IHOBS_ENDPOINT is set")
        return False
    state = _state(str(settings.home))
    with state.write() as writer:
        insert_event(writer, _event(level, text, {"service": settings.service, **labels}, at_ns))
    notify(state.home)
    return True


def _event(level: str, text: str, labels: dict[str, object], at_ns: int) -> Event:
    from ihobs.redact.text import scrubbed

    known = {f"label.{name}": scrubbed(str(value)) for name, value in labels.items() if value is not None}
    line = scrubbed(" ".join(str(text).split()))[:MAX_TEXT_CHARS]
    told = _LEVELS.get(str(level).lower(), "warning")
    return Event("alert.message", at_ns, RULE, told, "ok", line, {"rule": RULE, **known})


@functools.lru_cache(maxsize=8)
def _settings(config: str | None, home: str | None) -> Settings:  # noqa: ARG001 - when these change, it is read again
    from ihobs.config import load

    return load().settings


@functools.lru_cache(maxsize=8)
def _state(path: str) -> Database:
    from ihobs.store.database import Database
    from ihobs.store.home import Home
    from ihobs.store.state.migrations import VERSION, migrate

    home = Home.open(path, create=True)
    return Database(home, "state", version=VERSION, migrate=migrate, busy_timeout_s=BUSY_TIMEOUT_S)
