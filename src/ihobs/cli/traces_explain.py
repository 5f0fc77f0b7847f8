"""`ihobs traces explain`: which attribute gave which value, and why each span counts as it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from ihobs.cli.output import console, emit_json, json_option

if TYPE_CHECKING:
    from rich.text import Text

    from ihobs.cli.context import AppContext
    from ihobs.spans.clues import Clue
    from ihobs.spans.explain import Explanation
    from ihobs.store.trace_query import SpanDetail, TraceDetail

TOLD_WIDTH = 48
"""Characters of a value that is shown; JSON holds it whole."""

Explained = Sequence[tuple["SpanDetail", "Explanation"]]


@click.command("explain")
@click.argument("trace")
@click.option("--span", "prefix", metavar="ID", help="Only the span whose id begins so.")
@json_option
@click.pass_obj
def explain(app: AppContext, trace: str, *, prefix: str | None, as_json: bool) -> None:
    """Show for each span of TRACE which attribute gave which value, and why it counts or not.

    A value that is not used stands in brackets, with the reason. The table is that of this configuration; it was
    applied when the span came in.
    """
    from ihobs.errors import NotFoundError
    from ihobs.spans.dialects import dialects_of
    from ihobs.spans.explain import explain as explain_spans
    from ihobs.store.schema import open_telemetry
    from ihobs.store.trace_query import find_trace

    found = find_trace(open_telemetry(app.home()), trace)
    pairs = [
        (detail.span, detail.attributes if detail.attributes or found.contents_kept else None) for detail in found.spans
    ]
    explanations = explain_spans(pairs, dialects_of(app.config.settings.dialects))
    chosen = [
        (detail, explanation)
        for detail, explanation in zip(found.spans, explanations, strict=True)
        if prefix is None or detail.span_id.startswith(prefix.lower())
    ]
    if not chosen:
        raise NotFoundError("span", prefix or "", f"see 'ihobs traces show {found.summary.trace_id[:8]}'")
    if as_json:
        emit_json(_figures(found, chosen))
    else:
        _render(chosen)


def _figures(trace: TraceDetail, chosen: Explained) -> dict[str, object]:
    return {
        "trace_id": trace.summary.trace_id,
        "spans": [
            {
                "span_id": detail.span_id,
                "parent_id": detail.parent_id,
                "name": explanation.span.shape.name,
                "scope": explanation.span.shape.scope,
                "fields": explanation.clues,
                "counts": explanation.counts,
                "reasons": explanation.reasons,
            }
            for detail, explanation in chosen
        ],
    }


def _render(chosen: Explained) -> None:
    terminal = console()
    for detail, explanation in chosen:
        for line in _lines(detail, explanation):
            terminal.print(line, soft_wrap=True)
        terminal.print()


def _lines(detail: SpanDetail, explanation: Explanation) -> Iterator[Text]:
    from rich.text import Text

    from ihobs.cli.inert import inert

    shape = explanation.span.shape
    indent = "  " * detail.depth
    yield Text.assemble(
        indent,
        (inert(shape.name), "bold"),
        (f"  {shape.kind or 'no kind'}", "cyan"),
        (f"  {detail.span_id}  {inert(shape.scope)}", "dim"),
    )
    width = max((len(clue.field) for clue in explanation.clues), default=0)
    for clue in explanation.clues:
        yield Text(f"{indent}    {clue.field:<{width}}  {_clue(clue)}", style="" if clue.used else "dim")
    for reason in explanation.reasons:
        yield Text(f"{indent}  - {inert(reason)}")
    if explanation.counts:
        yield Text(f"{indent}  = {_counts(explanation.counts)}", style="green")


def _clue(clue: Clue) -> str:
    from ihobs.cli.inert import inert
    from ihobs.spans.clues import place

    told = inert(clue.told)
    told = told if len(told) <= TOLD_WIDTH else f"{told[: TOLD_WIDTH - 1]}…"
    meaning = "" if clue.value is None or str(clue.value) == str(clue.told) else f" = {inert(clue.value)}"
    if meaning and clue.field.endswith("cost"):
        meaning += " nano-USD"
    where = inert(f"{place(clue.key, clue.path)} ({clue.dialect})")
    return f"{told}{meaning}  {where}" if clue.used else f"[{told}{meaning}]  {where}: {clue.why_not}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
