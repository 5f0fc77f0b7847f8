"""All checks, in the order in which they are told. One that cannot look is told too, and ends nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ihobs.doctor import backends, configuration, programs, running, storage
from ihobs.doctor.finding import Finding, ok, problem
from ihobs.errors import IhobsError

if TYPE_CHECKING:
    from ihobs.doctor.examined import Examined

Check = Callable[["Examined"], Iterator[Finding]]

CHECKS: Sequence[Check] = (
    configuration.file,
    configuration.switched_off,
    configuration.variables,
    configuration.receivers,
    configuration.plugins,
    storage.home,
    storage.permissions,
    storage.databases,
    storage.disk,
    running.duties,
    running.rules,
    running.deliveries,
    running.waiting,
    running.losses,
    running.clocks,
    programs.instrumentations,
    programs.recorded,
    programs.samplers,
    programs.exporters,
    programs.double_export,
    programs.noticed,
    backends.destinations,
    backends.langsmith,
)


def examine(examined: Examined, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """Yield what each check finds, as it finds it."""
    for check in checks:
        try:
            yield from check(examined)
        except (IhobsError, OSError, sqlite3.Error) as error:
            subject = check.__name__.replace("_", " ")
            if examined.is_outdated:
                yield ok(subject, "can be looked at when the databases are brought to this version")
                continue
            yield problem(
                subject,
                f"cannot be looked at: {error}",
                "whether it is as it should be is not known",
                "put right first what is told of the home and its databases",
            )
