"""The real traces: everything that an independent reading of the same JSON finds, is found."""

import gzip
import json

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.spans.decode import read_file

FILES = [
    "agent-prism.otlp.jsonl.gz",
    "any-agent.otlp.jsonl.gz",
    "fixtures.otlp.jsonl.gz",
    "langfuse.otlp.jsonl.gz",
    "tau2.otlp.jsonl.gz",
    "langgraph/langsmith_otel_langgraph_error.json",
    "langgraph/openinference_langgraph_ok.json",
    "langgraph/openllmetry_langgraph_ok.json",
]


def documents(path):
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
    return [json.loads(line) for line in text.splitlines()] if ".jsonl" in path.name else [json.loads(text)]


def flat(document):
    for resource in document["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                keys = [pair["key"] for pair in span.get("attributes", [])]
                texts = [pair["value"].get("stringValue") for pair in span.get("attributes", [])]
                times = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
                yield span["traceId"].lower(), span["spanId"].lower(), span.get("name", ""), times, keys, texts


def flat_message(request):
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                keys = [pair.key for pair in span.attributes]
                values = [pair.value for pair in span.attributes]
                texts = [each.string_value if each.HasField("string_value") else None for each in values]
                times = span.start_time_unix_nano, span.end_time_unix_nano
                yield span.trace_id.hex(), span.span_id.hex(), span.name, times, keys, texts


@pytest.mark.parametrize("name", FILES)
def test_every_span_and_attribute_of_a_real_file_is_found(name, traces):
    expected = [span for document in documents(traces / name) for span in flat(document)]
    chunks = list(read_file(traces / name))
    assert [span for chunk in chunks for span in flat_message(chunk.request)] == expected
    assert [each for chunk in chunks for each in chunk.rejections] == []
    assert chunks[-1].bytes_read == (traces / name).stat().st_size


def test_the_same_requests_as_protobuf_and_as_json_are_the_same(traces):
    as_json = [chunk.request for chunk in read_file(traces / "any-agent.otlp.jsonl.gz")]
    as_protobuf = [chunk.request for chunk in read_file(traces / "any-agent.otlp.pb.gz")]
    assert len(as_json) == 158
    assert as_json == as_protobuf
    assert all(isinstance(each, ExportTraceServiceRequest) for each in as_json)
