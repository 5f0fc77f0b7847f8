"""Bring token counts to one meaning: cached tokens are part of the input, reasoning tokens part of the output.

Dialects and providers differ in this, and the difference is most of a cached call's cost. See the table of token
semantics in docs/metrics.md.
"""

from __future__ import annotations

from typing import NamedTuple


class Told(NamedTuple):
    """What a span tells. The counts are None where it does not.

    Attributes:
        input_tokens, output_tokens, total_tokens: as they came.
        cached: read from and written to a cache, together. reasoning: 0 where the span tells none.
    """

    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    cached: int
    reasoning: int


class Whole(NamedTuple):
    """Input and output with all their parts inside.

    Attributes:
        cached_why, reasoning_why: why they had to be added; empty when they were inside.
    """

    input_tokens: int | None
    output_tokens: int | None
    cached_why: str
    reasoning_why: str

    @property
    def adjusted(self) -> bool:
        """Whether anything was added."""
        return bool(self.cached_why or self.reasoning_why)


def whole(told: Told, *, cached_beside: bool | None, reasoning_beside: bool | None) -> Whole:
    """Return the input and output of a span with their parts inside.

    Args:
        told: what the span tells.
        cached_beside, reasoning_beside: where the table says that they stand; None when it does not say.
    """
    cached_proved, reasoning_proved = _proved_by_total(told)
    cached_why = _why(told.cached, cached_beside, proved=cached_proved)
    reasoning_why = _why(told.reasoning, reasoning_beside, proved=reasoning_proved)
    given, answered = told.input_tokens, told.output_tokens
    if given is not None and cached_beside is None and told.cached > given:
        cached_why = cached_why or "they are more than the input"
    return Whole(
        None if given is None else given + (told.cached if cached_why else 0),
        None if answered is None else answered + (told.reasoning if reasoning_why else 0),
        cached_why,
        reasoning_why,
    )


def _why(part: int, beside: bool | None, *, proved: bool) -> str:
    """Return why a part is to be added, or an empty text: the table decides, else the total."""
    if not part or beside is False:
        return ""
    if beside:
        return "the table says that they stand beside"
    return "the total is reached only with them" if proved else ""


def _proved_by_total(told: Told) -> tuple[bool, bool]:
    """Return whether the total is reached only with the cached tokens, and with the reasoning tokens, added.

    A total of input and output alone proves nothing: some add up what the provider told without a thought.
    """
    if told.total_tokens is None:
        return False, False
    missing = told.total_tokens - (told.input_tokens or 0) - (told.output_tokens or 0)
    if missing <= 0 or told.cached == told.reasoning:
        return missing > 0 and missing == told.cached + told.reasoning, missing > 0 and missing == 2 * told.reasoning
    both = missing == told.cached + told.reasoning
    return both or missing == told.cached, both or missing == told.reasoning
