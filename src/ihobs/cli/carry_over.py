"""Carry an existing alert configuration over: `enabled`, `check_interval`, `thresholds`, `channels`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ihobs.checks import SHARES
from ihobs.documents import DocumentInvalidError, Finding, Place, read, read_text
from ihobs.errors import InvalidInputError
from ihobs.settings import TABLE

METRICS = tuple(row.key.partition(".")[2] for row in TABLE if row.key.startswith("thresholds."))
LEVELS = ("critical", "warning")


@dataclass
class Carried:
    """What could be carried over, and a line for each thing that could not.

    Attributes:
        thresholds: metric -> level -> value. channels: level -> receivers.
        left: what stayed behind, and why.
    """

    thresholds: dict[str, dict[str, float]] = field(default_factory=dict)
    channels: dict[str, list[str]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def carry_over(path: Path) -> Carried:
    """Return what `path` (JSON or YAML) holds, in the words of ihobs.yaml.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is neither JSON nor YAML, or not an alert configuration.
    """
    value = _read_json(path) if path.suffix == ".json" else read(path).value
    if not isinstance(value, Mapping) or not value.keys() & {"thresholds", "channels"}:
        raise InvalidInputError(
            str(path), "is not an alert configuration", "it has neither 'thresholds' nor 'channels'"
        )
    carried = Carried()
    for key, item in value.items():
        take = _TAKE.get(key)
        if take:
            take(carried, item)
        else:
            carried.left.append(f"{key}: not known to ihobs")
    return carried


def _read_json(path: Path) -> Any:
    """Return the JSON in `path`; unlike YAML it may be indented with tabs.

    Raises:
        NotFoundError: there is no such file.
        DocumentInvalidError: it is not JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise DocumentInvalidError(path, [Finding(Place(error.lineno, error.colno), error.msg)]) from error
    except RecursionError as error:
        raise DocumentInvalidError(path, [Finding(None, "nested too deeply")]) from error


def _refuse_constant(name: str) -> None:
    """Python reads NaN and Infinity, which JSON does not have."""
    raise json.JSONDecodeError(f"{name} is not JSON", "", 0)


def _take_enabled(carried: Carried, value: object) -> None:
    if value is not True:
        carried.left.append("enabled: alerts are on in ihobs; switch one off with {} in thresholds")


def _take_interval(carried: Carried, value: object) -> None:
    carried.left.append(f"check_interval: {value} is not needed; ihobs evaluates when data arrives")


def _take_thresholds(carried: Carried, value: object) -> None:
    if not isinstance(value, Mapping):
        carried.left.append("thresholds: not a mapping")
        return
    for metric, levels in value.items():
        if metric not in METRICS:
            carried.left.append(f"thresholds.{metric}: not a standard metric; known are {', '.join(METRICS)}")
        elif why := _unfit(levels):
            carried.left.append(f"thresholds.{metric}: {why}; the default stays")
        elif metric in SHARES and max(levels.values()) > 1:
            carried.left.append(f"thresholds.{metric}: it is a part of 1, so 5 % is 0.05; the default stays")
        else:
            carried.thresholds[metric] = dict(levels)


def _unfit(levels: object) -> str:
    """Return why these levels cannot be carried over, or an empty text."""
    if not isinstance(levels, Mapping) or not levels or levels.keys() - set(LEVELS):
        return "needs 'warning' and 'critical', and nothing else"
    for level, value in levels.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            return f"{level} is not a number of 0 or more"
    if len(levels) == len(LEVELS) and levels["warning"] >= levels["critical"]:
        return "critical is not greater than warning"
    return ""


def _take_channels(carried: Carried, value: object) -> None:
    if not isinstance(value, Mapping):
        carried.left.append("channels: not a mapping")
        return
    for level, receivers in value.items():
        if level not in LEVELS:
            carried.left.append(f"channels.{level}: no such level; the levels are {' and '.join(LEVELS)}")
        elif not isinstance(receivers, list) or not all(map(_is_reference, receivers)):
            carried.left.append(f"channels.{level}: not a list of receivers")
        else:
            carried.channels[level] = receivers


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and value != "" and value.isprintable()


_TAKE = {
    "enabled": _take_enabled,
    "check_interval": _take_interval,
    "thresholds": _take_thresholds,
    "channels": _take_channels,
}
