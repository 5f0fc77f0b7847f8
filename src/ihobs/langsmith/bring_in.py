"""History of LangSmith into a home: through the one way in, in groups that are committed one after another.

Whatever ends it, what was committed stays, and a second time finds it known: ids follow from LangSmith's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ihobs.langsmith.convert import is_finished, request_of

if TYPE_CHECKING:
    from ihobs.langsmith.convert import Run
    from ihobs.langsmith.history import History, Wanted
    from ihobs.store.telemetry import TelemetryStore

COMMIT_RUNS = 1000
"""Runs gathered for one transaction: above this a larger one is hardly cheaper a span."""

Progress = Callable[[int], None]
"""Told how many runs were read so far, after every page."""


@dataclass(slots=True)
class Brought:
    """What became of the runs that were read.

    Attributes:
        read: how many. accepted: stored now. duplicates: known before.
        unfinished: still running; a later import brings them.
        refused: reason -> how many. example: reason -> the id of the first such run.
    """

    read: int = 0
    accepted: int = 0
    duplicates: int = 0
    unfinished: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)


def bring_in(
    store: TelemetryStore,
    history: History,
    wanted: Wanted,
    service: str,
    progress: Progress = lambda _read: None,
    brought: Brought | None = None,
) -> Brought:
    """Store the wanted runs, and count them in their own minutes.

    Args:
        service: the name under which they count.
        brought: filled in while it goes on, so that who interrupts it knows how far it came.

    Raises:
        LangSmithUnavailableError: what was read before it is stored.
        StoreUnavailableError: what was committed before stays.
    """
    brought = brought or Brought()
    group: list[Run] = []
    try:
        for page in history.pages(wanted):
            finished = [run for run in page if is_finished(run)]
            brought.read += len(page)
            brought.unfinished += len(page) - len(finished)
            group += finished
            if len(group) >= COMMIT_RUNS:
                _commit(store, group, (service, history.endpoint), brought)
                group = []
            progress(brought.read)
    finally:
        _commit(store, group, (service, history.endpoint), brought)
    return brought


def _commit(store: TelemetryStore, runs: list[Run], origin: tuple[str, str], brought: Brought) -> None:
    if not runs:
        return
    request, refused = request_of(runs, *origin)
    for reason, run_id in refused:
        brought.refused[reason] += 1
        brought.example.setdefault(reason, run_id)
    result = store.ingest(request, live=False)
    brought.accepted += result.accepted
    brought.duplicates += result.duplicates
    for rejection in result.rejections:
        brought.refused[rejection.reason] += rejection.count
