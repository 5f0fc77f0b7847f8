"""Run a program under LangSmith's SDK in OpenTelemetry mode, and write the spans that it makes to a file as well.

usage: python langsmith_app.py PROGRAM FILE, with LANGSMITH_* and OTEL_EXPORTER_OTLP_* in the environment
"""

import runpy
import sys
from pathlib import Path

from langsmith.run_trees import get_cached_client
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


def main(program, path):
    client = get_cached_client()  # sets the provider that it exports with, as in any program that uses it
    provider, memory = trace.get_tracer_provider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    runpy.run_path(program, run_name="__main__")
    client.flush()
    provider.shutdown()
    Path(path).write_bytes(encode_spans(memory.get_finished_spans()).SerializeToString())


if __name__ == "__main__":
    main(*sys.argv[1:])
