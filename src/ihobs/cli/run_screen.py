"""What a run looks like: a line for each thing that happens while it runs, and the whole of it afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ihobs.cli.inert import inert
from ihobs.cli.moments import shown
from ihobs.clock import SECOND_NS, isoformat

if TYPE_CHECKING:
    from ihobs.runbooks.running import Result
    from ihobs.store.state.runs import Run, RunEvent

COLOURS = {
    "succeeded": "green",
    "done": "green",
    "rescued": "yellow",
    "waiting": "yellow",
    "failed": "red",
    "timed_out": "red",
    "unknown": "red",
    "cancelled": "red",
}
MAX_VALUE_CHARS = 100


class Screen:
    """Prints the events of a run as they come; the time of a step stands behind it."""

    def __init__(self) -> None:
        self._began_ns: dict[str, int] = {}

    def show(self, event: RunEvent) -> None:
        """Print one event, when it says something to people."""
        if event.name == "intent":
            self._began_ns[event.path] = event.at_ns
            return
        text = line_of(event, event.at_ns - self._began_ns.get(event.path, event.at_ns))
        if text:
            click.echo(text)


def line_of(event: RunEvent, took_ns: int = 0) -> str:
    """Return an event as a line; "" when it says nothing to people."""
    fields = event.fields
    if event.name == "outcome":
        return _outcome_line(event, took_ns)
    if event.name == "asked":
        return f"{_mark('waiting')} {event.path}: {inert(fields['text'])}"
    if event.name == "answered":
        said = "yes" if fields.get("yes") else "no" if "yes" in fields else inert(fields.get("answer"))
        return f"{'':<10} {event.path}: {inert(fields['by'])} says {said}"
    if event.name == "assumed":
        return f"{'':<10} {event.path}: {inert(fields['by'])} says that it is {fields['status']}"
    if event.name == "resumed":
        return f"{'':<10} {inert(fields['by'])} lets it go on"
    if event.name == "cancel":
        return f"{'':<10} {inert(fields['by'])} cancels the run"
    return ""


def _outcome_line(event: RunEvent, took_ns: int) -> str:
    fields = event.fields
    attempt = f" (attempt {event.attempt})" if event.attempt > 1 else ""
    took = f"  {took_ns / SECOND_NS:.1f} s" if took_ns >= SECOND_NS // 10 else ""
    about = fields["error"]["message"] if "error" in fields else _values(fields.get("outputs", {}))
    return f"{_mark(fields['status'])} {event.path}{attempt}{': ' if about else ''}{inert(about)}{took}"


def _mark(status: str) -> str:
    word = {"succeeded": "ok"}.get(status, status)
    return click.style(f"{word:<10}", fg=COLOURS.get(status))


def _values(outputs: Mapping[str, Any]) -> str:
    text = ", ".join(f"{name}={value}" for name, value in outputs.items() if value not in (None, "", [], {}))
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[: MAX_VALUE_CHARS - 3]}..."


def print_result(result: Result, questions: Sequence[RunEvent]) -> None:
    """Print how a run stands, and what can be done."""
    status = click.style(result.status, fg=COLOURS.get(result.status), bold=True)
    end = f" ({result.end_state.name}: {inert(result.end_state.summary)})" if result.end_state else ""
    click.echo(f"{result.run_id} {status}{end}")
    if result.error:
        step = f"{result.error['step']}: " if result.error.get("step") else ""
        click.echo(f"  {inert(step)}{inert(result.error['message'])}")
    for error in result.undo_failures:
        click.echo(f"  not undone: {inert(error['step'])}: {inert(error['message'])}")
    for name, value in result.outputs.items():
        click.echo(f"  {name} = {inert(value)}")
    for line in advice(result.run_id, result.status, result.paused_at, questions):
        click.echo(f"  {line}")


def advice(run_id: str, status: str, paused_at: str, questions: Sequence[RunEvent]) -> list[str]:
    """Return what can be done about a run that does not go on by itself."""
    if status == "unknown":
        return [
            f"{paused_at} had begun and did not end: look whether it is done, then",
            f"ihobs runs resume {run_id} --assume done|redo|failed",
        ]
    lines = []
    for question in questions:
        expires_ns = question.fields.get("expires_ns")
        until = f" (until {shown(expires_ns)} UTC)" if expires_ns else ""
        command = "answer" if question.fields["kind"] == "ask" else "approve"
        lines.append(f"{question.path}: {inert(question.fields['text'])}{until}")
        lines.append(
            f"ihobs runs {command} {run_id}" + (" ANSWER" if command == "answer" else "") + f" --step {question.path}"
        )
    return lines


def run_figures(run: Run, *, is_owned: bool) -> dict[str, object]:
    """Return a run with the names that `--json` promises."""
    return {
        "run": run.id,
        "runbook": run.runbook,
        "status": standing(run, is_owned=is_owned),
        "end_state": run.end_state or None,
        "by": run.started_by,
        "reason": run.reason,
        "started": isoformat(run.started_ns),
        "finished": isoformat(run.finished_ns) if run.finished_ns else None,
        "inputs": run.inputs,
        "outputs": run.outputs,
        "error": run.error,
    }


def standing(run: Run, *, is_owned: bool) -> str:
    """Return how a run is: one that runs without anybody running it was interrupted."""
    return "interrupted" if run.status == "running" and not is_owned else run.status


def event_figures(event: RunEvent) -> dict[str, object]:
    """Return an event with the names that `--json` promises."""
    return {
        "at": isoformat(event.at_ns),
        "step": event.path or None,
        "attempt": event.attempt or None,
        "event": event.name,
        **dict(event.fields),
    }
