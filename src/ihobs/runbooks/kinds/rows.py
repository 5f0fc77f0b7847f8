"""Steps whose effect is a row of state.db: silences and controls. It is stored together with the step's outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ihobs.clock import SECOND_NS
from ihobs.matchers import parse
from ihobs.quantities import seconds
from ihobs.runbooks.kinds.forms import DURATION, TEXT, outputs, parameters, said
from ihobs.steps import Context, StepFailedError, StepKind, Values
from ihobs.store.state import controls, silences

if TYPE_CHECKING:
    import sqlite3

    from ihobs.runbooks.kinds.surroundings import Surroundings


def _owner(context: Context) -> str:
    return f"run {context.run_id}"


def _until_ns(context: Context, given: Values) -> int:
    return context.clock() + round(seconds(given["for"]) * SECOND_NS)


def silence_kind(around: Surroundings) -> StepKind:
    """Return the kind of step that silences alerts for a while."""

    def store(context: Context, given: Values, connection: sqlite3.Connection) -> Values:
        try:
            matchers = tuple(parse(text) for text in given["match"])
        except ValueError as error:
            raise StepFailedError(str(error)) from error
        now_ns = context.clock()
        silence = silences.Silence(0, matchers, now_ns, _until_ns(context, given), _owner(context), given["why"])
        return {"id": silences.insert(connection, silence, now_ns)}

    def undo(context: Context, given: Values, made: Values) -> None:  # noqa: ARG001 - the contract of steps
        silences.expire(around.state, made["id"], context.clock())

    return StepKind(
        name="silence",
        summary="tell nobody of some alerts for a while; undone by ending the silence",
        effect="change",
        idempotent=True,
        parameters=parameters(
            ("match", "for", "why"),
            match={
                "type": "array",
                "items": TEXT,
                "minItems": 1,
                "description": "Conditions on labels; all must fit.",
                "examples": [["rule=error_rate", "level=warning"]],
            },
            why=said(TEXT, "For whoever looks later."),
            **{"for": said(DURATION, "How long.")},
        ),
        outputs=outputs(id={"type": "integer", "description": "Its number.", "examples": [3]}),
        store=store,
        undo=undo,
    )


def control_kinds(around: Surroundings) -> tuple[StepKind, StepKind]:
    """Return the kinds of steps that set and end what holds for a while."""

    def set_(context: Context, given: Values, connection: sqlite3.Connection) -> Values:
        value = controls.value_of(given["name"], str(given["value"]))
        setting = controls.Setting(value, _owner(context), given["why"], _until_ns(context, given))
        before = controls.held(connection, given["name"], context.clock())
        made = controls.set_in(connection, given["name"], setting, context.clock())
        return {"previous": _as_output(before), "version": made.version}

    def clear(context: Context, given: Values, connection: sqlite3.Connection) -> Values:
        now_ns = context.clock()
        before = controls.held(connection, given["name"], now_ns)
        controls.clear_in(connection, given["name"], owner=_owner(context), reason=given["why"], now_ns=now_ns)
        return {"previous": _as_output(before)}

    def undo(context: Context, given: Values, made: Values) -> None:
        now_ns, name, why = context.clock(), given["name"], f"undone: {given['why']}"
        before = made["previous"]
        with around.state.write() as connection:
            held = controls.held(connection, name, now_ns)
            if held is not None and held.owner != _owner(context):
                return  # somebody has set it since, and knows why
            if before and before["expires_ns"] > now_ns:
                setting = controls.Setting(before["value"], _owner(context), why, before["expires_ns"])
                controls.set_in(connection, name, setting, now_ns)
            else:
                controls.clear_in(connection, name, owner=_owner(context), reason=why, now_ns=now_ns)

    names = {"enum": list(controls.KNOWN), "description": "Which one; see `ihobs controls list`."}
    previous = {
        "type": ["object", "null"],
        "title": "a mapping or nothing",
        "description": "What held before; nothing when it was not set.",
        "examples": [None],
    }
    why = said(TEXT, "For whoever looks later.")
    return (
        StepKind(
            name="control",
            summary="set a control for a while; undone by setting what held before",
            effect="change",
            idempotent=True,
            parameters=parameters(
                ("name", "value", "for", "why"),
                name=names,
                value={"description": "Its value."},
                why=why,
                **{"for": said(DURATION, "How long it holds.")},
            ),
            outputs=outputs(
                previous=previous, version={"type": "integer", "description": "Of the control.", "examples": [2]}
            ),
            store=set_,
            undo=undo,
        ),
        StepKind(
            name="clear_control",
            summary="end a control now, so that its default holds; undone by setting it again",
            effect="change",
            idempotent=True,
            parameters=parameters(("name", "why"), name=names, why=why),
            outputs=outputs(previous=previous),
            store=clear,
            undo=undo,
        ),
    )


def _as_output(held: controls.Control | None) -> dict[str, Any] | None:
    return None if held is None else {"value": held.value, "expires_ns": held.expires_ns}
