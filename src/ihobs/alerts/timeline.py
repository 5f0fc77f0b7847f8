"""Numbers of the past, or invented ones, asked at any moment as if it were now.

The live store answers from its tables. A replay asks the same questions tens of thousands of times, so here each
question's numbers are read once and summed up to every moment: a window is the difference of two sums.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import sub
from typing import TYPE_CHECKING

from ihobs.clock import SECOND_NS
from ihobs.model import MetricsResult
from ihobs.store.parts import Part, Place, Question
from ihobs.store.query import call_kinds, group_of

if TYPE_CHECKING:
    from ihobs.model import MetricGroup, Of
    from ihobs.store.moments import Moment

Read = Callable[[Question], Iterable["Moment"]]
"""Returns all moments of a question, in order of time."""


@dataclass
class _Sums:
    """Sums of one group up to each of its moments: `sums[i]` is over the first i."""

    ends_s: list[int] = field(default_factory=list)
    sums: list[list[int]] = field(default_factory=list)

    def add(self, end_s: int, values: Sequence[int]) -> None:
        if not self.sums:
            self.sums.append([0] * len(values))
        self.ends_s.append(end_s)
        self.sums.append([a + b for a, b in zip(self.sums[-1], values, strict=True)])

    def between(self, after_s: float, until_s: float) -> list[int] | None:
        """Return the sums of the moments that end in (after_s, until_s]; None when there is none."""
        first, last = bisect_right(self.ends_s, after_s), bisect_right(self.ends_s, until_s)
        return list(map(sub, self.sums[last], self.sums[first])) if first < last else None


Histograms = dict[tuple[int, Place], dict[int, int]]


class _Sliding:
    """The histograms of a window that moves forward: what enters is added, and what leaves is taken away."""

    def __init__(self, moments: Sequence[Moment]) -> None:
        self._moments = moments
        self._ends_s = [moment.end_s for moment in moments]
        self._first = self._last = 0
        self._counts: Histograms = {}

    def between(self, after_s: float, until_s: float) -> Histograms:
        """Return the histograms of the moments that end in (after_s, until_s]."""
        first, last = bisect_right(self._ends_s, after_s), bisect_right(self._ends_s, until_s)
        if first < self._first or last < self._last or first > self._last:
            self._first = self._last = first
            self._counts = {}
        for index in range(self._last, last):
            self._add(index, 1)
        for index in range(self._first, first):
            self._add(index, -1)
        self._first, self._last = first, last
        return self._counts

    def _add(self, index: int, sign: int) -> None:
        for key, counts in self._moments[index].part.buckets.items():
            mine = self._counts.setdefault(key, {})
            for position, count in counts.items():
                left = mine.get(position, 0) + sign * count
                if left:
                    mine[position] = left
                else:
                    mine.pop(position, None)


class _Answers:
    """Everything about one question; the last answer for each length of a window is kept until it changes."""

    def __init__(self, question: Question, moments: Sequence[Moment]) -> None:
        self._question, self._moments = question, moments
        self._ends_s = [moment.end_s for moment in moments]
        self._sums: dict[Place, _Sums] = {}
        self._calls: dict[Place, _Sums] = {}
        self._sliding: dict[float, _Sliding] = {}
        self._groups: dict[float, tuple[int, int, tuple[MetricGroup, ...]]] = {}
        for moment in moments:
            for place, values in moment.part.sums.items():
                self._sums.setdefault(place, _Sums()).add(moment.end_s, values)
            for place, values in moment.part.calls.items():
                self._calls.setdefault(place, _Sums()).add(moment.end_s, values)

    def at(self, start_s: float, end_s: float) -> MetricsResult:
        """Return the numbers of [start_s, end_s), or of the one bucket around a shorter window."""
        last = bisect_right(self._ends_s, end_s)
        if last:
            start_s = min(start_s, end_s - self._moments[last - 1].width_s)
        first, length_s = bisect_right(self._ends_s, start_s), end_s - start_s
        known = self._groups.get(length_s)
        if known is None or known[:2] != (first, last):
            known = self._groups[length_s] = (first, last, self._read(start_s, end_s))
        newest_ns = self._ends_s[last - 1] * SECOND_NS if last else None
        return MetricsResult(round(start_s * SECOND_NS), round(end_s * SECOND_NS), known[2], newest_ns)

    def _read(self, start_s: float, end_s: float) -> tuple[MetricGroup, ...]:
        part = Part()
        for place, sums in self._sums.items():
            between = sums.between(start_s, end_s)
            if between is not None:
                part.sums[place] = between
                calls = self._calls[place].between(start_s, end_s) if place in self._calls else None
                if calls is not None:
                    part.calls[place] = calls
        if self._question.durations and part.sums:
            length_s = end_s - start_s
            if length_s not in self._sliding:
                self._sliding[length_s] = _Sliding(self._moments)
            part.buckets = self._sliding[length_s].between(start_s, end_s)
        groups = [group_of(self._question, place, part) for place in part.sums]
        groups.sort(key=lambda group: -group.counters.spans)
        return tuple(groups)


class Timeline:
    """Numbers of the past, as `measurements.Numbers`."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._answers: dict[Question, _Answers] = {}

    def metrics(
        self,
        *,
        start_ns: int,
        end_ns: int,
        by: Sequence[str],
        where: Mapping[str, str],
        of: Of | None,
        durations: bool,
    ) -> MetricsResult:
        """Return the numbers of the window as they were known at its end."""
        question = Question(tuple(by), tuple(where.items()), call_kinds(by, of), durations)
        if question not in self._answers:
            self._answers[question] = _Answers(question, list(self._read(question)))
        return self._answers[question].at(start_ns / SECOND_NS, end_ns / SECOND_NS)
