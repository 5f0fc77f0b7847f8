"""File the review of an incident beside it: compute what it has cost, draw its chart, and write the document."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ihobs.alerts.evaluator import timezone_of
from ihobs.clock import MINUTE_NS, Clock, now_ns
from ihobs.errors import NotFoundError, RefusedError
from ihobs.incidents import answers as answered
from ihobs.incidents import chart, impact
from ihobs.incidents.curve import Past, is_stored, onset_ns, width_ns
from ihobs.incidents.diagnostics import DIRECTORY
from ihobs.incidents.document import Contents, markdown
from ihobs.incidents.record import read
from ihobs.store.state import alerts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ihobs.alerts.rules import RuleSet
    from ihobs.config import Settings
    from ihobs.incidents.curve import Curve
    from ihobs.incidents.impact import Impact
    from ihobs.incidents.record import Record
    from ihobs.model import Rule
    from ihobs.store.database import Database
    from ihobs.store.home import Home

DOCUMENT, CHART = "review.md", "review.svg"
FALLBACK_RULE = "error_rate"
"""What is drawn of an incident that no alert belongs to."""

MAX_POINTS = 400
AROUND_NS = 10 * MINUTE_NS
"""So much of what was before and after is drawn, or a quarter of how long it lasted."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an incident was noticed by: an instance of a rule."""

    rule: Rule
    by: Mapping[str, str | None]


@dataclass(frozen=True)
class Filing:
    """Knows the home, and what to read of it.

    Attributes:
        home, telemetry, state: the home, and its databases.
        settings, rules: in force now.
        clock: tells the time. name: makes the names of files that are not whole yet.
    """

    home: Home
    telemetry: Database
    state: Database
    settings: Settings
    rules: RuleSet
    clock: Clock = now_ns
    name: Callable[[int], str] = secrets.token_hex

    def subject(self, record: Record, rule_id: str | None = None) -> Subject | None:
        """Return the rule that noticed an incident first, of those whose past is stored; None: there is none.

        Args:
            rule_id: this rule instead, as far as an alert of it belongs to the incident, or it is not split.

        Raises:
            NotFoundError: there is no such rule.
            RefusedError: it is split, and no alert of it says by whom.
        """
        by_id = {rule.id: rule for rule in self.rules.rules}
        known = alerts.load(self.state)
        rows = [known[one.alert] for one in record.alerts if one.alert in known]
        for row in rows:
            rule = by_id.get(row.rule)
            if rule is not None and (row.rule == rule_id if rule_id else is_stored(rule)):
                return Subject(rule, row.by)
        if rule_id is None:
            return None
        if rule_id not in by_id:
            raise NotFoundError("rule", rule_id, f"there are {', '.join(sorted(by_id))}")
        if by_id[rule_id].by:
            raise RefusedError(f"no alert of the rule {rule_id} belongs to {record.incident.id}", "name another rule")
        return Subject(by_id[rule_id], {})

    def impact(self, record: Record) -> Impact:
        """Return what an incident has cost, from when what its rule watches went wrong.

        Raises:
            StoreUnavailableError: the telemetry database cannot be read.
        """
        incident, subject = record.incident, self.subject(record)
        start_ns = None
        if subject is not None:
            past = Past(self.telemetry, self.settings, incident.opened_ns, incident.opened_ns)
            start_ns = onset_ns(past, subject.rule, subject.by)
        return impact.impact_of(self.telemetry, incident, self.clock(), start_ns)

    def save(self, incident_id: str) -> Path:
        """Write the document of a reviewed incident and its chart, and return the document's path.

        Raises:
            RefusedError: it is not reviewed.
            StoreUnavailableError: a database cannot be read.
        """
        contents = self.contents(incident_id)
        curve = self.curve(contents)
        if curve is not None:
            self._write(self._directory(incident_id) / CHART, chart.draw(curve, _marks(contents), contents.timezone))
        return self._write_document(contents)

    def refresh(self, incident_id: str) -> None:
        """Write the document again after its action items changed; the chart stays. Nothing without a review.

        Raises:
            StoreUnavailableError: a database cannot be read.
        """
        if read(self.state, incident_id).incident.state in {"reviewed", "closed"}:
            self._write_document(self.contents(incident_id))

    def contents(self, incident_id: str) -> Contents:
        """Return what the document of a reviewed incident says; the chart is not named.

        Raises:
            RefusedError: it is not reviewed.
        """
        record = read(self.state, incident_id)
        review = record.review
        if review is None or review.answers is None or review.impact is None:
            raise RefusedError(f"{incident_id} is not reviewed", f"ihobs incidents review {incident_id}")
        answers, cost = answered.from_json(review.answers), impact.from_json(review.impact)
        return Contents(record, review, answers, cost, record.actions, timezone=timezone_of(self.settings))

    def curve(self, contents: Contents) -> Curve | None:
        """Return the values of what noticed an incident, and some time around it; None: there are none any more."""
        subject = self.subject(contents.record)
        if subject is None:
            rules = [rule for rule in self.rules.rules if rule.id == FALLBACK_RULE and not rule.by]
            if not rules:
                return None
            subject = Subject(rules[0], {})
        lasted_ns = contents.impact.end_ns - contents.impact.start_ns
        start_ns = contents.impact.start_ns - lasted_ns // 2
        end_ns = min(
            max(contents.record.incident.resolved_ns or 0, contents.impact.end_ns) + lasted_ns // 4, self.clock()
        )
        step_ns = max(width_ns(self.telemetry, start_ns), (end_ns - start_ns) // MAX_POINTS)
        curve = Past(self.telemetry, self.settings, start_ns, end_ns).curve(subject.rule, subject.by, step_ns)
        return curve if any(value is not None for _, value in curve.points) else None

    def _directory(self, incident_id: str) -> Path:
        directory = self.home.directory(DIRECTORY) / incident_id
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory

    def _write_document(self, contents: Contents) -> Path:
        directory = self._directory(contents.record.incident.id)
        has_chart = (directory / CHART).exists()
        self._write(directory / DOCUMENT, markdown(replace(contents, chart=CHART if has_chart else "")))
        return directory / DOCUMENT

    def _write(self, file: Path, text: str) -> None:
        """Write a file whole, in place of the one before."""
        unfinished = file.with_name(f".{file.name}-{self.name(8)}")
        try:
            unfinished.touch(mode=0o600)
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)


def _marks(contents: Contents) -> list[chart.Mark]:
    one = contents.record.incident
    named = {
        "began": contents.impact.start_ns,
        "noticed": one.opened_ns,
        "acknowledged": one.acknowledged_ns,
        "mitigated": one.mitigated_ns,
        "resolved": one.resolved_ns,
    }
    return [chart.Mark(at_ns, name) for name, at_ns in named.items() if at_ns is not None]
