"""The labels of an alert, which routes, silences and inhibition go by."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ihobs.model import Event, Level

PASSING = "alert.message"
"""Name of the event of a single word (`ihobs.send_alert`): it tells of nothing that goes on."""

_FACTS = ("rule", "metric", "reason")


def labels_of(event: Event, level: Level) -> Mapping[str, str]:
    """Return the labels of an alert of which `event` tells: what its rule says, its dimensions, and what it is.

    `level` is the one to go by: of an alert that is over, the one that it had.
    """
    labels = {name: str(event.fields[name]) for name in _FACTS if event.fields.get(name) is not None}
    for prefix in ("by.", "label."):  # a label of one's own goes over what it is called like
        labels |= {
            name.removeprefix(prefix): "" if value is None else str(value)
            for name, value in event.fields.items()
            if name.startswith(prefix)
        }
    return {**labels, "alert": event.subject, "level": level}


def group_key(route: str, group_by: tuple[str, ...], labels: Mapping[str, str]) -> str:
    """Return the name of the group of an alert, e.g. `payments{rule="slow-nodes"}`."""
    return route + "{" + ", ".join(f'{name}="{labels.get(name, "")}"' for name in group_by) + "}"
