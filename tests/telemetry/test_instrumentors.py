"""The vendors' own clients, recorded by what is installed for them; and exporters that were there before ihobs."""

from importlib.metadata import EntryPoint

import pytest
from tests.telemetry.model_server import ANTHROPIC_MODEL, OPENAI_MODEL, ModelServer
from tests.web.sender import Listening

from ihobs.store.home import Home
from ihobs.store.telemetry import TelemetryStore
from ihobs.telemetry.instrumentors import choose, concerns_llms
from ihobs.web.access import Policy
from ihobs.web.limits import Limits

OPENINFERENCE = "openinference.instrumentation.openai:OpenAIInstrumentor"
OPENLLMETRY = "opentelemetry.instrumentation.openai:OpenAIInstrumentor"
OFFICIAL = "opentelemetry.instrumentation.openai_v2:OpenAIInstrumentor"


def points(*values):
    return [
        EntryPoint(value.rpartition(".")[2].partition(":")[0], value, "opentelemetry_instrumentor") for value in values
    ]


@pytest.mark.parametrize(
    ("value", "is_ours"),
    [
        (OPENINFERENCE, True),
        (OPENLLMETRY, True),
        (OFFICIAL, True),
        ("openinference.instrumentation.anthropic:A", True),
        ("opentelemetry.instrumentation.flask:FlaskInstrumentor", False),
        ("opentelemetry.instrumentation.requests:RequestsInstrumentor", False),
        ("openinference.instrumentation.langchain:LangChainInstrumentor", False),
        ("somebody.openai:Instrumentor", False),
        ("ihobs.telemetry.distro:IhobsInstrumentor", False),
    ],
)
def test_only_instrumentations_of_llm_libraries_are_ours_to_start(value, is_ours):
    assert concerns_llms(*points(value)) is is_ours


@pytest.mark.parametrize("values", [(OPENLLMETRY, OFFICIAL, OPENINFERENCE), (OPENINFERENCE, OFFICIAL, OPENLLMETRY)])
def test_of_several_for_one_library_the_one_is_used_that_tells_most(values):
    used, left_out = choose(points(*values), {})
    assert [str(one) for one in used] == ["openai by openinference.instrumentation.openai"]
    assert [one.scope for one in left_out] == [OPENLLMETRY.partition(":")[0], OFFICIAL.partition(":")[0]]


def test_different_libraries_do_not_rival():
    used, left_out = choose(points(OPENINFERENCE, "opentelemetry.instrumentation.anthropic:A"), {})
    assert ([one.library for one in used], left_out) == (["openai", "anthropic"], [])


@pytest.mark.parametrize(
    ("disabled", "used"),
    [("openai", ["anthropic"]), (" flask , openai", ["anthropic"]), ("*", []), ("", ["openai", "anthropic"])],
)
def test_what_the_user_switched_off_stays_off(disabled, used):
    installed = points(OPENINFERENCE, "opentelemetry.instrumentation.anthropic:A")
    environ = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": disabled}
    assert [one.library for one in choose(installed, environ)[0]] == used


def test_when_the_better_one_is_switched_off_the_other_is_used():
    environ = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "openai"}
    used, left_out = choose(points(OPENINFERENCE, OFFICIAL), environ)
    assert ([one.scope for one in used], left_out) == ([OFFICIAL.partition(":")[0]], [])


OPENAI = """
    {begin}
    import openai, os
    from opentelemetry import trace

    client = openai.OpenAI(api_key="none", base_url=os.environ["MODELS"] + "/v1", max_retries=0)
    asked = dict(model="gpt-4o", messages=[dict(role="user", content="what is a chair, {secret}?")])
    with trace.get_tracer("t").start_as_current_span("job"):
        print(client.chat.completions.create(**asked).choices[0].message.content)
        stream = client.chat.completions.create(**asked, stream=True, stream_options=dict(include_usage=True))
        print(" ".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices))
        try:
            client.chat.completions.create(**(asked | dict(model="missing")))
        except openai.NotFoundError:
            print("missing")
"""

ANTHROPIC = """
    {begin}
    import anthropic, os
    from opentelemetry import trace

    client = anthropic.Anthropic(api_key="none", base_url=os.environ["MODELS"], max_retries=0)
    asked = dict(model="claude-sonnet-4-5", max_tokens=50, messages=[dict(role="user", content="a chair, {secret}?")])
    with trace.get_tracer("t").start_as_current_span("job"):
        print(client.messages.create(**asked).content[0].text)
        with client.messages.stream(**asked) as stream:
            print("".join(stream.text_stream))
"""

