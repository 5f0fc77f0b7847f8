"""Find who delivers to an address. What is needed for that is imported when such an address is first used."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING

from ihobs import hookimpl

if TYPE_CHECKING:
    from ihobs import Notification, Outcome

logging.getLogger("urllib3").setLevel(logging.INFO)  # below, it quotes paths, which may be secrets

_MODULES = {
    "console": "logs",
    "file": "logs",
    "slack-bot": "slack",
    "pagerduty-events": "pagerduty",
    "webhook": "webhook",
}
"""Scheme of an address -> the module that delivers there; Apprise is asked for all others."""


@hookimpl
def ihobs_notify(notification: Notification, receiver: str) -> Outcome | None:
    """Deliver to an address of ours or of Apprise's; None when `receiver` is neither."""
    module = _MODULES.get(receiver.partition(":")[0], "services")
    deliver = import_module(f"ihobs_notifier.{module}").deliver
    outcome: Outcome | None = deliver(notification, receiver)
    return outcome
