"""What a schema cannot say about `ihobs.yaml`, and what of it this version does not read yet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ihobs import matchers
from ihobs.documents import At, Document, DocumentInvalidError, Finding, read
from ihobs.quantities import seconds
from ihobs.routes import DeliverySettings
from ihobs.rule_checks import rule_findings
from ihobs.schemas import findings
from ihobs.settings import endpoint_of

NOT_READ_YET = (
    "schedules",
    "backups",
)
"""Keys of the file that are valid, so that nobody must change his file later, but that no code reads yet."""

SHARES = ("error_rate", "timeout_rate", "recovered_rate")
"""Metrics that are parts of a whole."""

RULE_FILE_KEYS = ("rules", "tests")
"""What a file of rules may hold."""


def checked(path: Path) -> Document:
    """Read `path` and return it when it is a valid configuration; sections left empty count as absent.

    Raises:
        NotFoundError: there is no such file.
        DocumentInvalidError: it is not valid; all findings at once.
    """
    document = read(path)
    value = document.value
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if item is not None}
    document = replace(document, value={} if value is None else value)
    wrong = list(findings(document, "config")) or [
        *_timezone(document),
        *_levels(document),
        *_percentages(document),
        *rule_findings(document, {}),
        *_prices(document),
        *_destinations(document),
        *_conditions(document),
        *_intervals(document),
    ]
    if wrong:
        raise DocumentInvalidError(path, wrong)
    return document


def checked_rules(path: Path, taken: Mapping[str, str]) -> Document:
    """Read a file of rules and their tests, and return it when it is valid.

    Args:
        taken: ids of rules that stand elsewhere -> where.

    Raises:
        NotFoundError: there is no such file.
        DocumentInvalidError: it is not valid; all findings at once.
    """
    document = read(path)
    document = replace(document, value={} if document.value is None else document.value)
    wrong = list(findings(document, "config"))
    if not wrong:
        strange = [key for key in document.value if key not in RULE_FILE_KEYS]
        hint = "other settings belong into ihobs.yaml"
        wrong = [Finding(document.place((key,)), f"a file of rules has no {key!r}", hint) for key in strange]
    wrong = wrong or [*_levels(document), *_percentages(document), *rule_findings(document, taken)]
    if wrong:
        raise DocumentInvalidError(path, wrong)
    return document


def unused(document: Document) -> Iterator[str]:
    """Yield a line for each key of a valid `document` that this version does not read."""
    keys: list[At] = [tuple(key.split(".")) for key in NOT_READ_YET]
    keys = [at for at in keys if at in document.values]
    for at in keys:
        place = document.place(at)
        where = f"{document.path}:{place.line}:{place.column}" if place else str(document.path)
        yield f"{where}: {'.'.join(map(str, at))!r} is not used yet by this version"


def _timezone(document: Document) -> Iterator[Finding]:
    """A schema knows the form of a time zone; which there are, the system knows."""
    name = document.value.get("timezone")
    if name is None:
        return
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a directory of that name, such as "Europe"
        yield Finding(document.values.get(("timezone",)), f"timezone: {name!r} is unknown here", "use an IANA name")


def _levels(document: Document) -> Iterator[Finding]:
    """Critical must be worse than warning."""
    holders: list[tuple[At, dict[str, float]]] = [
        (("thresholds", metric), levels) for metric, levels in document.value.get("thresholds", {}).items()
    ]
    holders += [(("rules", index), rule) for index, rule in enumerate(document.value.get("rules", ()))]
    for at, levels in holders:
        warning, critical = levels.get("warning"), levels.get("critical")
        if warning is not None and critical is not None and warning >= critical:
            name = ".".join(str(part) for part in at)
            reason = f"{name}: critical ({critical}) must be greater than warning ({warning})"
            yield Finding(document.values.get((*at, "critical")), reason)


def _percentages(document: Document) -> Iterator[Finding]:
    """A share above 1 is a percentage by mistake: such an alert would never fire."""
    holders: list[tuple[At, str, dict[str, Any]]] = [
        (("thresholds", metric), metric, levels) for metric, levels in document.value.get("thresholds", {}).items()
    ]
    rules = enumerate(document.value.get("rules", ()))
    holders += [(("rules", index), rule.get("metric", ""), rule) for index, rule in rules]
    for at, metric, levels in holders:
        for level in ("warning", "critical"):
            given = levels.get(level)
            if metric in SHARES and given is not None and given > 1:
                reason = f"{'.'.join(map(str, at))}: {level} ({given}) is never exceeded, {metric} is at most 1"
                yield Finding(document.values.get((*at, level)), reason, "5 % is 0.05")


def _prices(document: Document) -> Iterator[Finding]:
    """The days from which prices hold exist, and two prices of one model do not begin on the same one."""
    for key, given in document.value.get("prices", {}).items():
        several = isinstance(given, list)
        seen: set[str | None] = set()
        for index, rates in enumerate(given if several else [given]):
            at: At = ("prices", key, index) if several else ("prices", key)
            day = rates.get("from")
            if day is not None and not _exists(day):
                yield Finding(document.values.get((*at, "from")), f"prices.{key}: there is no day {day}")
            if day in seen:
                begins = f"begins on {day}" if day else "has no 'from'"
                yield Finding(document.place(at), f"prices.{key}: another price of this model {begins}")
            seen.add(day)


_SECRET_HEADER = re.compile(r"auth|cookie|key|password|secret|token", re.IGNORECASE)
_ONLY_FOR = {"otlp": ("protocol",), "langsmith": ("project",)}


def _destinations(document: Document) -> Iterator[Finding]:
    """OTLP has no address by itself, LangSmith speaks HTTP only, and secrets stand in variables."""
    for name, given in document.value.get("destinations", {}).items():
        at: At = ("destinations", name)
        if given["type"] == "otlp" and "endpoint" not in given:
            yield Finding(document.place(at), f"destinations.{name}: an otlp destination needs 'endpoint'")
        yield from _wrong_endpoint(document, at, given.get("endpoint"))
        for other in (key for kind, keys in _ONLY_FOR.items() if kind != given["type"] for key in keys):
            if other in given:
                reason = f"destinations.{name}: {other!r} is not for type {given['type']}"
                yield Finding(document.place((*at, other)), reason)
        for header, value in given.get("headers", {}).items():
            if _SECRET_HEADER.search(header) and "${env:" not in value:
                reason = f"destinations.{name}: the header {header!r} holds a secret"
                yield Finding(document.place((*at, "headers", header)), reason, "write it as ${env:NAME}")


def _wrong_endpoint(document: Document, at: At, endpoint: str | None) -> Iterator[Finding]:
    try:
        endpoint_of(endpoint)
    except ValueError as error:
        yield Finding(document.values.get((*at, "endpoint")), f"{'.'.join(map(str, at))}: endpoint {error}")


def _conditions(document: Document) -> Iterator[Finding]:
    """Conditions on labels can be read; each route has its own name."""
    places: list[At] = [("routes", index, "match") for index in range(len(document.value.get("routes", ())))]
    for index in range(len(document.value.get("inhibit", ()))):
        places += [("inhibit", index, "source"), ("inhibit", index, "target")]
    for *at, key in places:
        holder = document.value[at[0]][at[1]]
        for number, text in enumerate(holder.get(key, ())):
            try:
                matchers.parse(text)
            except ValueError as error:
                yield Finding(document.values.get((*at, key, number)), f"{'.'.join(map(str, at))}.{key}: {error}")
    names = [route.get("name") for route in document.value.get("routes", ())]
    for index, name in enumerate(names):
        if name is not None and name in names[:index]:
            yield Finding(document.place(("routes", index, "name")), f"the name {name!r} of a route is taken")


def _intervals(document: Document) -> Iterator[Finding]:
    """group_wait <= group_interval <= repeat_interval: otherwise one of them never means anything."""
    general = document.value.get("delivery", {})
    holders: list[tuple[At, dict[str, Any]]] = [(("delivery",), general)]
    holders += [(("routes", index), {**general, **one}) for index, one in enumerate(document.value.get("routes", ()))]
    defaults = DeliverySettings()
    for at, given in holders:
        wait_s = seconds(given.get("group_wait", defaults.group_wait_s))
        interval_s = seconds(given.get("group_interval", defaults.group_interval_s))
        repeat_s = seconds(given.get("repeat_interval", defaults.repeat_interval_s))
        name = ".".join(map(str, at))
        steps = (("group_wait", wait_s), ("group_interval", interval_s), ("repeat_interval", repeat_s))
        for (than, shorter), (wrong, longer) in pairwise(steps):
            if longer < shorter:
                place = document.values.get((*at, wrong)) or document.values.get((*at, than))
                if place is None and at != ("delivery",):
                    continue  # a route that sets neither: it is said of 'delivery'
                yield Finding(place, f"{name}: {wrong} ({longer:g} s) is shorter than {than} ({shorter:g} s)")


def _exists(day: str) -> bool:
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True
