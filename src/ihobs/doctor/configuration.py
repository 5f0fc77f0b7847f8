"""The configuration, what it refers to, and the plug-ins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ihobs.delivery.addresses import Addresses
from ihobs.delivery.policy import CONSOLE, FILE, policy_of
from ihobs.doctor.finding import Finding, ok, problem, warning
from ihobs.store.home import Home

if TYPE_CHECKING:
    from ihobs.doctor.examined import Examined

_REFERENCE = re.compile(r"\$\{env:(\w+)\}")


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
    for where, names in _referring(examined):
        for name in names:
            yield warning(
                "variables",
                f"{where} refers to ${{env:{name}}}, which is not set here",
                "a process that is started from here cannot reach it",
                f"set {name} where 'ihobs serve' or 'ihobs exec' is started",
            )


def receivers(examined: Examined) -> Iterator[Finding]:
    """Whether every receiver that is named has an address."""
    known, addresses = examined.settings.receivers, _addresses(examined)
    named = policy_of(examined.settings, Home(examined.home_path)).references()
    without = [one for one in named if one not in known and not one.startswith((CONSOLE, FILE))]
    for reference in without:
        yield warning(
            "receivers",
            f"'{addresses.shown(reference)}' has no address under 'receivers:'",
            "it is taken as an address itself; if it is none, what it should hear goes to the fallback",
            f"give it one, with secrets as ${{env:NAME}}; then: ihobs channels test '{addresses.shown(reference)}'",
        )
    if not without:
        yield ok("receivers", f"{', '.join(addresses.shown(one) for one in named)}: all have an address")


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
    """Yield what refers to variables, and the names of those that are not set."""
    addresses = _addresses(examined)
    named = policy_of(examined.settings, Home(examined.home_path)).references()
    for reference in dict.fromkeys([*named, *examined.settings.receivers]):
        yield f"the receiver '{addresses.shown(reference)}'", addresses.missing(reference)
    for name, destination in examined.settings.destinations.items():
        texts = [*destination.headers.values(), destination.endpoint or ""]
        missing = [
            one for text in texts for one in _REFERENCE.findall(text) if not examined.environ.get(one, "").strip()
        ]
        yield f"the destination '{name}'", missing


def _addresses(examined: Examined) -> Addresses:
    return Addresses(Home(examined.home_path), examined.settings.receivers, examined.environ)
