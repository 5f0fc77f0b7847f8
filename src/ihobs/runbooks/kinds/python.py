"""The step that calls a Python function which the configuration allows."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ihobs.runbooks.kinds.forms import parameters
from ihobs.steps import Context, StepFailedError, StepKind, Values

if TYPE_CHECKING:
    from ihobs.runbooks.kinds.surroundings import Surroundings


def python_kind(around: Surroundings) -> StepKind:
    """Return the kind of step that calls a function."""

    def run(context: Context, given: Values) -> Values:  # noqa: ARG001 - the contract of steps
        function = _function(given["function"], around.allowed.python)
        try:
            made = function(**given.get("arguments", {}))
        except (Exception, SystemExit) as error:
            raise StepFailedError(f"{type(error).__name__}: {error}"[:500]) from error
        return dict(made) if isinstance(made, Mapping) else {"result": made}

    return StepKind(
        name="python",
        summary="call a function that `runbooks.allow.python` names",
        effect="change",
        idempotent=False,
        parameters=parameters(
            ("function",),
            function={
                "type": "string",
                "pattern": r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
                "title": "a function such as package.module:function",
                "description": "What to call.",
                "examples": ["ops.failover:to_secondary"],
            },
            arguments={"type": "object", "description": "Its arguments by name."},
        ),
        outputs={"type": "object"},
        run=run,
        shorthand="function",
        secrets=frozenset({"arguments"}),
        open_outputs=True,
    )


def _function(name: str, allowed: tuple[str, ...]) -> Any:
    """Return a function that may be called.

    Raises:
        StepFailedError: it is not allowed, or not there.
    """
    if name not in allowed:
        raise StepFailedError(f"the function {name!r} is not among runbooks.allow.python in ihobs.yaml", kind="refused")
    module, _, attribute = name.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (Exception, SystemExit) as error:
        raise StepFailedError(f"{name} cannot be imported: {type(error).__name__}: {error}"[:500]) from error
