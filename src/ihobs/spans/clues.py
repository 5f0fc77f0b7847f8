"""What each attribute of a span says by the dialect table, and why it was used or not.

It asks the same sources by the same `read_value` as `attributes.read_fields` does, and keeps what that drops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ihobs.spans.attributes import member, read_value
from ihobs.spans.dialects import FIELDS, Dialects, Source

KIND, PROVIDER, COST, INPUT_COST, OUTPUT_COST, FAILED, UNSTREAMED = (
    FIELDS.index(name) for name in ("kind", "provider", "cost", "input_cost", "output_cost", "failed", "unstreamed")
)
"""Places of fields in FIELDS."""


@dataclass(frozen=True, slots=True)
class Clue:
    """What one attribute says of one field.

    Attributes:
        field: the field of the table. key: the attribute. path: the member of its JSON object, or empty.
        dialect: who writes it.
        told: what stands there. value: what it means; None when it is of no use. USD are in nano-USD,
            times in ns.
        used: whether the field's value is from here. why_not: why it is not; empty when it is.
    """

    field: str
    key: str
    path: str
    dialect: str
    told: Any
    value: Any
    used: bool
    why_not: str


@dataclass(frozen=True, slots=True)
class Clues:
    """What the attributes of a span say.

    Attributes:
        clues: in the order of FIELDS, the used one of a field first.
        values, ranks: what `read_fields` returns for the same attributes.
    """

    clues: tuple[Clue, ...]
    values: list[Any]
    ranks: list[int]


def find_clues(attributes: Mapping[str, Any], dialects: Dialects) -> Clues:
    """Return what `attributes`, as plain Python, say by the table of `dialects`."""
    found: list[tuple[Source, Any, Any]] = []
    for key, told in attributes.items():
        for source in dialects.sources.get(key, ()):
            part = member(told, source) if source.path else told
            value = read_value(_scalar(told), source)
            if value is not None or not (part is None or source.field in (FAILED, UNSTREAMED)):
                found.append((source, part, value))
    found.sort(key=lambda item: (item[0].field, item[2] is None, item[0].rank))
    best: dict[int, Source] = {}
    for source, _, value in found:
        if value is not None:
            best.setdefault(source.field, source)
    values: list[Any] = [None] * len(FIELDS)
    ranks = [0] * len(FIELDS)
    for source, _, value in found:
        if best.get(source.field) is source:
            values[source.field], ranks[source.field] = value, source.rank
    clues = [_clue(*item, best.get(item[0].field), whole_cost=COST in best) for item in found]
    return Clues(tuple(clues), values, ranks)


def _clue(source: Source, told: Any, value: Any, best: Source | None, *, whole_cost: bool) -> Clue:
    why_not = ""
    if value is None:
        why_not = _why_useless(told, source)
    elif whole_cost and source.field in (INPUT_COST, OUTPUT_COST):
        why_not = "the whole cost is told"
    elif best is not None and best is not source:
        why_not = f"{place(best.key, '.'.join(best.path))} goes first"
    path = ".".join(source.path)
    return Clue(FIELDS[source.field], source.key, path, source.dialect, told, value, not why_not, why_not)


def place(key: str, path: str) -> str:
    """Return where a value stands, as text."""
    return f"{key} / {path}" if path else key


def _scalar(told: Any) -> Any:
    """Return what `read_fields` sees of a value: lists, mappings and bytes are nothing to it."""
    return told if isinstance(told, (str, int, float)) else None


def _why_useless(told: Any, source: Source) -> str:
    """Return why a value that is there says nothing."""
    if _scalar(told) is None:
        return "it is not a single value"
    if source.convert == "int":
        return "it is no count of tokens"
    if source.convert == "usd":
        return "it is no amount; 0 is written where the cost is not known"
    if source.convert in ("s", "ms", "time"):
        return "it is no time"
    if source.values is not None:
        return f"{source.dialect} has no such {FIELDS[source.field]}"
    return "it means that it is not known"
