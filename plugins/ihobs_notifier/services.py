"""Deliver by Apprise: mail, SMS, Teams, Discord, ntfy and some hundred more, by their addresses there.

Apprise is imported with the first such address: that takes a second and a half.
"""

from __future__ import annotations

import logging
import re
import warnings
from types import ModuleType
from typing import TYPE_CHECKING

from ihobs import Outcome

if TYPE_CHECKING:
    import apprise

    from ihobs import Notification

_STATUS = re.compile(r"error[ =:]+(\d{3})\b")
_LATER = frozenset({408, 425, 429})


def deliver(notification: Notification, address: str) -> Outcome | None:
    """Send by the service that `address` names; None when Apprise knows none."""
    apprise, service = _service(address)
    if not isinstance(service, apprise.NotifyBase):
        return None
    services = apprise.Apprise()
    services.add(service)
    kinds = {"ok": apprise.NotifyType.SUCCESS, "warning": apprise.NotifyType.WARNING}
    result = services.notify(
        title=title_of(notification),
        body=notification.body or notification.title,
        notify_type=kinds.get(notification.level, apprise.NotifyType.FAILURE),
        body_format=apprise.NotifyFormat.TEXT,
    )
    return outcome_of(result, str(service.service_name))


def _service(address: str) -> tuple[ModuleType, object]:
    """Return Apprise, and the service of an address. Its log stays with us: it quotes addresses, which hold secrets."""
    logging.getLogger("apprise").propagate = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of modules that it imports
        import apprise

        return apprise, apprise.Apprise.instantiate(address)


def title_of(notification: Notification) -> str:
    """Return the title with the level, for those who read no further."""
    word = {"ok": "RESOLVED"}.get(notification.level, notification.level.upper())
    return f"[{'TEST ' if notification.kind == 'test' else ''}{word}] {notification.title}"


def outcome_of(result: apprise.AppriseResult, name: str) -> Outcome:
    """Return what Apprise's result means. It tells a status only in its log, of which nothing else is kept."""
    if result:
        return Outcome("delivered")
    said = " ".join(entry.message for one in result.results for entry in one.logs())
    found = _STATUS.search(said)
    if found is None:
        return Outcome("later", f"{name}: not delivered")
    status = int(found[1])
    is_final = 400 <= status < 500 and status not in _LATER  # noqa: PLR2004 - the class of statuses
    return Outcome("refused" if is_final else "later", f"{name}: HTTP {status}")
