"""Every hook of ihobs, on one page.

A plug-in is a module (or any object) with functions of these names, marked `@ihobs.hookimpl` and found
through the entry-point group `ihobs`. Our own plug-ins use the same door.

All hooks are called one plug-in at a time, ours first: one that raises loses only its own answer, and is named in
the log of the process that called it. `ihobs plugins list` names those that cannot be loaded, and asks for rules
and commands to see who fails. Answer with a list, never a generator: a generator would run, and fail, outside
the guard around the call; it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pluggy

from ihobs.model import Outcome, Rule
from ihobs.steps import StepKind

if TYPE_CHECKING:
    import click

    from ihobs.config import Settings
    from ihobs.model import Event, Notification, Window

hookspec = pluggy.HookspecMarker("ihobs")
hookimpl = pluggy.HookimplMarker("ihobs")


@hookspec
def ihobs_rules(settings: Settings) -> list[Rule]:
    """Contribute alert rules.

    Called when the duties process starts, when the configuration changes, and by `ihobs alerts list`, on the
    thread that asks.

    Args:
        settings: the configuration in force.

    Returns:
        The rules. An id that another plug-in has already used is refused and reported.

    If it raises: this plug-in's rules are missing, the others stand.
    """
    raise AssertionError(settings)


@hookspec
def ihobs_window_closed(window: Window) -> None:
    """Hear the aggregated metrics of one closed 10-second bucket.

    Called once per closed bucket that held spans, in the duties process, on its evaluation thread: return
    quickly, or hand the work to a thread of your own. Buckets are closed 15 s after their end.

    Args:
        window: the numbers of the bucket.

    If it raises: this plug-in misses this window; the next one is offered as usual.
    """
    raise AssertionError(window)


@hookspec
def ihobs_event(event: Event) -> None:
    """Hear that an alert or an incident changed.

    Called in the duties process after the change is committed, on its evaluation thread; of an incident, whoever
    changed it. Names begin with "alert." or "incident.": opened, reopened, severity, acknowledged, mitigated, at_risk,
    breached, escalated, bridge, merged, resolved.

    Args:
        event: what changed.

    If it raises: this plug-in misses this event; the others hear it.
    """
    raise AssertionError(event)


@hookspec
def ihobs_notify(notification: Notification, receiver: str) -> bool | Outcome | None:
    """Deliver a message to a receiver.

    Called in the duties process, once for each message and receiver, and again with the same `key` when it may not
    have arrived. Several threads call it, but no two of them for the same receiver. `ihobs channels test` calls it.

    Args:
        notification: the message.
        receiver: its address: what `receivers:` has for the reference, with variables filled in, else the reference
            itself, e.g. "console:", "file:alerts.log". It may hold secrets.

    Returns:
        None when the receiver is not this plug-in's. True when delivered; False when delivery failed and is to be
        tried again. An `Outcome` says more: that it would fail again, when to try again, what the receiver calls it.

    If it raises: it counts as a failed delivery by this plug-in, and is tried again. The error's class is logged, not
    its message, which may quote an address.
    """
    raise AssertionError(notification, receiver)


@hookspec
def ihobs_redact(text: str, key: str) -> str | None:
    """Take out of a text what ihobs does not know to be secret or personal.

    Called in every process that stores spans, the orchestrator's included, on the thread that stores them, for each
    text that is kept, after ihobs has taken out what it finds; one plug-in is given what the one before returned.
    It is called very often: look for something cheap first, and import what is heavy only when it is needed.

    Args:
        text: an attribute's, or a name or message of the span.
        key: the attribute's key, or the part of the span in words, such as "span name".

    Returns:
        The text without it, the same text, or None when there is nothing to take out. Given its own answer, it must
        find nothing more in it.

    If it raises: the whole text is replaced by "[failed]", and counted; the span stays. The error's class is logged,
    not its message, which may quote the text.
    """
    raise AssertionError(text, key)


@hookspec
def ihobs_steps() -> list[StepKind]:
    """Contribute kinds of steps that runbooks can use.

    Called when a runbook is checked or run, in the process that does so. What a kind must keep to stands at
    `ihobs.steps.StepKind`.

    Returns:
        The kinds. A name that another plug-in or ihobs has already used is refused and reported.

    If it raises: this plug-in's kinds are missing, and runbooks that use them are refused before they start.
    """
    raise AssertionError


@hookspec
def ihobs_register_commands(group: click.Group) -> None:
    """Add commands to the `ihobs` command line.

    Called by the command line before it looks a command up that is not its own, and before it prints help.

    Args:
        group: the root group; a name that is taken is refused.

    If it raises: this plug-in's commands are missing.
    """
    raise AssertionError(group)


@dataclass(frozen=True, slots=True)
class Contract:
    """What a hook may answer beside None, in words and as a test."""

    text: str
    allows: Callable[[object], bool]


def _is_list_of_rules(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, Rule) for item in value)


def _is_list_of_kinds(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, StepKind) for item in value)


ANSWERS: Mapping[str, Contract] = {
    "ihobs_rules": Contract("a list of Rule", _is_list_of_rules),
    "ihobs_steps": Contract("a list of StepKind", _is_list_of_kinds),
    "ihobs_redact": Contract("a text or None", lambda value: isinstance(value, str)),
    "ihobs_notify": Contract("True, False, an Outcome or None", lambda value: isinstance(value, bool | Outcome)),
}
"""The hooks that answer something. Of the others the answer is ignored."""
