"""The kinds of steps that runbooks can use here: ihobs' own, then those of plug-ins."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ihobs.plugins import Plugins
    from ihobs.steps import StepKind

log = logging.getLogger("ihobs.runbooks")


class Kinds(Mapping[str, "StepKind"]):
    """Kinds of steps by name.

    Attributes:
        sources: who brings each kind: "ihobs" or the name of a plug-in.
        refused: what plug-ins brought under names that were taken, one line each.
    """

    def __init__(self, own: Iterable[StepKind], plugins: Plugins | None = None) -> None:
        self._kinds = {kind.name: kind for kind in own}
        self.sources = dict.fromkeys(self._kinds, "ihobs")
        self.refused: list[str] = []
        for answer in plugins.call_each("ihobs_steps") if plugins else ():
            for kind in answer.value:
                self._add(kind, answer.plugin)

    def _add(self, kind: StepKind, plugin: str) -> None:
        if kind.name in self._kinds or kind.name in RESERVED:
            owner = self.sources.get(kind.name, "ihobs")
            self.refused.append(f"plug-in {plugin}: the kind of step {kind.name!r} is taken by {owner}")
            log.warning(self.refused[-1])
            return
        self._kinds[kind.name] = kind
        self.sources[kind.name] = plugin

    def __getitem__(self, name: str) -> StepKind:
        """Return a kind by its name."""
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names, ihobs' own first."""
        return iter(self._kinds)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._kinds)

    def like(self, name: str) -> str:
        """Return what was probably meant, for a message."""
        close = difflib.get_close_matches(name, [*self, *BLOCKS], 1)
        return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted([*self, *BLOCKS]))}"


BLOCKS = ("if", "switch", "for_each", "parallel", "try")
"""Keys that make a step a block of steps."""

COMMON_KEYS = ("id", "when", "timeout", "retry", "continue_on_error", "effect", "idempotent", "undo", "outputs", "note")
"""Keys of every step that is no block."""

BLOCK_KEYS = {
    "if": ("then", "elif", "else"),
    "switch": (),
    "for_each": ("as", "do", "concurrency", "limit"),
    "parallel": (),
    "try": ("rescue", "always"),
}
"""Keys that a block may have beside its own, `id`, `when` and `note`."""

RESERVED = frozenset({*BLOCKS, *COMMON_KEYS, *(key for keys in BLOCK_KEYS.values() for key in keys), "case", "default"})
"""What no kind of step may be called."""
