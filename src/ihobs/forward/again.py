"""Dead letters that somebody asked to be sent again, after whatever refused them was mended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ihobs.forward.pieces import Only, only_span
from ihobs.forward.walk import MAX_FAULTS, Walk

if TYPE_CHECKING:
    from ihobs.forward.reading import Reader
    from ihobs.store.dead_letters import DeadLetter

GONE = "is no longer stored"

Asked = Mapping[int, Only | None]
"""Numbers of dead letters -> the ids of their spans; None: no longer stored."""


def walk_of(letters: Sequence[DeadLetter], reader: Reader, limit_bytes: int) -> tuple[Walk, Asked]:
    """Return what sends the letters, one that is refused by itself, and what was asked for."""
    pieces = {letter.id: reader.letter(letter) for letter in letters}
    whole = tuple(piece for piece in pieces.values() if piece is not None)
    walk = Walk(0, 0, 0, whole, limit_bytes, faults=MAX_FAULTS, is_trusted=True)
    return walk, {number: None if piece is None else only_span(piece) for number, piece in pieces.items()}


def outcome(walk: Walk, asked: Asked) -> tuple[list[int], dict[int, str]]:
    """Return which letters were taken, and which were not, with the reason; those still to be sent are neither."""
    refused = {Only(dead.trace_id, dead.span_id): dead.reason for dead in walk.dead}
    waiting = {only_span(piece) for part in walk.pending for piece in part}
    sent, reasons = [], {}
    for number, ids in asked.items():
        if ids is None:
            reasons[number] = GONE
        elif ids in refused:
            reasons[number] = refused[ids]
        elif ids not in waiting:
            sent.append(number)
    return sent, reasons
