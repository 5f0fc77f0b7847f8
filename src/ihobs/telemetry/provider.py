"""Which TracerProvider our processor sits on: the program's own when it has one, else one of ours.

`attach` joins at once or makes a provider at once. `attach_when_known` is for a program that has not started
yet: it waits until the program sets its own provider, and makes ours only when a span is started before that.
"""

from __future__ import annotations

import atexit
import os
import random
import sys
import threading
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from ihobs.guard import guard, log
from ihobs.telemetry.places import MAX_SPAN_ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import SpanProcessor

_LIMITS = ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT")


class UnseededIds(RandomIdGenerator):
    """Random ids from the system, so that a program that calls `random.seed(42)` does not repeat its ids.

    A span whose ids are known already is taken for the same span sent again.
    """

    def __init__(self) -> None:
        self._bits = random.SystemRandom().getrandbits

    def generate_span_id(self) -> int:
        """Return a random 64-bit number, never 0."""
        return self._bits(64) or 1

    def generate_trace_id(self) -> int:
        """Return a random 128-bit number, never 0."""
        return self._bits(128) or 1


class Attachment:
    """Puts one processor on the providers of this process.

    Attributes:
        provider: the first that the processor sits on; None while that is not known.
    """

    def __init__(self, processor: SpanProcessor, service: str | None) -> None:
        self._processor, self._service = processor, service
        self._lock = threading.RLock()
        self._joined: list[TracerProvider] = []
        self._restore: dict[str, Any] = {}

    @property
    def provider(self) -> TracerProvider | None:
        """The first provider that the processor sits on."""
        return self._joined[0] if self._joined else None

    def service(self) -> str:
        """Return the name of the service that the spans carry."""
        if self.provider is None:
            return self._service or program_name()
        return str(self.provider.resource.attributes.get(SERVICE_NAME, ""))

    def resource(self) -> Mapping[str, Any]:
        """Return the attributes that the spans of this process carry; the service's name while nobody set more."""
        return {SERVICE_NAME: self.service()} if self.provider is None else self.provider.resource.attributes

    def rename(self, service: str | None) -> None:
        """Use another name for a provider of ours, if it is still to be made."""
        self._service = service

    def attach(self) -> None:
        """Join the provider of the program; make one of ours, set for everybody, when it has none."""
        with self._lock:
            found = trace.get_tracer_provider()
            if isinstance(found, trace.ProxyTracerProvider):
                found = create_provider(self._service)
                trace.set_tracer_provider(found)
            self._join(found)

    def attach_when_known(self) -> None:
        """Join the provider that the program sets; ours is made when a span starts and there is none."""
        with self._lock:
            if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
                self.attach()
                return
            self._watch()

    def _join(self, provider: trace.TracerProvider) -> None:
        if not isinstance(provider, TracerProvider):
            log.error("ihobs cannot join %s: it is not an OpenTelemetry SDK TracerProvider", type(provider).__name__)
            return
        if provider in self._joined:
            return
        if type(provider.id_generator) is RandomIdGenerator:
            provider.id_generator = UnseededIds()  # for the tracers still to come; the same numbers, another source
        provider.add_span_processor(self._processor)
        self._joined.append(provider)

    def _watch(self) -> None:
        """Notice a provider being set, and the first span that is started without one."""
        set_provider = trace.set_tracer_provider
        proxy = trace.ProxyTracer
        start_span, start_as_current = proxy.start_span, proxy.start_as_current_span

        def set_and_join(tracer_provider: trace.TracerProvider) -> None:
            set_provider(tracer_provider)
            with guard:
                self._join(tracer_provider)

        def start(tracer: trace.ProxyTracer, *args: Any, **kwargs: Any) -> Any:
            self._first_span()
            return start_span(tracer, *args, **kwargs)

        def start_current(tracer: trace.ProxyTracer, *args: Any, **kwargs: Any) -> Any:
            self._first_span()
            return start_as_current(tracer, *args, **kwargs)

        self._restore = {"start_span": start_span, "start_as_current_span": start_as_current}
        _patch(trace, {"set_tracer_provider": set_and_join})
        _patch(proxy, {"start_span": start, "start_as_current_span": start_current})

    def _first_span(self) -> None:
        with guard, self._lock:
            if self._restore:
                _patch(trace.ProxyTracer, self._restore)
                self._restore = {}
            if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
                provider = create_provider(self._service)
                _add_exporter_asked_for(provider, os.environ)
                trace.set_tracer_provider(provider)


def create_provider(service: str | None, environ: Mapping[str, str] = os.environ) -> TracerProvider:
    """Return a provider with a name, room for long chats, and ids that no seed repeats. It is ours to shut down."""
    named = (
        service or environ.get("OTEL_SERVICE_NAME") or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    )
    attributes = {SERVICE_NAME: service} if service else {} if named else {SERVICE_NAME: program_name()}
    limited = any(environ.get(name) for name in _LIMITS)
    return TracerProvider(
        resource=Resource.create(attributes),
        id_generator=UnseededIds(),
        span_limits=SpanLimits() if limited else SpanLimits(max_span_attributes=MAX_SPAN_ATTRIBUTES),
        shutdown_on_exit=False,
    )


def program_name() -> str:
    """Return a name for a service that nobody named: the script's or module's."""
    path = Path(sys.argv[0] if getattr(sys, "argv", None) else "")
    if path.name == "__main__.py":
        path = path.parent
    return path.stem if path.stem.strip("-") not in {"", "c", "m"} else "python"


def _add_exporter_asked_for(provider: TracerProvider, environ: Mapping[str, str]) -> None:
    """Add an OTLP exporter when the variables name an endpoint, as OpenTelemetry's own distribution would."""
    endpoint = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not endpoint or environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "grpc"
    name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    for point in entry_points(group="opentelemetry_traces_exporter", name=name):
        processor = BatchSpanProcessor(point.load()())
        provider.add_span_processor(processor)
        atexit.register(processor.shutdown)  # the provider, which would do that, is ours and stays up to the end


def _patch(owner: object, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        setattr(owner, name, value)
