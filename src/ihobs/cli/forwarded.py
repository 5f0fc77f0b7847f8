"""The destinations in `ihobs status`, a line each; `ihobs destinations status` says more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ihobs.cli.inert import inert
from ihobs.cli.units import plural

if TYPE_CHECKING:
    from ihobs.store.forwarding import Backlog


def destination_lines(destinations: Iterable[Backlog]) -> Iterator[tuple[str, str]]:
    """Yield what there is to say, a fact a line."""
    for one in destinations:
        waiting = f"{plural(one.spans, 'span')} wait{'s' if one.spans == 1 else ''}" if one.spans else "nothing waits"
        why = f"; {'paused' if one.paused else 'tried again'}: {one.problem}" if one.problem else ""
        letters = f"; {plural(one.dead_letters, 'dead letter')}" if one.dead_letters else ""
        yield "forward", inert(f"{one.name}: {waiting}{why}{letters}")


def destination_findings(destinations: Iterable[Backlog]) -> Iterator[str]:
    """Yield the destinations that get nothing until somebody does something."""
    for one in destinations:
        if one.paused:
            yield inert(f"destination {one.name} is paused: {one.problem}; see 'ihobs destinations status'")


def destination_figures(one: Backlog) -> dict[str, object]:
    """Return a destination with the names that `--json` promises."""
    return {
        "name": one.name,
        "paused": bool(one.paused),
        "problem": one.problem or None,
        "waiting_spans": one.spans,
        "dead_letters": one.dead_letters,
    }
