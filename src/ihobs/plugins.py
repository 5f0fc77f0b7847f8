"""Load plug-ins and call their hooks, so that one that fails harms only itself and is named.

All plug-ins, ours and those of others, are found through the entry-point group `ihobs`. pluggy's own loader is
not used, because it lets a stranger's plug-in take the name of one of ours in silence, and because one
plug-in that raises on import would end every command.
"""

from __future__ import annotations

import difflib
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from ihobs import hookspecs

GROUP = "ihobs"
OUR_DISTRIBUTION = "ihobs"
MAX_ERROR_CHARS = 500
"""An error is one line in a table and in the log; pluggy's have several."""
LOADING = "load"
"""Stands for a hook's name in a problem that arose while loading."""

log = logging.getLogger("ihobs.plugins")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plug-in that could be loaded.

    Attributes:
        name: of the entry point; unique.
        distribution, version: who brings it.
        load: imports it and returns it.
    """

    name: str
    distribution: str
    version: str
    load: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plug-in that is loaded, and the hooks it answers."""

    name: str
    distribution: str
    version: str
    hooks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something a plug-in did wrong.

    Attributes:
        plugin: its name.
        hook: the hook that failed, or "load".
        error: the latest error, in one line.
        count: how often this hook of this plug-in has failed.
    """

    plugin: str
    hook: str
    error: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What one plug-in answered to a hook; never None."""

    plugin: str
    value: Any


class BadAnswerError(TypeError):
    """A plug-in answered with something that the hook's contract does not allow."""


