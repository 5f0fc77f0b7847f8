"""The review of an incident as a Markdown document: what it has cost, what happened when, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.clock import SECOND_NS
from ihobs.incidents.answers import LISTS, QUESTIONS
from ihobs.incidents.wording import length_shown, moment_shown

if TYPE_CHECKING:
    from datetime import tzinfo

    from ihobs.incidents.answers import Answers
    from ihobs.incidents.impact import Impact
    from ihobs.incidents.record import Record
    from ihobs.store.state.actions import Action, Review

LEAST_USD = 0.001
MAX_TEXT_CHARS = 400
"""Of a line of the timeline; the whole text is in `ihobs incidents export`."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What the document is made of.

    Attributes:
        review: who wrote it, and when. chart: name of the file beside it, or empty.
        timezone: of all moments in it; None is UTC.
    """

    record: Record
    review: Review
    answers: Answers
    impact: Impact
    actions: Sequence[Action]
    chart: str = ""
    timezone: tzinfo | None = None


def markdown(contents: Contents) -> str:
    """Return the document."""
    one = contents.record.incident
    parts = [
        f"# {one.id}: {_inline(one.title)}",
        "\n".join(_head(contents)),
        "## Impact",
        "\n".join(_impact(contents.impact)),
        *([f"![{_inline(one.title)}]({contents.chart})"] if contents.chart else []),
        "## Timeline",
        "\n".join(_timeline(contents)),
        "## Questions",
        *(f"### {text}\n\n{_block(contents.answers.texts.get(key, ''))}" for key, text in QUESTIONS.items()),
    ]
    for key, title in LISTS.items():
        lines = getattr(contents.answers, key)
        parts += [f"## {title}", "\n".join(f"- {_inline(line)}" for line in lines) or "None were named."]
    parts += ["## Prevention", "\n".join(_actions(contents))]
    return "\n\n".join(parts) + "\n"


def _head(contents: Contents) -> Iterator[str]:
    one, zone = contents.record.incident, contents.timezone
    people = [f"{role}: {_inline(who)}" for role, who in _roles(contents) if who]
    yield f"- Severity {one.severity}, {one.state}"
    yield f"- Began {moment_shown(contents.impact.start_ns, zone)}"
    yield f"- Noticed {_after(contents, one.opened_ns)}"
    for name, at_ns in (("Acknowledged", one.acknowledged_ns), ("Mitigated", one.mitigated_ns)):
        if at_ns is not None:
            yield f"- {name} {_after(contents, at_ns)}"
    if one.resolved_ns is not None:
        why = f": {_inline(one.resolution)}" if one.resolution else ""
        yield f"- Resolved {_after(contents, one.resolved_ns)}{why}"
    yield from ([f"- {', '.join(people)}"] if people else [])
    if contents.review.written_ns is not None:
        written = moment_shown(contents.review.written_ns, zone)
        yield f"- Reviewed by {_inline(contents.review.author)} at {written}"


def _roles(contents: Contents) -> list[tuple[str, str]]:
    one = contents.record.incident
    return [("Lead", one.lead), ("Comms", one.comms), ("Scribe", one.scribe)]


def _after(contents: Contents, at_ns: int) -> str:
    passed = length_shown(max(0, at_ns - contents.impact.start_ns))
    return f"{moment_shown(at_ns, contents.timezone)}, {passed} after its beginning"


def impact_lines(impact: Impact) -> list[tuple[str, str]]:
    """Return what an incident has cost, in words: what, and how much."""
    return [
        ("lasted", length_shown(impact.end_ns - impact.start_ns)),
        ("runs that failed", _failed(impact)),
        ("minutes in which runs failed", str(impact.failing_minutes)),
        ("users", _named(impact, impact.users)),
        ("conversations", _named(impact, impact.sessions)),
        ("spent on traces that failed", _money(impact, impact.failed_cost_usd)),
        ("spent in all", _money(impact, impact.cost_usd) + _usual_cost(impact)),
    ]


def _impact(impact: Impact) -> Iterator[str]:
    yield "| what | how much |"
    yield "|---|---|"
    yield from (f"| {name} | {value} |" for name, value in impact_lines(impact))


def _failed(impact: Impact) -> str:
    if not impact.runs:
        return "none ended"
    usual = "unknown" if impact.usual_failed_ratio is None else f"{impact.usual_failed_ratio:.1%}"
    timeouts = f", {impact.timed_out_runs} of them by a timeout" if impact.timed_out_runs else ""
    share = f"{impact.failed_runs} of {impact.runs} ({impact.failed_runs / impact.runs:.1%}{timeouts})"
    return f"{share}; usual the day before: {usual}, so {impact.extra_failed_runs} more than usual"


def _named(impact: Impact, count: int | None) -> str:
    if count is None:
        return "unknown: no failed run names any"
    least = "at least " if impact.named_of_runs < impact.failed_traces else ""
    return f"{least}{count} named by {impact.named_of_runs} failed traces"


def _money(impact: Impact, usd: float) -> str:
    least = f" at least: {impact.unpriced_calls} calls have no known price" if impact.unpriced_calls else ""
    return f"{_usd(usd)}{least}"


def _usual_cost(impact: Impact) -> str:
    return "" if impact.usual_cost_usd is None else f"; {_usd(impact.usual_cost_usd)} in as much time the day before"


def _usd(usd: float) -> str:
    if usd >= 1 or usd == 0:
        return f"${usd:,.2f}"
    return f"${usd:.2g}" if usd >= LEAST_USD else "less than $0.001"


def _timeline(contents: Contents) -> Iterator[str]:
    yield "| when | what | who |"
    yield "|---|---|---|"
    for entry in contents.record.timeline:
        at = moment_shown(entry.at_ns, contents.timezone, "%Y-%m-%d %H:%M:%S")
        text = _inline(entry.text)
        text = text if len(text) <= MAX_TEXT_CHARS else text[:MAX_TEXT_CHARS] + " ..."
        yield f"| {at} | {_cell(text)} | {_cell(_inline(entry.author)) or 'ihobs'} |"


def _actions(contents: Contents) -> Iterator[str]:
    if not contents.actions:
        yield "No action items."
        return
    yield "| # | what | owner | priority | due | proved by | state |"
    yield "|---|---|---|---|---|---|---|"
    for one in sorted(contents.actions, key=lambda action: action.id):
        due = moment_shown(one.due_ns // SECOND_NS * SECOND_NS, contents.timezone, "%Y-%m-%d")
        proof = f"`{one.test}`" if one.test else "-"
        cells = (one.text, one.owner, one.priority, due, proof, one.state)
        yield f"| {one.id} | " + " | ".join(_cell(_inline(cell) if cell != proof else cell) for cell in cells) + " |"


def _inline(text: str) -> str:
    """Return text on one line, in which nothing is markup."""
    for character in ("\\", "`", "*", "_", "[", "]", "<"):
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def _block(text: str) -> str:
    """Return what people wrote, with their paragraphs and lists; but no HTML."""
    return text.strip().replace("<", "\\<") or "Not answered."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
