"""Every transition, and every one that there is not, from every state."""

from __future__ import annotations

import pytest

from ihobs.errors import EXIT_REFUSED
from ihobs.incidents.lifecycle import ACTIONS, STATES, TRANSITIONS, UNRESOLVED, IllegalTransitionError, after

TABLE = """
              acknowledge   mitigate   recur  resolve   reopen  review    close   merge
open          acknowledged  mitigated  -      resolved  -       -         -       closed
acknowledged  acknowledged  mitigated  -      resolved  -       -         -       closed
mitigated     mitigated     mitigated  open   resolved  -       -         -       closed
resolved      -             -          -      resolved  open    reviewed  closed  closed
reviewed      -             -          -      -         open    reviewed  closed  -
closed        -             -          -      -         -       -         closed  -
"""


def cells():
    head, *rows = TABLE.strip().splitlines()
    for row in rows:
        state, *following = row.split()
        yield from ((state, action, to) for action, to in zip(head.split(), following, strict=True))


def test_the_table_names_every_state_and_every_action():
    assert {(state, action) for state, action, _ in cells()} == {
        (state, action) for state in STATES for action in ACTIONS
    }


@pytest.mark.parametrize(("state", "action", "to"), [cell for cell in cells() if cell[2] != "-"])
def test_what_is_possible(state, action, to):
    assert after("INC-1", state, action) == to
    again = TRANSITIONS.get((to, action))
    assert again in {None, to}, "what has happened already changes nothing"


@pytest.mark.parametrize(("state", "action"), [cell[:2] for cell in cells() if cell[2] == "-"])
def test_what_is_not_possible_says_so_and_what_is(state, action):
    with pytest.raises(IllegalTransitionError) as caught:
        after("INC-1", state, action)
    error = caught.value
    assert (error.incident, error.state, error.action, error.exit_code) == ("INC-1", state, action, EXIT_REFUSED)
    for one in (other for other in ACTIONS if (state, other) in TRANSITIONS):
        assert one in error.hint


def test_what_comes_back_goes_to_whoever_has_it():
    assert after("INC-1", "mitigated", "recur", is_acknowledged=True) == "acknowledged"
    assert after("INC-1", "resolved", "reopen", is_acknowledged=True) == "open"


def test_unresolved_is_what_can_still_be_resolved_anew():
    assert set(UNRESOLVED) == {
        state for (state, action), to in TRANSITIONS.items() if action == "resolve" and to != state
    }
