"""The life of an incident: which state follows which, and what is not possible. A table, and nothing else.

open -> acknowledged -> mitigated -> resolved -> reviewed -> closed

What has happened already is no error: whoever acknowledges an incident that is acknowledged is told by whom.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from ihobs.errors import RefusedError

State = Literal["open", "acknowledged", "mitigated", "resolved", "reviewed", "closed"]
STATES: tuple[State, ...] = get_args(State)
UNRESOLVED: tuple[State, ...] = ("open", "acknowledged", "mitigated")

Action = Literal["acknowledge", "mitigate", "recur", "resolve", "reopen", "review", "close", "merge"]
ACTIONS: tuple[Action, ...] = get_args(Action)

TRANSITIONS: Mapping[tuple[State, Action], State] = {
    ("open", "acknowledge"): "acknowledged",
    ("open", "mitigate"): "mitigated",
    ("open", "resolve"): "resolved",
    ("open", "merge"): "closed",
    ("acknowledged", "acknowledge"): "acknowledged",
    ("acknowledged", "mitigate"): "mitigated",
    ("acknowledged", "resolve"): "resolved",
    ("acknowledged", "merge"): "closed",
    ("mitigated", "acknowledge"): "mitigated",  # somebody sees it after its alerts are over: it stays so
    ("mitigated", "mitigate"): "mitigated",
    ("mitigated", "recur"): "open",  # or acknowledged, when somebody has: see `after`
    ("mitigated", "resolve"): "resolved",
    ("mitigated", "merge"): "closed",
    ("resolved", "resolve"): "resolved",
    ("resolved", "reopen"): "open",
    ("resolved", "review"): "reviewed",
    ("resolved", "close"): "closed",  # where a review is not asked for
    ("resolved", "merge"): "closed",
    ("reviewed", "reopen"): "open",
    ("reviewed", "review"): "reviewed",
    ("reviewed", "close"): "closed",
    ("closed", "close"): "closed",
}

_DONE: Mapping[Action, str] = {
    "acknowledge": "acknowledged",
    "mitigate": "mitigated",
    "recur": "taken up again",
    "resolve": "resolved",
    "reopen": "reopened",
    "review": "reviewed",
    "close": "closed",
    "merge": "merged",
}


class IllegalTransitionError(RefusedError):
    """What is asked for does not follow the state that the incident is in.

    Attributes:
        incident: its id. state: it is in. action: what was asked for.
    """

    def __init__(self, incident: str, state: State, action: Action) -> None:
        possible = [one for one in ACTIONS if (state, one) in TRANSITIONS]
        hint = f"possible now: {', '.join(possible)}"
        super().__init__(f"{incident} is {state} and cannot be {_DONE[action]}", hint)
        self.incident, self.state, self.action = incident, state, action


def after(incident: str, state: State, action: Action, *, is_acknowledged: bool = False) -> State:
    """Return the state that follows; the same one when `action` has been done already.

    Args:
        is_acknowledged: somebody takes care of it, so that what comes back does not look for somebody again.

    Raises:
        IllegalTransitionError: nothing follows.
    """
    found = TRANSITIONS.get((state, action))
    if found is None:
        raise IllegalTransitionError(incident, state, action)
    if action == "recur" and is_acknowledged:
        return "acknowledged"
    return found
