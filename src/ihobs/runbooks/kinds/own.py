"""All kinds of steps that ihobs brings, for the surroundings in which they are to work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ihobs.runbooks.kinds import flow, people
from ihobs.runbooks.kinds.command import command_kind
from ihobs.runbooks.kinds.http import http_kind
from ihobs.runbooks.kinds.measure import health_kind, query_kind, wait_until_kind
from ihobs.runbooks.kinds.python import python_kind
from ihobs.runbooks.kinds.rows import control_kinds, silence_kind
from ihobs.runbooks.registry import Kinds

if TYPE_CHECKING:
    from ihobs.plugins import Plugins
    from ihobs.runbooks.kinds.surroundings import Surroundings
    from ihobs.steps import StepKind


def own_kinds(around: Surroundings) -> list[StepKind]:
    """Return ihobs' own kinds of steps."""
    query, health, http = query_kind(around), health_kind(around), http_kind(around)
    return [
        query,
        health,
        wait_until_kind({"query": query, "health": health}),
        http,
        command_kind(around),
        python_kind(around),
        silence_kind(around),
        *control_kinds(around),
        *people.KINDS,
        *flow.KINDS,
    ]


def all_kinds(around: Surroundings, plugins: Plugins | None = None) -> Kinds:
    """Return the kinds of steps that runbooks can use: ihobs' own, and those of `plugins`."""
    return Kinds(own_kinds(around), plugins)
