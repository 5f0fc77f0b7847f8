"""`ihobs exec -- CMD`: run a command under observation, and stay as the process that does the duties."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ihobs.cli.context import AppContext
from ihobs.cli.supervise import EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, supervise
from ihobs.duties import Duties
from ihobs.errors import IhobsError, StoreUnavailableError
from ihobs.model import Counters
from ihobs.store.query import metrics
from ihobs.store.telemetry import TelemetryStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ihobs.config import Config
    from ihobs.settings import Settings
    from ihobs.store.home import Home

SITE = Path(__file__).resolve().parent.parent / "telemetry" / "site"
"""The directory whose `sitecustomize` starts OpenTelemetry's auto-instrumentation."""


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--home", type=click.Path(path_type=Path), help="The home directory; goes over the global --home.")
@click.option("--service", help="The name that the spans carry; default: the script's.")
@click.option("--quiet", is_flag=True, help="Do not write the line of numbers at the end.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def exec_(
    context: click.Context, home: Path | None, service: str | None, quiet: bool, command: tuple[str, ...]
) -> None:
    """Run COMMAND under observation: ihobs exec -- python app.py.

    Every Python that COMMAND starts is recorded, without a change to its code. Signals go to COMMAND, and its exit
    code is the exit code. Meanwhile this process evaluates rules and tells receivers; with IHOBS_ENDPOINT, the server
    there does.
    """
    app: AppContext = context.obj
    if home is not None:
        app = AppContext(home, app.config_option, debug=app.debug, clock=app.clock)
    environ = child_environment(os.environ, app.config, service)
    run = _run_here if app.config.settings.endpoint is None else _run_for_endpoint
    context.exit(run(app, command, environ, quiet=quiet))


def _run_here(app: AppContext, command: Sequence[str], environ: Mapping[str, str], *, quiet: bool) -> int:
    """Run the command and do the duties of its home meanwhile; return its exit code."""
    opened = app.home(create=True)
    with TelemetryStore(opened) as store:
        started_ns = app.clock()
        before = _counted(store, started_ns, started_ns)
        code = supervise(command, environ, lambda: _duties(app, opened))
        if code not in {EXIT_NOT_FOUND, EXIT_NOT_EXECUTABLE} and not quiet:
            click.echo(_summary(store, before, (started_ns, app.clock()), _metrics(app, opened)), err=True)
    return code


def _run_for_endpoint(app: AppContext, command: Sequence[str], environ: Mapping[str, str], *, quiet: bool) -> int:
    """Run the command, whose spans go to an endpoint; the duties are done there. Return its exit code."""
    settings, started_ns = app.config.settings, app.clock()
    if not quiet:
        click.echo(f"ihobs: spans go to {settings.endpoint}, where alerts are evaluated", err=True)
    code = supervise(command, environ, contextlib.nullcontext)
    if not quiet:
        for line in _left_behind(settings, started_ns):
            click.echo(line, err=True)
    return code


def _left_behind(settings: Settings, started_ns: int) -> Iterator[str]:
    """Yield what is to be said of spans that the endpoint did not take."""
    from ihobs.cli.spooled import read_spooled

    try:
        found = read_spooled(settings)
    except StoreUnavailableError as error:
        yield f"ihobs: what waits for the endpoint cannot be read: {error}"
        return
    if found.waiting.files:
        yield f"ihobs: spans wait in {_shown(found.directory)}, for the next program that reaches the endpoint"
    if any(loss.last_ns >= started_ns for loss in found.losses):
        yield "ihobs: spans were lost; see 'ihobs status'"


def child_environment(environ: Mapping[str, str], config: Config, service: str | None) -> dict[str, str]:
    """Return the environment of the command: where the home is, and our `sitecustomize` first on the path."""
    path = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != str(SITE)]
    child = {
        "OTEL_PYTHON_DISTRO": "ihobs",
        "OTEL_PYTHON_CONFIGURATOR": "ihobs",
        **environ,
        "IHOBS_HOME": str(config.settings.home),
        "PYTHONPATH": os.pathsep.join([str(SITE), *path]),
    }
    if config.path is not None:
        child["IHOBS_CONFIG"] = str(config.path.absolute())
    if service is not None:
        child["OTEL_SERVICE_NAME"] = service
    return child


@contextlib.contextmanager
def _duties(app: AppContext, home: Home) -> Iterator[None]:
    """Do the duties for the body, unless another process has them; the command runs without them when they fail."""
    duties = None
    try:
        duties = Duties(home, app.config.settings, app.plugins, clock=app.clock, watched=app.watched())
        duties.start()
    except IhobsError as error:
        click.echo(f"ihobs: the command runs, but no alert can fire: {error}", err=True)
    try:
        yield
    finally:
        if duties is not None:
            duties.stop()


def _counted(store: TelemetryStore, start_ns: int, end_ns: int) -> Counters:
    """Return the sums of everything since `start_ns`, to the bucket."""
    groups = metrics(store.database, start_ns=start_ns, end_ns=end_ns + 1).groups
    return groups[0].counters if groups else Counters()


def _summary(store: TelemetryStore, before: Counters, stretch_ns: tuple[int, int], command: str) -> str:
    """Return the line of numbers of this execution, which `command` shows more of.

    The first bucket may hold spans from before it: they are taken off.
    """
    try:
        store.settle(everything=True)  # the program ended: parents that are missing will not come
        after = _counted(store, *stretch_ns)
    except StoreUnavailableError as error:
        return f"ihobs: the numbers cannot be read: {error}"
    spans, runs, failed, input_tokens, output_tokens = (
        getattr(after, name) - getattr(before, name)
        for name in ("spans", "runs", "failed_runs", "input_tokens", "output_tokens")
    )
    if not spans:
        return "ihobs: no spans were recorded; name what to trace under 'instrument: targets:', or decorate it"
    tokens = input_tokens + output_tokens
    said = [f"{runs} run{'s' * (runs != 1)}", f"{failed} failed", *([f"{tokens} tokens"] if tokens else [])]
    return f"ihobs: {', '.join(said)}; see '{command}'"


def _metrics(app: AppContext, home: Home) -> str:
    """Return the command that shows the numbers of a home, as one would type it here."""
    found_alone = app.home_option is None and app.config_option is None
    return "ihobs metrics" if found_alone else f"ihobs --home {_shown(home.path)} metrics"


def _shown(path: Path) -> str:
    """Return a path as one would type it: relative to where one is, unless that leads upwards."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith(os.pardir) else relative
