"""`ihobs import FILE...`: bring spans in from files, in groups that are committed one after another."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ihobs.cli.output import console, emit_json, json_option
from ihobs.errors import EXIT_INVALID, EXIT_OK, EXIT_PARTIAL, InvalidInputError
from ihobs.spans.decode import Chunk, read_file

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from ihobs.cli.context import AppContext
    from ihobs.store.telemetry import TelemetryStore

COMMIT_SPANS = 1000
"""Spans gathered for one transaction: above this a larger one is hardly cheaper a span."""

COMMIT_BYTES = 16 * 1024 * 1024
"""Where gathering ends sooner, when spans are large."""

SHOWN_PLACES = 3
"""How many places are named for each reason of rejection."""

Progress = Callable[[int, int], None]
"""Told (bytes of the current file read, spans stored so far) after every commit."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What of a file was rejected for one reason.

    Attributes:
        reason: why. count: how many spans, or lines that hold an unknown number of them.
        where: the first places, each with the offending value when there is one to quote.
    """

    reason: str
    count: int
    where: tuple[str, ...]


@dataclass(slots=True)
class FileReport:
    """What became of one file. `error` says why reading ended before its end, or is empty."""

    file: str
    accepted: int = 0
    duplicates: int = 0
    error: str = ""
    refused: dict[str, Refused] = field(default_factory=dict)

    @property
    def rejected(self) -> int:
        """How many were rejected, for all reasons."""
        return sum(each.count for each in self.refused.values())

    def reject(self, reason: str, count: int, where: str) -> None:
        """Count a rejection, and remember where the first ones were."""
        before = self.refused.get(reason, Refused(reason, 0, ()))
        self.refused[reason] = Refused(reason, before.count + count, (*before.where, where)[:SHOWN_PLACES])


class Unnamed(click.Command):
    """A command that stands for its group: what it is called is what the group is called."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Make a context in the place of the group's, so that usage and errors do not show a name nobody typed."""
        if parent is not None:
            info_name, parent = parent.info_name, parent.parent
        return super().make_context(info_name, args, parent, **extra)


@click.command("import", cls=Unnamed)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@json_option
@click.pass_obj
@click.pass_context
def import_files(ctx: click.Context, app: AppContext, files: tuple[str, ...], *, as_json: bool) -> None:
    """Bring spans in from OTLP files: JSON, JSON lines or protobuf, gzipped or not; - is standard input.

    Spans that are known already are not counted twice. Ends with 4 when something was rejected, 2 when nothing
    could be read.
    """
    from ihobs.plugins import redaction_by
    from ihobs.store.opening import open_store

    hook = redaction_by(app.plugins)
    reports = [FileReport(file) for file in files]
    with open_store(app.home(create=True), app.config.settings, clock=app.clock, hook=hook) as store:
        try:
            with _progress_bars() as start:
                for report in reports:
                    import_file(store, report, start(report.file))
        except KeyboardInterrupt:
            finish(store, app)
            stored = sum(report.accepted for report in reports)
            click.echo(f"{stored} spans are stored; import the same files again for the rest", err=True)
            raise
        priced = finish(store, app)
    if as_json:
        emit_json(_as_json(reports))
    else:
        _show(reports, priced)
    ctx.exit(_exit_code(reports))


def import_file(store: TelemetryStore, report: FileReport, progress: Progress) -> None:
    """Read the file of `report` into `store`, and fill in the report.

    Raises:
        StoreUnavailableError: what was committed before stays.
    """
    group: list[Chunk] = []
    spans = size_bytes = 0
    try:
        for chunk in read_file(report.file):
            for each in chunk.rejections:
                report.reject(each.reason, each.count, f"{each.where} ({each.found})" if each.found else each.where)
            group.append(chunk)
            spans += _count_spans(chunk.request)
            size_bytes += chunk.request.ByteSize()
            if spans >= COMMIT_SPANS or size_bytes >= COMMIT_BYTES:
                _commit(store, group, report, progress)
                group, spans, size_bytes = [], 0, 0
    except InvalidInputError as error:
        report.error = str(error)
    _commit(store, group, report, progress)


def _commit(store: TelemetryStore, group: Sequence[Chunk], report: FileReport, progress: Progress) -> None:
    filled = [chunk for chunk in group if chunk.request.resource_spans]
    if not filled:
        return
    result = store.ingest_many([chunk.request for chunk in filled], live=False)
    report.accepted += result.accepted
    report.duplicates += result.duplicates
    first, last = filled[0].where, filled[-1].where
    for each in result.rejections:
        report.reject(each.reason, each.count, first if first == last else f"{first} to {last}")
    progress(group[-1].bytes_read, report.accepted)


def _count_spans(request: ExportTraceServiceRequest) -> int:
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def finish(store: TelemetryStore, app: AppContext) -> int:
    """Count spans whose ancestors did not come, and price the models that are new; return how many calls that were."""
    from ihobs.store.prices import fill, price_list

    store.settle(everything=True)
    return fill(store, price_list(app.config.settings), clock=app.clock)


@contextlib.contextmanager
def _progress_bars() -> Iterator[Callable[[str], Progress]]:
    """Give a function that begins a progress bar for a file; it shows nothing when there is no terminal."""
    shown = console(stderr=True)
    if not shown.is_terminal:
        yield lambda _file: lambda _bytes_read, _spans: None
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[spans]} spans"),
    )
    with Bars(*columns, console=shown, transient=True) as bars:

        def start(file: str) -> Progress:
            task = bars.add_task(Path(file).name, total=_size_bytes(file), spans=0)
            return lambda bytes_read, spans: bars.update(task, completed=bytes_read, spans=spans)

        yield start


def _size_bytes(file: str) -> int | None:
    """Return the size of a file; None when it is not known, as for a pipe."""
    try:
        return Path(file).stat().st_size or None
    except OSError:
        return None


def _as_json(reports: Sequence[FileReport]) -> dict[str, object]:
    """Return the reports with the names that `--json` promises."""
    return {
        "accepted": sum(report.accepted for report in reports),
        "duplicates": sum(report.duplicates for report in reports),
        "rejected": sum(report.rejected for report in reports),
        "files": [
            {
                "file": report.file,
                "accepted": report.accepted,
                "duplicates": report.duplicates,
                "rejected": report.rejected,
                "rejections": list(report.refused.values()),
                "error": report.error or None,
            }
            for report in reports
        ],
    }


def _show(reports: Sequence[FileReport], priced: int) -> None:
    """Print what became of each file; what is wrong goes to stderr."""
    for report in reports:
        duplicates = f", {report.duplicates} known before" if report.duplicates else ""
        rejected = f", {report.rejected} rejected" if report.rejected else ""
        if report.accepted or not report.error:
            click.echo(f"{report.file}: {report.accepted} spans{duplicates}{rejected}")
        for refused in sorted(report.refused.values(), key=lambda each: -each.count):
            more = ", ..." if refused.count > len(refused.where) else ""
            click.echo(f"  rejected {refused.count}: {refused.reason}: {', '.join(refused.where)}{more}", err=True)
        if report.error:
            click.echo(f"error: {report.error}", err=True)
    if priced:
        click.echo(f"{priced} calls priced")
    if any(report.accepted for report in reports):
        click.echo("see them with: ihobs metrics --all, ihobs traces list")


def _exit_code(reports: Sequence[FileReport]) -> int:
    """Return 0 when everything was read, 4 when something was not, 2 when nothing was."""
    if not any(report.rejected or report.error for report in reports):
        return EXIT_OK
    return EXIT_PARTIAL if any(report.accepted or report.duplicates for report in reports) else EXIT_INVALID
