"""The dialect table, compiled for one pass over a span's attributes.

`dialects.yaml` says for each field which attributes give it, best first; the section `dialects:` of `ihobs.yaml`
goes over it. Here both become a dictionary from attribute key to what that attribute can give, so that reading a
span costs one look-up an attribute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ihobs.errors import InvalidInputError

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
    "total_tokens",
    "cost",
    "input_cost",
    "output_cost",
    "error",
    "failed",
    "first_token",
    "first_token_at",
    "unstreamed",
)
"""The fields of the table, in the order in which `normalise` keeps them: first the texts that a shape is made of."""

SHAPE_FIELDS = FIELDS.index("attempt_key")
"""How many of FIELDS, from the first on, decide a span's shape."""

KINDS = (
    *("workflow", "agent", "node", "task", "chain", "llm", "embedding", "tool", "retriever", "reranker"),
    *("memory", "guardrail", "evaluator", "prompt", "event", "span"),
)
"""What a table may call a span. A "task" becomes a node or a chain, a "span" what `without_kind` says or a chain."""

USER_DIALECT = "ihobs.yaml"
"""Who writes the attributes that the user's section names."""


@dataclass(frozen=True, slots=True)
class Source:
    """One way to learn one field from one attribute.

    Attributes:
        field: index into FIELDS. rank: 0 is the best source of this field.
        dialect: who writes it. path: members of the JSON text that lead to the value; empty: the value itself.
        convert: text, word, head, lower, int, usd (to nano-USD), s, ms (to ns), time (to ns since the epoch).
        values: what each value means, the values in lower case; None: any value is taken as it is.
        ignore: values that count as absent, in lower case.
        plain: a text that is not empty is the value as it stands. counts: the value is an integer.
        quoted: the first member of the path as it stands in the text; a text without it need not be parsed.
        few: the values are texts of which there are few. known: what such texts were read as before.
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
    few: bool = False
    known: dict[str, str] = dataclass_field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class WithoutKind:
    """What a span of `scope` (any when None) is that has the field of this index, and no kind."""

    field: int
    scope: str | None
    kind: str


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Where cached tokens stand to the input, and reasoning tokens to the output, for the spans it fits.

    Attributes:
        dialect: of the source of the cached or reasoning tokens. input: of that of the input tokens.
        scope, provider: of the span. None fits all, as it does for the two before.
        cached, reasoning: True beside, False inside; None: this line does not say.
    """

    dialect: str | None
    input: str | None
    scope: str | None
    provider: str | None
    cached: bool | None
    reasoning: bool | None

    def fits(self, *found: str) -> bool:
        """Return whether this line speaks of a span with such a dialect, input, scope and provider."""
        wanted = (self.dialect, self.input, self.scope, self.provider)
        return all(want is None or want == have for want, have in zip(wanted, found, strict=True))


@dataclass(frozen=True, slots=True)
class Dialects:
    """The compiled table.

    Attributes:
        sources: attribute key -> what it can give.
        ranked: for each of FIELDS its sources, best first.
        without_kind: what spans are that name no kind, first fit first.
        providers: alias -> provider. provider_suffixes: what a provider's name may end in, without the dot.
        token_counts: where parts of the tokens stand, first fit first.
        control_flow: exception classes that are no errors.
        error_by_event: scopes whose exception event means failure whatever the status says.
        shapes: what `normalise` made of texts that it has seen before.
    """

    sources: Mapping[str, tuple[Source, ...]]
    ranked: tuple[tuple[Source, ...], ...]
    without_kind: tuple[WithoutKind, ...]
    providers: Mapping[str, str]
    provider_suffixes: frozenset[str]
    token_counts: tuple[TokenCounts, ...]
    control_flow: frozenset[str]
    error_by_event: frozenset[str]
    shapes: dict[tuple[Any, ...], Shape] = dataclass_field(default_factory=dict, compare=False, repr=False)

    def provider(self, name: str) -> str:
        """Return the provider that a name, in lower case, stands for: itself when no alias is known."""
        while name not in self.providers:
            head, _, suffix = name.rpartition(".")
            if not head or suffix not in self.provider_suffixes:
                return name
            name = head
        return self.providers[name]

    def stands_beside(self, part: str, *place: str) -> bool | None:
        """Return what the first line of the table that fits says of a part ("cached", "reasoning"); None: no line does.

        Args:
            part: the attribute of `TokenCounts` that is asked for.
            place: what `TokenCounts.fits` takes.
        """
        said = (getattr(line, part) for line in self.token_counts if line.fits(*place))
        return next((beside for beside in said if beside is not None), None)