class Plugins:
    """The plug-ins of this process, in the order in which they are called: ours first. Safe for threads.

    Attributes:
        loaded: the plug-ins that answer hooks.
        quiet: leave problems out of the log, for who shows them himself.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.loaded: list[Plugin] = []
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        self._problems: dict[tuple[str, str], Problem] = {}
        self._lock = threading.Lock()

    @property
    def problems(self) -> list[Problem]:
        """What went wrong so far, oldest first; one entry for each hook of each plug-in."""
        with self._lock:
            return list(self._problems.values())

    def add(self, candidate: Candidate) -> None:
        """Load one plug-in; whatever is wrong with it becomes a problem, and it stays out."""
        try:
            self._refuse_taken(candidate.name)
            hooks = _register(self._manager, candidate.name, candidate.load())
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code: the other plug-ins must still load
            self._report(candidate.name, LOADING, error)
        else:
            self.loaded.append(Plugin(candidate.name, candidate.distribution, candidate.version, hooks))

    def call_each(self, hook: str, **arguments: object) -> list[Answer]:
        """Call `hook` of each plug-in, ours first, and return the answers that are not None.

        A plug-in that raises, or breaks the hook's contract, loses its answer and becomes a problem.
        """
        answers = []
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            given = {name: arguments[name] for name in implementation.argnames}
            try:
                value = _checked(hook, implementation.function(**given))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code: the others must still be heard
                self._report(implementation.plugin_name, hook, error, quoting=hook != "ihobs_notify")  # addresses
            else:
                if value is not None:
                    answers.append(Answer(implementation.plugin_name, value))
        return answers

    def answering(self, hook: str) -> bool:
        """Return whether some plug-in answers `hook`."""
        return any(hook in plugin.hooks for plugin in self.loaded)

    def refine(self, hook: str, text: str, **arguments: object) -> str | None:
        """Hand `text` from plug-in to plug-in; return what the last made of it, None when one failed.

        An error is reported by its class alone: its message may quote the text.
        """
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            given = {name: text if name == "text" else arguments[name] for name in implementation.argnames}
            try:
                value = _checked(hook, implementation.function(**given))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code: what it failed on must not stay
                self._report(implementation.plugin_name, hook, error, quoting=False)
                return None
            text = text if value is None else str(value)
        return text

    def _refuse_taken(self, name: str) -> None:
        for plugin in self.loaded:
            if plugin.name == name:
                raise ValueError(f"the name {name!r} is taken by {plugin.distribution} {plugin.version}")

    def _report(self, plugin: str, hook: str, error: BaseException, *, quoting: bool = True) -> None:
        text = " ".join(f"{type(error).__name__}: {error if quoting else 'not quoted'}".split())[:MAX_ERROR_CHARS]
        with self._lock:
            known = self._problems.get((plugin, hook))
            self._problems[plugin, hook] = (
                Problem(plugin, hook, text) if known is None else replace(known, error=text, count=known.count + 1)
            )
        level = logging.DEBUG if known or self.quiet else logging.WARNING
        log.log(level, "plug-in %s: %s: %s", plugin, hook, text)
        if quoting:
            log.debug("plug-in %s: %s", plugin, hook, exc_info=error)


def load(candidates: Iterable[Candidate] | None = None, *, quiet: bool = False) -> Plugins:
    """Load all plug-ins, ours first, then by distribution and name.

    Args:
        candidates: what to load; the entry points that are installed when None.
        quiet: leave problems out of the log; they stand in `Plugins.problems` in any case.
    """
    plugins = Plugins(quiet=quiet)
    for candidate in installed() if candidates is None else candidates:
        plugins.add(candidate)
    return plugins


def installed() -> list[Candidate]:
    """Return the plug-ins of the installed distributions, ours first, so that nobody can take our names."""
    return sorted(
        (_candidate(point) for point in entry_points(group=GROUP)),
        key=lambda one: (one.distribution != OUR_DISTRIBUTION, one.distribution, one.name),
    )


def load_of_others(*, quiet: bool = False) -> Plugins:
    """Load the plug-ins of others only: ours do nothing in a process that only records."""
    return load([one for one in installed() if one.distribution != OUR_DISTRIBUTION], quiet=quiet)


def redaction_by(plugins: Plugins) -> Callable[[str, str], str | None] | None:
    """Return the plug-ins that redact as one function of a text and its key; None when there are none."""
    if not plugins.answering("ihobs_redact"):
        return None
    return lambda text, key: plugins.refine("ihobs_redact", text, key=key)


def _candidate(point: EntryPoint) -> Candidate:
    distribution, version = (point.dist.name, point.dist.version) if point.dist else ("unknown", "")
    return Candidate(point.name, distribution, version, point.load)


def _register(manager: pluggy.PluginManager, name: str, plugin: object) -> tuple[str, ...]:
    """Register `plugin` and return its hooks; leave no trace of one that breaks the rules."""
    try:
        manager.register(plugin, name=name)
        _check_hooks(manager, plugin)
    except Exception:
        if manager.has_plugin(name):  # register() adds the name before it looks at the hooks
            manager.unregister(name=name)
        raise
    return tuple(sorted(caller.name for caller in manager.get_hookcallers(plugin) or ()))


def _check_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    """Raise when `plugin` misspells a hook, wraps one, or has none."""
    known = [name for name in vars(hookspecs) if name.startswith("ihobs_")]
    callers = manager.get_hookcallers(plugin) or []
    if not callers:
        raise pluggy.PluginValidationError(plugin, "offers no hook; are its functions marked with @ihobs.hookimpl?")
    for caller in callers:
        if not caller.has_spec():
            close = difflib.get_close_matches(caller.name, known, 1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; the hooks are {', '.join(known)}"
            raise pluggy.PluginValidationError(plugin, f"unknown hook {caller.name!r}{hint}")
        if any(one.plugin is plugin and (one.wrapper or one.hookwrapper) for one in caller.get_hookimpls()):
            raise pluggy.PluginValidationError(plugin, f"{caller.name} is a wrapper; plug-ins are called one by one")


def _checked(hook: str, value: object) -> object:
    """Return `value` when it keeps the contract of `hook`.

    Raises:
        BadAnswerError: it is lazy (its code would run, and fail, outside the guard) or of the wrong type.
    """
    if inspect.iscoroutine(value):
        value.close()  # otherwise Python warns about our not awaiting it
    if inspect.isawaitable(value) or isinstance(value, Iterator | AsyncIterator):
        raise BadAnswerError(f"answered with a {type(value).__name__}; answer with a value, such as a list")
    expected = hookspecs.ANSWERS.get(hook)
    if expected is None:
        return None
    if value is not None and not expected.allows(value):
        raise BadAnswerError(f"answered with {_described(value)} instead of {expected.text}")
    return value


def _described(value: object) -> str:
    if isinstance(value, list):
        return "a list of " + (", ".join(sorted({type(item).__name__ for item in value})) or "nothing")
    return f"a {type(value).__name__}"
