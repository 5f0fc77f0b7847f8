"""OpenTelemetry's entry points, for programs started with its auto-instrumentation (`ihobs exec` starts it).

The instrumentor does the work, and needs neither of the others: OpenTelemetry loads only one distro and one
configurator, which may be somebody else's.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]  # untyped file
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # untyped file

from ihobs.telemetry.instrumentors import concerns_llms
from ihobs.telemetry.places import LANGCHAIN_SCOPE, MAX_SPAN_ATTRIBUTES
from ihobs.telemetry.provider import UnseededIds
from ihobs.telemetry.setup import Instrumentation, instrument_program

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from opentelemetry.util._importlib_metadata import EntryPoint

_ASKING = ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER", "OTEL_CONFIG_FILE")


class IhobsInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # untyped file
    """Records the program that is about to start."""

    _instrumentation: Instrumentation | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the packages that must be there: none."""
        return ()

    def _instrument(self, **_: Any) -> None:
        self._instrumentation = instrument_program()

    def _uninstrument(self, **_: Any) -> None:
        if self._instrumentation is not None:
            self._instrumentation.shutdown()


class IhobsDistro(BaseDistro):  # type: ignore[misc]  # untyped file
    """Raises the attribute limit of every provider that the program makes, and leaves LLM libraries to us."""

    def _configure(self, **_: Any) -> None:
        if not os.environ.get("OTEL_ATTRIBUTE_COUNT_LIMIT"):
            os.environ.setdefault("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", str(MAX_SPAN_ATTRIBUTES))

    def load_instrumentor(self, entry_point: EntryPoint, **kwargs: Any) -> None:
        """Load an instrumentor; those of LLM libraries wait until the library is imported, which may be slow."""
        if not (entry_point.value.startswith(LANGCHAIN_SCOPE) or concerns_llms(entry_point)):
            super().load_instrumentor(entry_point, **kwargs)


class IhobsConfigurator:
    """Sets OpenTelemetry up as it does by itself, but only when a variable names exporters or a file."""

    def configure(self, **kwargs: Any) -> None:
        """Configure the SDK if the variables ask for it. Called by OpenTelemetry's auto-instrumentation."""
        if not exporters_asked_for(os.environ):
            return
        from opentelemetry.sdk._configuration import _OTelSDKConfigurator  # slow, and seldom needed

        class Configurator(_OTelSDKConfigurator):
            """OpenTelemetry's own, from which distributions are told to derive."""

        Configurator().configure(id_generator=UnseededIds(), **kwargs)  # type: ignore[no-untyped-call]  # untyped file


def exporters_asked_for(environ: Mapping[str, str]) -> bool:
    """Return whether OpenTelemetry's variables ask for exporters, or name a configuration file."""
    return any(environ.get(name, "none").strip().lower() not in {"", "none"} for name in _ASKING)
