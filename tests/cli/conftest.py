"""A home with spans in it, and the command line as it is typed, for the commands that show."""

import time

import pytest
from click.testing import CliRunner
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.cli import main
from ihobs.clock import SECOND_NS
from ihobs.redact.policy import Policy
from ihobs.spans.dialects import shipped_dialects
from ihobs.spans.price import Price
from ihobs.store.home import Home
from ihobs.store.redaction import redactor_for
from ihobs.store.telemetry import TelemetryStore


class Filled:
    """A home that spans are put into in few words; `spans` are added to one request until `store` is called."""

    def __init__(self, path):
        self.home = Home.open(path, create=True)
        kept = redactor_for(self.home, Policy(content="keep"), shipped_dialects())
        self.telemetry = TelemetryStore(self.home, redactor=kept)
        self.request = ExportTraceServiceRequest()
        self.now_ns = time.time_ns()

    def span(self, name, span_id, *, parent=0, trace=1, ago_s=60.0, took_s=1.0, kind="", error="", **attributes):
        """Add a span that ended `ago_s` ago; attributes are named with __ for dots."""
        resource = self.request.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = attributes.pop("service", "svc")
        end_ns = self.now_ns - round(ago_s * SECOND_NS)
        span = resource.scope_spans.add().spans.add(
            trace_id=trace.to_bytes(16, "big"),
            span_id=span_id.to_bytes(8, "big"),
            parent_span_id=parent.to_bytes(8, "big") if parent else b"",
            name=name,
            start_time_unix_nano=end_ns - round(took_s * SECOND_NS),
            end_time_unix_nano=end_ns,
        )
        if error:
            span.status.code, span.status.message = 2, f"{error} happened"
            attributes["error__type"] = error
        for key, value in (attributes | ({"ihobs__kind": kind} if kind else {})).items():
            entry = span.attributes.add(key=key.replace("__", "."))
            setattr(entry.value, "int_value" if isinstance(value, int) else "string_value", value)
        return self

    def call(self, span_id, *, model="gpt-4o", tokens=(100, 10), **more):
        """Add a call to a model; without `tokens` it does not tell its usage."""
        usage = dict(zip(("gen_ai__usage__input_tokens", "gen_ai__usage__output_tokens"), tokens or (), strict=False))
        texts = {"gen_ai__provider__name": "openai", "gen_ai__request__model": model}
        return self.span("chat", span_id, kind="llm", **texts, **usage, **more)

    def price(self, model):
        """Let a token of `model` cost one micro-dollar, in and out."""
        rates = dict.fromkeys(("input_pico_usd", "cached_input_pico_usd", "cache_write_pico_usd"), 10**6)
        self.telemetry.add_prices([Price("openai", model, 0, 0, **rates, output_pico_usd=10**6, source="test")])

    def store(self, *, live=True):
        """Store what was added, and count it for good."""
        result = self.telemetry.ingest(self.request, live=live)
        assert not result.rejected
        self.telemetry.settle(everything=True)
        self.request = ExportTraceServiceRequest()
        return self


@pytest.fixture
def filled(tmp_path):
    made = Filled(tmp_path / "home")
    yield made
    made.telemetry.close()


@pytest.fixture
def ihobs(tmp_path, monkeypatch):
    """Run a command line on the home of `filled`, in a directory without a configuration."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, ["--home", "home", *map(str, arguments)])
