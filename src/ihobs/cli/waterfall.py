"""One trace in the terminal: a tree of spans, each with a bar where its time lies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from ihobs.cli.inert import inert
from ihobs.cli.moments import shown
from ihobs.cli.trace_figures import cost_usd
from ihobs.cli.units import count, duration, plural, usd
from ihobs.cli.waterfall_rows import ASCII_BRANCH, UNICODE_BRANCH, Branch, WaterfallRow, waterfall_rows
from ihobs.clock import SECOND_NS

if TYPE_CHECKING:
    from rich.console import Console

    from ihobs.store.trace_query import SpanDetail, TraceDetail, TraceSummary

MAX_ERRORS = 5
"""Errors that are told below the waterfall."""

TRACEBACK = "Traceback (most recent call last)"
MIN_BAR_WIDTH = 10
TIME_WIDTH = 7
KIND_STYLES = {
    "workflow": "magenta",
    "agent": "magenta",
    "node": "cyan",
    "llm": "green",
    "embedding": "green",
    "tool": "yellow",
    "retriever": "yellow",
}


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters of a waterfall: marks, tree and bars (one to eight eighths of a cell)."""

    run: str = "▶"
    failed: str = "✗"
    recovered: str = "↺"
    control_flow: str = "◇"
    orphan: str = "?"
    flagged_time: str = "!"
    branch: Branch = UNICODE_BRANCH
    eighths: str = "▏▎▍▌▋▊▉█"


UNICODE = Glyphs()
ASCII = Glyphs(run=">", failed="x", recovered="r", control_flow="c", branch=ASCII_BRANCH, eighths="========")


@dataclass(frozen=True, slots=True)
class Layout:
    """Widths of the columns, in cells, and the time that the bars stand for."""

    marks: int
    label: int
    bar: int
    info: int
    start_ns: int
    length_ns: int


