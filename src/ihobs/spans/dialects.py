"""The dialect table, compiled for one pass over a span's attributes.

`dialects.yaml` says for each field which attributes give it, best first. Here it becomes a dictionary from
attribute key to what that attribute can give, so that reading a span costs one look-up an attribute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ihobs.spans.span import Shape

FIELDS = (
    "kind",
    "workflow",
    "agent",
    "node",
    "task",
    "tool",
    "response_model",
    "request_model",
    "provider",
    "attempt_key",
    "node_attempt_key",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost",
    "error",
)
"""The fields of the table, in the order in which `normalise` keeps them: first the texts that a shape is made of."""

SHAPE_FIELDS = FIELDS.index("attempt_key")
"""How many of FIELDS, from the first on, decide a span's shape."""


@dataclass(frozen=True, slots=True)
class Source:
    """One way to learn one field from one attribute.

    Attributes:
        field: index into FIELDS. rank: 0 is the best source of this field.
        dialect: who writes it. path: members of the JSON text that lead to the value; empty: the value itself.
        convert: text, head, lower, int, usd (to nano-USD).
        values: what each value means (in lower case for kinds); None: any value is taken as it is.
        ignore: values that count as absent.
        plain: a text that is not empty is the value as it stands. counts: the value is an integer.
        quoted: the first member of the path as it stands in JSON text; a text without it need not be parsed.
    """

    field: int
    rank: int
    key: str
    dialect: str
    path: tuple[str, ...] = ()
    convert: str = "text"
    values: Mapping[str, str] | None = None
    ignore: frozenset[str] = frozenset()
    plain: bool = False
    counts: bool = False
    quoted: str = ""


@dataclass(frozen=True, slots=True)
class Dialects:
    """The compiled table.

    Attributes:
        sources: attribute key -> what it can give.
        shapes: what `normalise` made of texts that it has seen before.
        providers: alias -> provider. control_flow: exception classes that are no errors.
        error_by_event: scopes whose exception event means failure whatever the status says.
    """

    sources: Mapping[str, tuple[Source, ...]]
    providers: Mapping[str, str]
    control_flow: frozenset[str]
    error_by_event: frozenset[str]
    shapes: dict[tuple[Any, ...], Shape] = field(default_factory=dict, compare=False, repr=False)


def compile_table(table: Mapping[str, Any]) -> Dialects:
    """Return the compiled form of a table with the shape of `dialects.yaml`.

    Raises:
        KeyError, ValueError: the table names an unknown field or an unknown list of values.
    """
    by_key: dict[str, list[Source]] = {}
    for name, entries in table["fields"].items():
        for rank, entry in enumerate(entries):
            source = _source(FIELDS.index(name), rank, entry, table["kinds"])
            by_key.setdefault(source.key, []).append(source)
    return Dialects(
        sources={key: tuple(sources) for key, sources in by_key.items()},
        providers=dict(table["providers"]),
        control_flow=frozenset(table["control_flow"]),
        error_by_event=frozenset(table["error_by_event"]),
    )


def _source(index: int, rank: int, entry: Mapping[str, Any], kinds: Mapping[str, Mapping[str, str]]) -> Source:
    values = entry.get("values")
    path = tuple(entry["path"].split(".")) if "path" in entry else ()
    convert = entry.get("as", "text")
    return Source(
        field=index,
        rank=rank,
        key=entry["key"],
        dialect=entry["dialect"],
        path=path,
        convert=convert,
        values={name.lower(): kind for name, kind in kinds[values].items()} if values else None,
        ignore=frozenset(entry.get("ignore", ())),
        plain=convert == "text" and not (path or values or "ignore" in entry),
        counts=convert == "int" and not path,
        quoted=f'"{path[0]}"' if path else "",
    )


@lru_cache(maxsize=1)
def shipped_dialects() -> Dialects:
    """Return the table that ihobs ships with."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = (files("ihobs.spans") / "dialects.yaml").read_text(encoding="utf-8")
    return compile_table(yaml.load(text, Loader=loader))  # noqa: S506 - a safe loader, in C where there is one
