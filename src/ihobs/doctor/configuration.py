"""The configuration, what it refers to, and the plug-ins."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ihobs.doctor.finding import Finding, ok, problem, warning

if TYPE_CHECKING:
    from ihobs.doctor.examined import Examined

_REFERENCE = re.compile(r"\$\{env:(\w+)\}")
_OWN_SCHEMES = ("console:", "file:")
"""Receivers that need no address."""


def file(examined: Examined) -> Iterator[Finding]:
    """Whether the configuration can be used, and all of it is."""
    if examined.config is None:
        yield problem(
            "configuration",
            examined.config_error,
            "nothing starts with it: programs record nothing, and the rest of this examination is of the defaults",
            "put it right; 'ihobs config check' shows every mistake by line and column",
        )
        return
    path = examined.config.path
    yield ok("configuration", f"{path} is valid" if path else "no file: the defaults are in force")
    for line in examined.config.unused:
        yield warning("configuration", line, "it changes nothing", "take it out, or wait for a version that uses it")


def switched_off(examined: Examined) -> Iterator[Finding]:
    """Whether something is switched off, or goes elsewhere."""
    if examined.settings.disabled:
        yield warning(
            "recording",
            "IHOBS_DISABLED is set",
            "programs that are started from here record nothing",
            "unset IHOBS_DISABLED if that is not meant",
        )
    if examined.settings.endpoint:
        yield ok(
            "recording", f"programs send their spans to {examined.settings.endpoint}; run 'ihobs doctor' there, too"
        )


def variables(examined: Examined) -> Iterator[Finding]:
    """Whether the variables are set that addresses and headers refer to."""
    for where, texts in _referring(examined):
        for name in sorted({name for text in texts for name in _REFERENCE.findall(text)}):
            if not examined.environ.get(name, "").strip():
                yield warning(
                    "variables",
                    f"{where} refers to ${{env:{name}}}, which is not set here",
                    "a process that is started from here cannot reach it",
                    f"set {name} where 'ihobs serve' or 'ihobs exec' is started",
                )


def receivers(examined: Examined) -> Iterator[Finding]:
    """Whether every channel leads to an address."""
    mapped = examined.settings.receivers
    levels: dict[str, list[str]] = {}
    for level, references in examined.settings.channels.items():
        for reference in references:
            levels.setdefault(reference, []).append(level)
    for reference, named in levels.items():
        if reference not in mapped and not reference.startswith(_OWN_SCHEMES):
            yield warning(
                "receivers",
                f"'{reference}' ({', '.join(named)}) has no address",
                "it is taken as an address itself; if it is none, what it should hear goes to the fallback",
                f'give it one under \'receivers:\', such as "{reference}": "${{env:NAME}}"',
            )
    if levels and all(reference in mapped or reference.startswith(_OWN_SCHEMES) for reference in levels):
        yield ok("receivers", f"all {len(levels)} have an address")


def plugins(examined: Examined) -> Iterator[Finding]:
    """Whether plug-ins load and answer."""
    examined.plugins.call_each("ihobs_rules", settings=examined.settings)
    for each in examined.plugins.problems:
        yield problem(
            "plug-ins",
            f"{each.plugin}: {each.hook}: {each.error}",
            "what this plug-in brings is missing; the others work",
            "update or remove it; 'ihobs plugins list' shows who brought it",
        )
    if not examined.plugins.problems:
        yield ok("plug-ins", f"{', '.join(plugin.name for plugin in examined.plugins.loaded) or 'none'}: all load")


def _referring(examined: Examined) -> Iterator[tuple[str, list[str]]]:
    """Yield what may refer to variables, and its texts."""
    for reference, address in examined.settings.receivers.items():
        values = list(address.values()) if isinstance(address, Mapping) else [address]
        yield f"the receiver '{reference}'", [str(value) for value in values]
    for name, destination in examined.settings.destinations.items():
        yield f"the destination '{name}'", [*destination.headers.values(), destination.endpoint or ""]
