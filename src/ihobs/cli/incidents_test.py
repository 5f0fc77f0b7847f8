"""`ihobs incidents export --as-test`: what happened, as a test of rules, so that it is noticed sooner the next time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ihobs.cli.incidents_review import filing_of
from ihobs.cli.output import emit_json
from ihobs.clock import SECOND_NS
from ihobs.errors import InvalidInputError, RefusedError
from ihobs.incidents.wording import length_shown
from ihobs.quantities import seconds

if TYPE_CHECKING:
    from pathlib import Path

    from ihobs.cli.context import AppContext
    from ihobs.incidents.as_test import Exported
    from ihobs.incidents.record import Record
    from ihobs.store.home import Home


def export_test(  # noqa: PLR0913 - the options of a command
    app: AppContext,
    home: Home,
    record: Record,
    *,
    out: Path | None,
    rule: str | None,
    within: str | None,
    as_json: bool,
) -> None:
    """Write an incident as a test of rules, and say how the rules in force do.

    Raises:
        RefusedError: no rule noticed it, or its numbers are not stored.
    """
    from ihobs.incidents.as_test import Watched, export

    filing = filing_of(app, home)
    subject = filing.subject(record, rule)
    if subject is None:
        raise RefusedError(f"no rule noticed {record.incident.id}", "say which rule should have: --rule ID")
    watched = Watched(record.incident, subject.rule, subject.by, _seconds(within))
    found = export(filing.telemetry, filing.settings, filing.rules, watched, app.clock())
    if out is not None:
        out.write_text(found.text, encoding="utf-8")
    if as_json:
        text = {} if out else {"text": found.text}
        failures = [one.reason for one in found.failures]
        emit_json({"test": found.name, "file": out, "passes": not failures, "failures": failures, **text})
        return
    if out is None:
        click.echo(found.text, nl=False)
    for line in _told(found, subject.rule.id, out):
        click.echo(line, err=out is None)


def _told(found: Exported, rule: str, out: Path | None) -> list[str]:
    """Return what people should know of the test."""
    took, within = (length_shown(round(one * SECOND_NS)) for one in (found.noticed_after_s, found.within_s))
    lines = [f"{out}: {found.name!r}"] if out is not None else []
    lines.append(f"it was noticed {took} after its beginning; the test wants it within {within}")
    if found.failures:
        lines.append(f"the rule {rule!r} as it is fails:")
        lines += [f"  {one.reason}" for one in found.failures]
        lines.append("change the rule until it passes: ihobs rules test FILE")
    else:
        lines.append(f"the rule {rule!r} as it is passes")
    return lines


def _seconds(within: str | None) -> float | None:
    if within is None:
        return None
    try:
        return seconds(within)
    except ValueError as error:
        raise InvalidInputError("--within", str(error)) from error
