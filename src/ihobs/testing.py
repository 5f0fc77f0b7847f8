"""The kit for tests of plug-ins: plug-ins without installing them, a clock that is told the time, and the contract."""

from __future__ import annotations

from collections.abc import Callable

from ihobs.clock import SECOND_NS
from ihobs.plugins import Candidate, Plugins, load


class FakeClock:
    """A `Clock` that moves only when told."""

    def __init__(self, start_ns: int = 1_767_225_600 * SECOND_NS) -> None:
        self.now_ns = start_ns

    def __call__(self) -> int:
        """Return the time, in nanoseconds since the epoch."""
        return self.now_ns

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`; backwards when negative, as real clocks do."""
        self.now_ns += round(seconds * SECOND_NS)


def plugins_of(**plugins: object) -> Plugins:
    """Return the given modules (or objects) as loaded plug-ins, under the names of the arguments."""
    return load(Candidate(name, "in-process", "", _returning(plugin)) for name, plugin in plugins.items())


def check_keeps_contract(plugin: object, hook: str, **arguments: object) -> object:
    """Call `hook` of `plugin` as ihobs does, and return its answer.

    Raises:
        AssertionError: the plug-in cannot be loaded, does not know the hook, raises, or answers with something
            that the hook does not allow.
    """
    plugins = plugins_of(under_test=plugin)
    answers = plugins.call_each(hook, **arguments)
    if plugins.problems:
        raise AssertionError("; ".join(f"{one.hook}: {one.error}" for one in plugins.problems))
    if not any(hook in one.hooks for one in plugins.loaded):
        raise AssertionError(f"the plug-in has no function {hook} that is marked with @ihobs.hookimpl")
    return answers[0].value if answers else None


def _returning(plugin: object) -> Callable[[], object]:
    return lambda: plugin
