"""`ihobs redact`: see what would be taken out of a file's spans, before any of it is stored."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ihobs.cli.output import console, emit_json, json_option
from ihobs.cli.units import count, plural
from ihobs.errors import EXIT_FINDING, EXIT_INVALID, EXIT_PARTIAL

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext
    from ihobs.redact.message import Redactor


_INDEX = re.compile(r"(?<=\.)[0-9]+(?=\.|$)")
"""A message's or document's number in a key: all of them are one line."""


@dataclass(frozen=True, slots=True)
class Removed:
    """Something that would be removed: where it stands and what it is, never the text itself."""

    part: str
    key: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class Check:
    """What redaction would do to a file.

    Attributes:
        content: "keep" or "mask", as the settings say.
        spans: how many were read. unreadable: how many, or lines, were not.
        removed: most frequent first.
    """

    file: str
    content: str
    spans: int
    unreadable: int
    removed: tuple[Removed, ...]

    @property
    def findings(self) -> int:
        """How many secrets and personal data there are; contents are none."""
        from ihobs.redact.attributes import CONTENT

        return sum(each.count for each in self.removed if each.kind != CONTENT)


@click.command()
@click.option("--check", "file", required=True, metavar="FILE", help="An OTLP file, as for ihobs import; - is stdin.")
@json_option
@click.pass_obj
@click.pass_context
def redact(ctx: click.Context, app: AppContext, file: str, *, as_json: bool) -> None:
    """Show what would be taken out of the spans of a file, and store nothing.

    Names the part of the span, the key and the kind of each finding, never the finding itself. Ends with 1 when there
    are secrets or personal data, else with 4 when something could not be read, 2 when nothing could.
    """
    checked = check(app, file)
    if as_json:
        emit_json(checked)
    else:
        _show(checked)
    if checked.findings:
        ctx.exit(EXIT_FINDING)
    if checked.unreadable:
        ctx.exit(EXIT_PARTIAL if checked.spans else EXIT_INVALID)


def check(app: AppContext, file: str) -> Check:
    """Redact the spans of a file in memory and return what was removed.

    Raises:
        InvalidInputError: the file cannot be read any further.
    """
    from ihobs.spans.batch import read_batch
    from ihobs.spans.decode import read_file
    from ihobs.spans.dialects import dialects_of
    from ihobs.spans.normalise import Receipt

    settings = app.config.settings
    dialects = dialects_of(settings.dialects)
    redactor, receipt = _redactor(app), Receipt(app.clock(), live=False)
    spans = unreadable = 0
    removed: Counter[tuple[str, str, str]] = Counter()
    for chunk in read_file(file):
        batch = read_batch([chunk.request], dialects, receipt, redactor)
        spans += sum(batch.span_counts)
        unreadable += sum(each.count for each in chunk.rejections) + sum(batch.rejected.values())
        for (part, key, kind), times in batch.redacted.removed.items():
            removed[part, _INDEX.sub("*", key), kind] += times
    return Check(file, settings.instrument.content, spans, unreadable, tuple(_sorted(removed)))


def _redactor(app: AppContext) -> Redactor:
    """Return a redactor by the settings, which needs no home: its hashes are never seen."""
    from ihobs.plugins import redaction_by
    from ihobs.redact.policy import Policy
    from ihobs.spans.dialects import dialects_of
    from ihobs.store.redaction import redactor_with

    settings = app.config.settings
    policy, dialects = Policy.of(settings), dialects_of(settings.dialects)
    return redactor_with(policy, dialects, hash_key=bytes, hook=redaction_by(app.plugins))


def _sorted(removed: Mapping[tuple[str, str, str], int]) -> Iterator[Removed]:
    from ihobs.redact.text import scrubbed

    for (part, key, kind), times in sorted(removed.items(), key=lambda item: (-item[1], item[0])):
        yield Removed(part, scrubbed(key), kind, times)


def _show(checked: Check) -> None:
    """Print a table of what would be removed, and a sentence about it."""
    if checked.removed:
        _print_table(checked.removed)
    contents = "masked" if checked.content == "mask" else "kept"
    spans = plural(checked.spans, "span")
    click.echo(f"{spans}: {plural(checked.findings, 'finding')}; prompts and answers are {contents}")
    if checked.unreadable:
        click.echo(f"{count(checked.unreadable)} could not be read; 'ihobs import' says why", err=True)


def _print_table(removed: Sequence[Removed]) -> None:
    from ihobs.cli.tables import plain_table

    table = plain_table()
    for name in ("part", "key", "kind"):
        table.add_column(name, overflow="fold")
    table.add_column("count", justify="right")
    for each in removed:
        table.add_row(each.part, each.key, each.kind, count(each.count))
    console().print(table)
