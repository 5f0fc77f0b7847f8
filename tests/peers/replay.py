"""Make the spans of OTLP files again, through OpenTelemetry's SDK for Python, and export them.

usage: python replay.py http|grpc FILE..., with OTEL_EXPORTER_OTLP_* in the environment
"""

import sys
from pathlib import Path

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator

from ihobs.spans.decode import read_file

EXPORTERS = {"http": HttpExporter, "grpc": GrpcExporter}


class KnownIds(IdGenerator):
    """Gives out the ids that the spans had."""

    next = None

    def generate_trace_id(self):
        return int.from_bytes(self.next.trace_id)

    def generate_span_id(self):
        return int.from_bytes(self.next.span_id)


def value_of(value):
    kind = value.WhichOneof("value")
    return [value_of(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)


def attributes_of(pairs):
    return {pair.key: value_of(pair.value) for pair in pairs}


def context_of(span):
    if not span.parent_span_id:
        return trace.set_span_in_context(trace.INVALID_SPAN)
    ids = (int.from_bytes(span.trace_id), int.from_bytes(span.parent_span_id))
    parent = trace.SpanContext(*ids, is_remote=False, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED))
    return trace.set_span_in_context(trace.NonRecordingSpan(parent))


def replay(tracer, span):
    made = tracer.start_span(
        span.name,
        context_of(span),
        trace.SpanKind(max(span.kind - 1, 0)),  # OTLP's 0 is "unspecified", the SDK's is "internal"
        attributes_of(span.attributes),
        start_time=span.start_time_unix_nano,
    )
    for event in span.events:
        made.add_event(event.name, attributes_of(event.attributes), event.time_unix_nano)
    if span.status.code:
        made.set_status(trace.StatusCode(span.status.code), span.status.message or None)
    made.end(span.end_time_unix_nano)


def replay_resource(resource, processor):
    ids = KnownIds()
    provider = TracerProvider(
        resource=Resource(attributes_of(resource.resource.attributes)),
        id_generator=ids,
        span_limits=SpanLimits(max_span_attributes=1000),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(processor)
    for scope in resource.scope_spans:
        tracer = provider.get_tracer(scope.scope.name, scope.scope.version)
        for ids.next in scope.spans:
            replay(tracer, ids.next)


def main(protocol, *paths):
    processor = BatchSpanProcessor(EXPORTERS[protocol](), max_queue_size=100_000, max_export_batch_size=200)
    for path in paths:
        for chunk in read_file(Path(path)):
            for resource in chunk.request.resource_spans:
                replay_resource(resource, processor)
    processor.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
