"""What waits on disk because it could not be handed on, and what was lost beside it, for `ihobs status`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ihobs.cli.moments import shown
from ihobs.cli.units import plural, size
from ihobs.clock import DAY_NS, MINUTE_NS, isoformat

if TYPE_CHECKING:
    from ihobs.settings import Settings
    from ihobs.store.losses import Loss
    from ihobs.store.spool import Waiting

LOSS_MATTERS_NS = DAY_NS
"""A loss of spans is a finding for this long; after that it is only shown."""

WAIT_MATTERS_NS = MINUTE_NS
"""Spans that wait longer need attention: nobody takes them."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """A spool.

    Attributes:
        directory: where it is. endpoint: the server that it is for; None: the home's own database.
        waiting: how much waits. losses: what no database tells of, most spans first.
    """

    directory: Path
    endpoint: str | None
    waiting: Waiting
    losses: tuple[Loss, ...]


def read_spooled(settings: Settings) -> Spooled:
    """Read the spool that programs with these settings use.

    Raises:
        StoreUnavailableError: it cannot be read.
    """
    from ihobs.store.losses import read_losses
    from ihobs.store.spool import ENDPOINT_SPOOL, SPOOL, Spool

    directory = settings.home / (SPOOL if settings.endpoint is None else ENDPOINT_SPOOL)
    return Spooled(directory, settings.endpoint, Spool(directory).waiting(), read_losses(directory))


def spool_lines(found: Spooled) -> Iterator[tuple[str, str]]:
    """Yield what there is to say, a fact a line."""
    if found.endpoint is not None:
        yield "endpoint", f"{found.endpoint} gets the spans, and evaluates the alerts"
    if found.waiting.since_ns is not None:
        whom = "a duties process" if found.endpoint is None else "the next program that reaches the endpoint"
        text = f"{plural(found.waiting.files, 'file')}, {size(found.waiting.size_bytes)}, for {whom}"
        yield "waiting", f"{text}; since {shown(found.waiting.since_ns)} UTC"
    elif found.endpoint is not None:
        yield "waiting", "nothing"


def loss_lines(losses: Iterable[Loss]) -> Iterator[tuple[str, str]]:
    """Yield a line for each reason for which spans were lost."""
    for loss in losses:
        yield "lost", f"{plural(loss.spans, 'span')} ({loss.reason}), the last at {shown(loss.last_ns)} UTC"


def loss_findings(losses: Iterable[Loss], now_ns: int) -> Iterator[str]:
    """Yield the losses that need attention."""
    for loss in losses:
        if now_ns - loss.last_ns < LOSS_MATTERS_NS:
            yield f"{plural(loss.spans, 'span')} lost ({loss.reason}), the last at {shown(loss.last_ns)} UTC"


def wait_findings(found: Spooled, now_ns: int) -> Iterator[str]:
    """Yield what waits for too long."""
    since_ns = found.waiting.since_ns
    if since_ns is not None and now_ns - since_ns > WAIT_MATTERS_NS:
        yield f"spans wait in {found.directory} since {shown(since_ns)} UTC"


def spool_figures(found: Spooled) -> dict[str, object]:
    """Return what waits with the names that `--json` promises."""
    since_ns = found.waiting.since_ns
    return {
        "directory": found.directory,
        "files": found.waiting.files,
        "bytes": found.waiting.size_bytes,
        "since": None if since_ns is None else isoformat(since_ns),
    }


def loss_figures(losses: Iterable[Loss]) -> list[dict[str, object]]:
    """Return losses with the names that `--json` promises."""
    return [{"reason": loss.reason, "spans": loss.spans, "last": isoformat(loss.last_ns)} for loss in losses]
