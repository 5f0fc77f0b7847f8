"""Metrics in the terminal: one group as a card, several as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from ihobs.cli.inert import inert
from ihobs.cli.moments import length_shown, shown
from ihobs.cli.tables import Column, table
from ihobs.cli.units import AT_LEAST, UNKNOWN, count, duration, plural, ratio, usd, usd_at_least

if TYPE_CHECKING:
    from rich.console import Console

    from ihobs.cli.figures import Figures, Seconds
    from ihobs.model import MetricsResult, Of

STATISTIC_RANKS = {"mean": 4, "p50": 1, "p95": 0, "p99": 2, "max": 3}
"""Which statistics a narrow table keeps."""


def render(
    console: Console, result: MetricsResult, groups: Sequence[Figures], *, by: Sequence[str], of: Of | None
) -> None:
    """Print the groups of a window, and what the marks mean that occur."""
    length = length_shown(result.end_ns - result.start_ns)
    console.print(f"{shown(result.start_ns)} to {shown(result.end_ns)} UTC ({length})", style="dim")
    if not by:
        _render_one(console, groups[0])
        return
    runs = groups[0].runs is not None and of in {None, "run"}
    columns = [*_names(by), *(_run_columns() if runs else _call_columns()), *_money_columns(groups)]
    console.print(table(console, columns, [group for group in groups if _tells_something(group)] or groups))
    for remark in _remarks(groups):
        console.print(remark, style="yellow", markup=False)


def _tells_something(group: Figures) -> bool:
    """Whether a group has more than spans that count as nothing, such as those above and below the calls."""
    return any((group.runs, group.calls, group.input_tokens, group.output_tokens, group.cost_usd))


def _render_one(console: Console, group: Figures) -> None:
    """Print one group: runs and calls with their durations, then tokens and cost."""
    lines: list[tuple[str, int | None, int | None, Seconds]] = [
        ("runs", group.runs, group.failed_runs, group.run_duration_s),
        ("calls", group.calls, group.failed_calls, group.call_duration_s),
    ]
    columns: list[Column[tuple[str, int | None, int | None, Seconds]]] = [
        Column("", lambda line: line[0], is_name=True, style=lambda _: "bold"),
        Column("count", lambda line: count(line[1])),
        Column("failed", lambda line: count(line[2]), style=lambda line: "red" if line[2] else ""),
        Column("rate", lambda line: ratio(_share(line[2], line[1])), style=lambda line: "red" if line[2] else ""),
    ]
    columns += [
        Column(name, _statistic(name, lambda line: line[3]), rank=rank) for name, rank in STATISTIC_RANKS.items()
    ]
    console.print(table(console, columns, lines))
    for label, text in _sums(group):
        console.print(Text(f"{label:<8}", style="bold"), Text(text), sep="", soft_wrap=True)


def _sums(group: Figures) -> list[tuple[str, str]]:
    """Return (label, text) lines of what a group sums up to."""
    lines = [("spans", count(group.spans))]
    if group.recovered_errors:
        lines.append(("retried", f"{plural(group.recovered_errors, 'failed attempt')} made good by a later one"))
    cached = f" ({count(group.cached_input_tokens)} cached)" if group.cached_input_tokens else ""
    tokens = f"{_tokens(group, group.input_tokens)} in{cached}, {_tokens(group, group.output_tokens)} out"
    if group.usage_missing_calls:
        tokens += f"; {plural(group.usage_missing_calls, 'call')} without usage"
    cost = _cost(group)
    if group.unpriced_calls:
        cost += f"; {plural(group.unpriced_calls, 'call')} without a known price"
    lines += [("tokens", tokens), ("cost", cost)]
    waits = group.time_to_first_token_s
    if waits.mean is not None:
        lines.append(("stream", f"first token after {duration(waits.mean)} (mean), {duration(waits.p95)} (p95)"))
    return lines


def _names(by: Sequence[str]) -> list[Column[Figures]]:
    return [Column(name, _dimension(name), is_name=True, style=lambda _: "cyan") for name in by]


def _dimension(name: str) -> Callable[[Figures], str]:
    return lambda group: inert(group.by[name] or UNKNOWN)


def _run_columns() -> list[Column[Figures]]:
    """Return the columns for groups of runs."""
    return [
        Column("runs", lambda group: count(group.runs)),
        Column("failed", lambda group: count(group.failed_runs), style=lambda group: _alarming(group.failed_runs)),
        Column("rate", lambda group: ratio(group.error_rate), style=lambda group: _alarming(group.failed_runs)),
        *_statistics(lambda group: group.run_duration_s),
        Column("calls", lambda group: count(group.calls), rank=2),
        Column("bad calls", lambda group: count(group.failed_calls), rank=4),
        Column("recovered", lambda group: count(group.recovered_errors), rank=5),
    ]


def _call_columns() -> list[Column[Figures]]:
    """Return the columns for groups of calls."""
    return [
        Column("calls", lambda group: count(group.calls)),
        Column("failed", lambda group: count(group.failed_calls), style=lambda group: _alarming(group.failed_calls)),
        Column(
            "rate",
            lambda group: ratio(_share(group.failed_calls, group.calls)),
            rank=1,
            style=lambda group: _alarming(group.failed_calls),
        ),
        Column("recovered", lambda group: count(group.recovered_errors), rank=4),
        *_statistics(lambda group: group.call_duration_s),
    ]


def _money_columns(groups: Sequence[Figures]) -> list[Column[Figures]]:
    """Return the columns of tokens and cost; those of unknown parts only where there are some."""
    columns = [
        Column("tokens in", lambda group: _tokens(group, group.input_tokens), rank=1),
        Column("out", lambda group: _tokens(group, group.output_tokens), rank=1),
        Column("cached", lambda group: count(group.cached_input_tokens), rank=5),
        Column("cost", _cost),
    ]
    if any(group.unpriced_calls for group in groups):
        columns.append(Column("unpriced", lambda group: count(group.unpriced_calls), rank=3))
    if any(group.usage_missing_calls for group in groups):
        columns.append(Column("no usage", lambda group: count(group.usage_missing_calls), rank=3))
    return columns


def _statistics(of: Callable[[Figures], Seconds]) -> list[Column[Figures]]:
    return [Column(name, _statistic(name, of), rank=rank) for name, rank in STATISTIC_RANKS.items()]


def _statistic(name: str, of: Callable[..., Seconds]) -> Callable[..., str]:
    return lambda row: duration(getattr(of(row), name))


def _cost(group: Figures) -> str:
    partial = group.unpriced_calls or group.usage_missing_calls
    return usd_at_least(group.cost_usd) if partial else usd(group.cost_usd)


def _tokens(group: Figures, tokens: int | None) -> str:
    partial = tokens is not None and group.usage_missing_calls
    return f"{AT_LEAST}{count(tokens)}" if partial else count(tokens)


def _remarks(groups: Sequence[Figures]) -> list[str]:
    """Return a line for each kind of unknown that occurs."""
    unpriced = sum(group.unpriced_calls for group in groups)
    missing = sum(group.usage_missing_calls for group in groups)
    remarks = []
    if unpriced:
        remarks.append(f"{plural(unpriced, 'call')} without a known price: a cost with {AT_LEAST} is at least that")
    if missing:
        remarks.append(f"{plural(missing, 'call')} without usage: tokens and a cost with {AT_LEAST} are at least that")
    return remarks


def _share(part: int | None, whole: int | None) -> float | None:
    return part / whole if whole and part is not None else None


def _alarming(number: int | None) -> str:
    return "red" if number else ""