def render(console: Console, trace: TraceDetail, *, limit: int, attributes: bool) -> None:
    """Print a trace: its summary, at most `limit` spans as a waterfall, and its errors."""
    glyphs = ASCII if console.options.ascii_only else UNICODE
    rows = waterfall_rows(trace.spans, limit=limit, max_tree_width=console.width // 5, branch=glyphs.branch)
    layout = _layout(rows, trace.summary, console.width, glyphs)
    for line in _summary_lines(trace.summary):
        console.print(line, soft_wrap=True)
    console.print()
    console.print(_axis(layout), no_wrap=True, crop=True)
    for row in rows:
        console.print(_line(row, layout, glyphs), no_wrap=True, crop=True)
        if attributes:
            for line in _attribute_lines(row.detail, layout.marks + len(row.tree)):
                console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
    console.print()
    for line in _remarks(trace, rows, glyphs):
        console.print(line, no_wrap=True, overflow="ellipsis", crop=True)


def _summary_lines(trace: TraceSummary) -> Iterator[Text]:
    yield Text.assemble(
        ("trace ", "bold"), trace.trace_id, "  ", (inert(trace.service), "cyan"), "  ", (inert(trace.workflow), "bold")
    )
    runs = plural(trace.runs, "run")
    failed = f", {trace.failed_runs} failed" if trace.failed_runs else ""
    errors = f", {count(trace.failed_spans)} in error" if trace.failed_spans else ""
    yield Text.assemble(
        f"{shown(trace.start_ns)} UTC, {duration(trace.duration_ns / SECOND_NS)}: {runs}",
        (failed, "red"),
        f", {plural(trace.spans, 'span')}",
        (errors, "red"),
    )
    yield Text.assemble(
        f"tokens {count(trace.input_tokens)} in, {count(trace.output_tokens)} out; cost ", *_cost(trace)
    )


def _cost(trace: TraceSummary) -> Iterator[str | tuple[str, str]]:
    """Yield what is known of the cost, then what is not."""
    known = cost_usd(trace.cost_nano_usd, trace.unpriced_calls)
    if not trace.unpriced_calls:
        yield usd(known)
        return
    yield "unknown" if known is None else f"at least {usd(known)}"
    yield f": {plural(trace.unpriced_calls, 'call')} without a known price", "yellow"


def _layout(rows: Sequence[WaterfallRow], trace: TraceSummary, width: int, glyphs: Glyphs) -> Layout:
    """Divide the width: labels and remarks take what they need up to a share, the bars the rest."""
    marks = max((len(_marks(row, glyphs)) for row in rows), default=0)
    room = width - marks - TIME_WIDTH - 4  # four gaps of one space
    label = min(room * 45 // 100, max((cell_len(_label(row).plain) for row in rows), default=0))
    info = min(room * 30 // 100, max((cell_len(_info(row)) for row in rows), default=0))
    bar = max(MIN_BAR_WIDTH, room - label - info)
    return Layout(marks, label, bar, info, trace.start_ns, max(1, trace.duration_ns))


def _axis(layout: Layout) -> Text:
    """Return the line that says how long the bars are."""
    total = duration(layout.length_ns / SECOND_NS)
    axis = f"0{total:>{layout.bar - 1}}"
    return Text(f"{'':{layout.marks + 1}}{'span':{layout.label}} {axis} {'time':>{TIME_WIDTH}}", style="dim")


def _line(row: WaterfallRow, layout: Layout, glyphs: Glyphs) -> Text:
    label = _label(row)
    label.truncate(layout.label, overflow="ellipsis", pad=True)
    info = Text(_info(row), style="red" if _failed_for_good(row) else "dim")
    info.truncate(layout.info, overflow="ellipsis")
    style = _style(row)
    time = duration(row.detail.span.duration_ns / SECOND_NS)
    return Text.assemble(
        (f"{_marks(row, glyphs):<{layout.marks}} ", style),
        label,
        " ",
        (_bar(row.detail, layout, glyphs), style),
        f" {time:>{TIME_WIDTH}} ",
        info,
        no_wrap=True,
    )


def _label(row: WaterfallRow) -> Text:
    shape = row.detail.span.shape
    name = inert(shape.name) or "(no name)"
    kind = f"{shape.kind} " if shape.kind else ""
    bold = "bold" if row.detail.is_run else ""
    return Text.assemble(
        (row.tree, "dim"), (kind, _style(row)), (name, f"{bold} red" if _failed_for_good(row) else bold)
    )


def _marks(row: WaterfallRow, glyphs: Glyphs) -> str:
    return "".join(glyph for glyph, _, applies in _meanings(row, glyphs) if applies)


def _meanings(row: WaterfallRow, glyphs: Glyphs) -> tuple[tuple[str, str, bool], ...]:
    """Return each mark with its meaning, and whether the row has it."""
    detail = row.detail
    return (
        (glyphs.run, "run", detail.is_run),
        (glyphs.failed, "failed", _failed_for_good(row)),
        (glyphs.recovered, "failed, then recovered", row.recovered),
        (glyphs.control_flow, "control flow", detail.control_flow),
        (glyphs.orphan, "parent missing", detail.orphan),
        (glyphs.flagged_time, "clock off", detail.flagged_time),
    )


def _info(row: WaterfallRow) -> str:
    """Return what is worth knowing of a span beside its time."""
    span = row.detail.span
    tokens = ""
    if span.input_tokens is not None or span.output_tokens is not None:
        tokens = f"{count(span.input_tokens)}/{count(span.output_tokens)}"
    parts = (
        f"+{count(row.hidden)} hidden" if row.hidden else "",
        inert(span.shape.error.rpartition(".")[2]),
        "retry" if row.is_retry else "",
        tokens,
        inert(span.shape.model),
    )
    return " ".join(filter(None, parts))


def _failed_for_good(row: WaterfallRow) -> bool:
    return row.detail.failed and not row.recovered


def _style(row: WaterfallRow) -> str:
    if row.detail.failed:
        return "yellow" if row.recovered else "red"
    return KIND_STYLES.get(row.detail.span.shape.kind, "blue")


def _bar(detail: SpanDetail, layout: Layout, glyphs: Glyphs) -> str:
    """Return a bar of the layout's width: it begins at a whole cell and ends at an eighth of one, never invisible."""
    scale = 8 * layout.bar / layout.length_ns
    first = min(layout.bar - 1, int((detail.span.start_ns - layout.start_ns) * scale) // 8)
    length = max(1, round(detail.span.duration_ns * scale))
    whole, part = divmod(min(length, 8 * (layout.bar - first)), 8)
    bar = glyphs.eighths[-1] * whole + (glyphs.eighths[part - 1] if part else "")
    return f"{' ' * first}{bar}".ljust(layout.bar)


def _attribute_lines(detail: SpanDetail, indent: int) -> Iterator[Text]:
    """Yield the attributes of a span, then its events with theirs, a line each."""
    yield from _assignments(detail.attributes, indent + 2)
    for event in detail.events:
        yield Text(f"{'':{indent + 2}}event {inert(event['name'])}", style="dim")
        yield from _assignments(event["attributes"], indent + 4)


def _assignments(attributes: Mapping[str, object], indent: int) -> Iterator[Text]:
    for key, value in attributes.items():
        yield Text.assemble(" " * indent, (inert(key), "blue"), (" = ", "dim"), inert(value))


def _remarks(trace: TraceDetail, rows: Sequence[WaterfallRow], glyphs: Glyphs) -> Iterator[Text]:
    """Yield what stands below: errors, what marks mean, what is not shown."""
    errors = list(_errors(rows))
    for text in errors[:MAX_ERRORS]:
        yield Text(f"{glyphs.failed} {text}", style="red")
    if len(errors) > MAX_ERRORS:
        yield Text(f"{plural(len(errors) - MAX_ERRORS, 'more error')}; --json has all", style="red")
    yield from _legend(rows, glyphs)
    if len(rows) < len(trace.spans):
        hidden = plural(len(trace.spans) - len(rows), "span")
        yield Text(f"{hidden} hidden: shorter ones that did not fail; --limit {len(trace.spans)}", style="yellow")
    if not trace.contents_kept:
        yield Text("attributes are gone: some payloads of this trace are past their retention", style="yellow")


def _errors(rows: Sequence[WaterfallRow]) -> Iterator[str]:
    """Yield each error once, with the deepest span that has it: there it arose, above it was passed on."""
    told: set[str] = set()
    for row in sorted(filter(_failed_for_good, rows), key=lambda row: -row.detail.depth):
        shape = row.detail.span.shape
        error, message = inert(shape.error or "error"), inert(_message(row.detail))
        text = message if message.startswith(error) else f"{error}: {message}" if message else error
        if text not in told:
            told.add(text)
            yield f"{inert(shape.name)}: {text}"


def _message(detail: SpanDetail) -> str:
    """Return what a failed span says of its error, without the traceback that some put behind it."""
    said = (event["attributes"].get("exception.message") for event in detail.events if event["name"] == "exception")
    return str(next(filter(None, said), detail.status_message)).partition(TRACEBACK)[0]


def _legend(rows: Iterable[WaterfallRow], glyphs: Glyphs) -> Iterator[Text]:
    meanings = dict.fromkeys(
        f"{glyph} {meaning}" for row in rows for glyph, meaning, applies in _meanings(row, glyphs) if applies
    )
    if meanings:
        yield Text("   ".join(meanings), style="dim")
