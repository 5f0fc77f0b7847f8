"""What a program notices of itself that makes its numbers wrong, or sends its runs twice.

Told once in its log, and kept in the home for `ihobs doctor`, which runs in another process and environment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from ihobs.guard import log
from ihobs.langsmith.access import accesses
from ihobs.langsmith.tracing import OwnTracing, own_tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from ihobs.settings import Settings

SAMPLING = "sampling"
DOUBLE_EXPORT = "double export"

_EVERYTHING = ("AlwaysOnSampler", "ParentBased{root:AlwaysOnSampler")
"""How descriptions of samplers begin that keep every span of a program's own."""


_WHAT_NOW = {
    SAMPLING: "let it keep all, and thin out what goes elsewhere by 'sample' of the destination",
    DOUBLE_EXPORT: "ihobs does not forward its spans there; unset the variable to let ihobs send them instead",
}


class Noticing:
    """Looks, and tells once.

    Args:
        settings, provider: of this program; asked when it looks.
    """

    def __init__(self, settings: Callable[[], Settings], provider: Callable[[], TracerProvider | None]) -> None:
        self._settings, self._provider = settings, provider
        self._told: set[str] = set()

    def __call__(self) -> Mapping[str, str]:
        """Return what is noticed now, subject -> text, and log what is new. Called when spans were stored."""
        noticed = dict(self._notice())
        for subject, text in noticed.items():
            if text not in self._told:
                self._told.add(text)
                log.warning("%s: %s; %s", subject, text, _WHAT_NOW[subject])
        return noticed

    def _notice(self) -> Iterator[tuple[str, str]]:
        provider = self._provider()
        sampler = "" if provider is None else provider.sampler.get_description()
        if sampler and not sampler.startswith(_EVERYTHING):
            yield SAMPLING, f"the program's sampler is {sampler}: spans that it leaves out are in no number"
        tracing = sdk_that_sends()
        if tracing is None:
            return
        for way in accesses(self._settings(), os.environ):
            if way.is_configured and way.endpoint == tracing.endpoint:
                traces = f"its LangSmith SDK traces to {tracing.endpoint} by itself ({tracing.variable})"
                yield DOUBLE_EXPORT, f"{traces}, where the destination '{way.name}' goes, too"


def sdk_that_sends(environ: Mapping[str, str] = os.environ) -> OwnTracing | None:
    """Return how this process's LangSmith SDK brings runs to LangSmith past OpenTelemetry; None: it does not."""
    if "langsmith" not in sys.modules:
        return None
    tracing = own_tracing(environ)
    return tracing if tracing is not None and tracing.sends else None
