"""Instrumentation found and doubled, samplers, exporters, and runs that LangSmith would get twice."""

import pytest

from ihobs.doctor import programs
from ihobs.store.notices import write_notices
from ihobs.store.schema import open_telemetry

OPENINFERENCE = "openinference.instrumentation.langchain"
OPENLLMETRY = "opentelemetry.instrumentation.langchain"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a distribution with an instrumentor; this environment has others besides."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def write(distribution, name, module):
        path = tmp_path / "site" / f"{distribution}-1.dist-info"
        path.mkdir(parents=True)
        (path / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n")
        (path / "entry_points.txt").write_text(f"[opentelemetry_instrumentor]\n{name} = {module}:Instrumentor\n")

    return write


def test_what_is_installed_is_listed(patient, install):
    install("stranger-instrumentation", "stranger", "stranger.instrumentation")
    assert "stranger-instrumentation" in patient.told(programs.instrumentations)[0][1]


def test_two_of_one_name_are_told_because_a_name_switches_both_off(patient, install):
    install("one-instrumentation", "twice", "one.instrumentation")
    install("other-instrumentation", "twice", "other.instrumentation")
    assert ("warning", "one-instrumentation and other-instrumentation are both called 'twice'") in patient.told(
        programs.instrumentations
    )


def test_two_that_record_the_same_calls_are_told_with_what_to_switch_off(patient, install):
    install("a", "rival-a", "openinference.instrumentation.crewai")
    install("b", "rival-b", "opentelemetry.instrumentation.crewai")
    examined = patient.examined()
    [found] = [one for one in programs.instrumentations(examined) if "crewai" in one.text]
    assert (found.level, found.advice.endswith("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS: rival-b")) == ("warning", True)


def test_what_was_recorded_is_told_and_when_it_was_recorded_twice(patient):
    patient.make()
    patient.spans(scope=OPENINFERENCE, service="chat")
    assert patient.told(programs.recorded) == [("ok", f"'chat' was recorded by {OPENINFERENCE}")]
    patient.spans(scope=OPENLLMETRY, service="chat", trace=2)
    assert patient.told(programs.recorded) == [("warning", f"'chat' was recorded by {OPENINFERENCE} and {OPENLLMETRY}")]


@pytest.mark.parametrize(
    ("value", "level"),
    [("", "ok"), ("always_on", "ok"), ("parentbased_always_on", "ok"), ("traceidratio", "warning"),
     ("parentbased_traceidratio", "warning"), ("always_off", "warning")],
)  # fmt: skip
def test_a_sampler_that_leaves_spans_out_makes_numbers_wrong(patient, value, level):
    assert [one for one, _ in patient.told(programs.samplers, {"OTEL_TRACES_SAMPLER": value})] == [level]


def test_an_exporter_beside_ours_is_named(patient):
    assert "no OTEL_EXPORTER" in patient.told(programs.exporters)[0][1]
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in patient.told(programs.exporters, environ)[0][1]


TRACING = {"LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": "k"}


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, []),
        ({"LANGSMITH_API_KEY": "k"}, []),
        (TRACING, ["LANGSMITH_TRACING=true"]),
        ({"LANGCHAIN_TRACING_V2": "true", "LANGSMITH_OTEL_ENABLED": "true"}, ["LANGCHAIN_TRACING_V2=true"]),
        (TRACING | {"LANGSMITH_TRACING_MODE": "otel"}, []),
        (TRACING | {"LANGSMITH_TRACING": "True"}, []),  # the SDK takes it for off
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://api.smith.langchain.com/otel"}, ["OTEL_EXPORTER_OTLP_ENDPOINT"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, []),
    ],
    ids=str,
)
def test_runs_that_langsmith_would_get_twice_are_told(patient, environ, told):
    patient.configure("destinations: {smith: {type: langsmith}}")
    found = patient.told(programs.double_export, environ)
    assert [level for level, _ in found] == ["warning"] * len(told)
    assert [one for one, (_, text) in zip(told, found, strict=True) if one not in text] == []


def test_a_destination_elsewhere_is_no_double_export(patient):
    patient.configure("destinations: {own: {type: langsmith, endpoint: 'https://smith.example.com/api/v1'}}")
    assert patient.told(programs.double_export, TRACING) == []


def test_what_programs_noticed_is_told_for_a_week_or_until_they_notice_it_no_more(patient):
    database = open_telemetry(patient.make())
    write_notices(database, "chat", {"sampling": "keeps TraceIdRatioBased{0.1}"}, patient.now_ns)
    [(level, text)] = patient.told(programs.noticed)
    assert (level, "'chat'" in text, "TraceIdRatioBased{0.1}" in text) == ("warning", True, True)
    write_notices(database, "chat", {}, patient.now_ns)
    assert patient.told(programs.noticed) == []
    write_notices(database, "chat", {"sampling": "keeps some"}, patient.now_ns - 8 * 86_400 * 10**9)
    assert patient.told(programs.noticed) == []
    database.close()
