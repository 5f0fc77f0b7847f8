"""`ihobs demo`: a real orchestrator goes wrong and recovers, and ihobs is seen watching it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ihobs.cli.output import emit_json, json_option
from ihobs.errors import EXIT_FINDING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ihobs.cli.context import AppContext
    from ihobs.demo.director import Director, Frame

FAULTS = ("errors", "slow", "cost", "quota")
PROVIDERS = ("local", "openai")


@click.command()
@click.option("--fault", type=click.Choice(FAULTS), default="errors", show_default=True, help="What goes wrong.")
@click.option(
    "--provider",
    type=click.Choice(PROVIDERS),
    default="local",
    show_default=True,
    help="Whose model; openai costs money.",
)
@click.option("--home", type=click.Path(path_type=Path), help="The demo's own home; default .ihobs-demo.")
@click.option(
    "--seconds",
    type=click.FloatRange(5.0, 600.0),
    default=50.0,
    show_default=True,
    help="Give up so long after the first run; the demo ends as soon as the alert has cleared.",
)
@json_option
@click.pass_obj
def demo(app: AppContext, fault: str, provider: str, home: Path | None, seconds: float, as_json: bool) -> None:
    """Watch a real LangGraph orchestrator go wrong and recover.

    InsightHub summarises the documents of the packages that are installed here. It runs untouched, under `ihobs
    exec`, in good order, then with a fault, then in good order again. Ends with 1 when the alert did not fire and
    clear, or when ihobs counted other runs than InsightHub did.
    """
    from ihobs.demo.place import DEFAULT_HOME
    from ihobs.demo.requirements import check

    check(provider, os.environ)
    place = home or app.home_option or DEFAULT_HOME
    director = _start(place, fault, provider, seconds)
    from ihobs.cli import demo_screen

    if as_json:
        last = _last(director.frames())
        emit_json(demo_screen.facts(last, fault, place))
    else:
        last = demo_screen.show(director.frames(), fault, place)
    if not last.is_good:
        click.get_current_context().exit(EXIT_FINDING)


def _start(place: Path, fault: str, provider: str, seconds: float) -> Director:
    from ihobs.demo.director import Director
    from ihobs.demo.place import PROGRAM_LOG, WATCHED_RULE, prepare
    from ihobs.demo.program import Program, clean_environment, command

    home, config = prepare(place)
    log = home.path / PROGRAM_LOG
    log.parent.mkdir(exist_ok=True)
    program = Program(command(home, config, provider), log, clean_environment(os.environ))
    return Director(home, program, fault=fault, rule=WATCHED_RULE[fault], limit_s=seconds)


def _last(frames: Iterator[Frame]) -> Frame:
    *_, last = frames
    return last