def compile_table(table: Mapping[str, Any]) -> Dialects:
    """Return the compiled form of a table with the shape of `dialects.yaml`.

    Raises:
        InvalidInputError: the table names an unknown field, kind or list of values.
    """
    ranked = tuple(
        tuple(_source(name, rank, entry, table) for rank, entry in enumerate(table["fields"].get(name, ())))
        for name in FIELDS
    )
    _refuse_unknown("field", [*table["fields"], *table["ignore"]], FIELDS)
    by_key: dict[str, list[Source]] = {}
    for source in (source for sources in ranked for source in sources):
        by_key.setdefault(source.key, []).append(source)
    return Dialects(
        sources={key: tuple(sources) for key, sources in by_key.items()},
        ranked=ranked,
        without_kind=tuple(_without_kind(line) for line in table["without_kind"]),
        providers={alias.lower(): provider for alias, provider in table["providers"].items()},
        provider_suffixes=frozenset(table["provider_suffixes"]),
        token_counts=tuple(_token_counts(line) for line in table["token_counts"]),
        control_flow=frozenset(table["control_flow"]),
        error_by_event=frozenset(table["error_by_event"]),
    )


def _source(name: str, rank: int, entry: Mapping[str, Any], table: Mapping[str, Any]) -> Source:
    path = _path(entry.get("path", ()))
    convert = entry.get("as") or _natural(name)
    values = _values(entry["values"], table["kinds"]) if "values" in entry else None
    if name == "kind":
        _refuse_unknown("kind", (values or {}).values(), KINDS)
    ignore = frozenset(value.lower() for value in table["ignore"].get(name, ()))
    mark = "'" if entry.get("written") == "python" else '"'
    return Source(
        field=FIELDS.index(name),
        rank=rank,
        key=entry["key"],
        dialect=entry.get("dialect", USER_DIALECT),
        path=path,
        convert=convert,
        values=values,
        ignore=ignore,
        plain=convert == "text" and not (path or values or ignore),
        counts=convert == "int" and not path,
        quoted=f"{mark}{path[0]}{mark}" if path else "",
        few=bool(values or ignore) and not path,
    )


def _natural(name: str) -> str:
    """Return how values of a field are converted when its entry does not say."""
    if name.endswith("_tokens"):
        return "int"
    if name.endswith("cost"):
        return "usd"
    return {"provider": "lower", "first_token": "s", "first_token_at": "time"}.get(name, "text")


def _path(path: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(path.split(".")) if isinstance(path, str) else tuple(path)


def _values(values: str | Mapping[str, str], kinds: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    if isinstance(values, str):
        _refuse_unknown("list of values", [values], kinds)
        values = kinds[values]
    return {name.lower(): meaning for name, meaning in values.items()}


def _without_kind(line: Mapping[str, str]) -> WithoutKind:
    _refuse_unknown("field", [line["field"]], FIELDS[:SHAPE_FIELDS])
    _refuse_unknown("kind", [line["kind"]], KINDS)
    return WithoutKind(FIELDS.index(line["field"]), line.get("scope"), line["kind"])


def _token_counts(line: Mapping[str, str]) -> TokenCounts:
    where = {"beside": True, "inside": False}
    return TokenCounts(
        dialect=line.get("dialect"),
        input=line.get("input"),
        scope=line.get("scope"),
        provider=line.get("provider"),
        cached=where[line["cached"]] if "cached" in line else None,
        reasoning=where[line["reasoning"]] if "reasoning" in line else None,
    )


def _refuse_unknown(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    unknown = set(names) - set(known)
    if unknown:
        raise InvalidInputError(
            "dialects", f"unknown {what} {', '.join(sorted(unknown))}", f"known: {', '.join(known)}"
        )


def extended(table: Mapping[str, Any], section: Mapping[str, Any]) -> dict[str, Any]:
    """Return `table` with the user's `section` over it; neither is changed.

    The section has the shape of the table, any part of it. Its lists go before those of the table, so that its
    sources win and its token counts are asked first; its mappings go over those of the table, key by key.
    """
    merged = dict(table)
    for name, part in section.items():
        merged[name] = _over(table.get(name), part)
    return merged


def _over(shipped: Any, given: Any) -> Any:
    if isinstance(given, Mapping) and isinstance(shipped, Mapping):
        return {**shipped, **{name: _over(shipped.get(name), part) for name, part in given.items()}}
    if isinstance(shipped, Sequence) and not isinstance(shipped, str):
        return [*given, *shipped]
    return given


def dialects_of(section: Mapping[str, Any]) -> Dialects:
    """Return the table that ihobs ships with, and over it the section `dialects:` of a configuration.

    Raises:
        InvalidInputError: the section names an unknown field, kind or list of values.
    """
    return compile_table(extended(_shipped_table(), section)) if section else shipped_dialects()


@lru_cache(maxsize=1)
def shipped_dialects() -> Dialects:
    """Return the table that ihobs ships with."""
    return compile_table(_shipped_table())


@lru_cache(maxsize=1)
def _shipped_table() -> Mapping[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = (files("ihobs.spans") / "dialects.yaml").read_text(encoding="utf-8")
    table: Mapping[str, Any] = yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader, in C where there is one
    return table