SECRET = "my back hurts"
INSTRUMENT = "import ihobs; ihobs.instrument(service='app')"


@pytest.fixture
def models():
    with ModelServer() as server:
        yield {"MODELS": server.url}


@pytest.mark.parametrize("way", ["instrument", "exec"])
def test_openais_client_is_recorded_with_models_tokens_and_failures(programs, models, way):
    begin, run = (INSTRUMENT, programs.python) if way == "instrument" else ("", programs.execute)
    ended = run(OPENAI.format(begin=begin, secret=SECRET), env=models)
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "missing"), ended.err
    calls = {
        key: counters for key, counters in programs.grouped("kind", "provider", "model").items() if key[0] == "llm"
    }
    answered = calls["llm", "openai", OPENAI_MODEL]
    assert (answered.calls, answered.input_tokens, answered.output_tokens) == (2, 42, 14)
    assert sum(counters.calls for counters in calls.values()) == 3
    assert sum(counters.failed_calls for counters in calls.values()) == 1
    assert programs.counted().runs == 1
    assert not any(SECRET.encode() in path.read_bytes() for path in programs.home.rglob("*") if path.is_file())


@pytest.mark.parametrize("way", ["instrument", "exec"])
def test_anthropics_client_is_recorded_with_models_and_tokens(programs, models, way):
    begin, run = (INSTRUMENT, programs.python) if way == "instrument" else ("", programs.execute)
    ended = run(ANTHROPIC.format(begin=begin, secret=SECRET), env=models)
    assert ended.code == 0, ended.err
    found = programs.grouped("kind", "provider", "model")
    answered = found["llm", "anthropic", ANTHROPIC_MODEL]
    assert (answered.calls, answered.input_tokens, answered.output_tokens) == (2, 60, 18), found
    assert programs.counted().runs == 1


def test_a_handle_says_what_is_used(programs):
    ended = programs.python("import ihobs\nprint(*ihobs.instrument().instrumentors, sep='\\n')")
    assert "openai by openinference.instrumentation.openai" in ended.out.splitlines(), ended.err
    assert "anthropic by openinference.instrumentation.anthropic" in ended.out.splitlines()


def test_a_library_that_is_not_imported_costs_nothing(programs):
    code = """
        import sys, ihobs
        ihobs.instrument()
        print([name for name in sys.modules if name.partition(".")[0] in {"openai", "anthropic", "openinference"}])
    """
    for run in (programs.python, programs.execute):
        assert run(code).out == "[]\n"


def test_what_is_switched_off_is_not_recorded(programs, models):
    off = {**models, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "openai"}
    ended = programs.python(OPENAI.format(begin=INSTRUMENT, secret=SECRET), env=off)
    assert ended.code == 0, ended.err
    assert ("llm",) not in programs.grouped("kind")


def test_a_program_that_instruments_itself_is_not_recorded_twice(programs, models):
    begin = f"""from openinference.instrumentation.openai import OpenAIInstrumentor
    {INSTRUMENT}
    OpenAIInstrumentor().instrument()"""
    ended = programs.python(OPENAI.format(begin=begin, secret=SECRET), env=models)
    assert ended.code == 0, ended.err
    assert programs.grouped("kind")["llm",].calls == 3


@pytest.fixture
def sink(tmp_path):
    """Somebody else's backend, which counts each span that it gets."""
    listening = Listening(TelemetryStore(Home.open(tmp_path / "sink", create=True)), Limits(), Policy(None, None))
    yield listening
    listening.close()


SPANS = """
    from opentelemetry import trace
    {begin}
    for number in range(5):
        with trace.get_tracer("t").start_as_current_span("step"):
            pass
"""

OWN_PROVIDER = """
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    import ihobs; ihobs.instrument()
"""


@pytest.mark.parametrize("way", ["own provider", "own provider under exec", "exec", "exec with a traces exporter"])
def test_an_exporter_that_was_there_gets_each_span_once_and_so_does_ihobs(programs, sink, way):
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    if way == "exec with a traces exporter":
        env["OTEL_TRACES_EXPORTER"] = "otlp"
    begin = OWN_PROVIDER.strip("\n") if way.startswith("own") else ""
    code = SPANS.replace("    {begin}", begin)
    ended = (programs.execute if "exec" in way else programs.python)(code, env=env)
    assert ended.code == 0, ended.err
    answers = sink.get("/metrics").text
    assert (programs.counted().spans, sink.spans()) == (5, 5), ended.err
    assert 'ihobs_ingested_spans_total{outcome="duplicate"} 0' in answers
