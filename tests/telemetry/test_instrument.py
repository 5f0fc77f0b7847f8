"""`ihobs.instrument()` in real programs: whatever they do with OpenTelemetry, and whatever is wrong with ours."""

from __future__ import annotations

import shutil
import textwrap

import pytest

RUN = """
    @ihobs.workflow("flow")
    def run():
        with ihobs.node("draft"):
            pass
"""

OWN_PROVIDER = """
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    own = InMemorySpanExporter()

    def set_provider():
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(own))
        trace.set_tracer_provider(provider)
        return provider
"""


def test_a_program_records_itself_and_flushes_when_it_ends(programs):
    ended = programs.python(f"import ihobs\nihobs.instrument(service='svc')\n{_flat(RUN)}\nrun()\nrun()")
    assert (ended.code, ended.err) == (0, "")
    counted = programs.counted(service="svc")
    assert (counted.spans, counted.runs) == (4, 2)


@pytest.mark.parametrize(
    ("end", "code"), [("raise ValueError('end')", 1), ("sys.exit(7)", 7), ("sys.exit('text')", 1), ("", 0)]
)
def test_the_last_spans_are_stored_however_python_ends(programs, end, code):
    ended = programs.python(f"import ihobs, sys\nihobs.instrument()\n{_flat(RUN)}\nrun()\n{end}")
    assert ended.code == code
    assert programs.counted().runs == 1


def test_a_provider_that_is_there_is_joined(programs):
    ended = programs.python(f"""
{_flat(OWN_PROVIDER)}
import ihobs
provider = set_provider()
first = ihobs.instrument()
assert ihobs.instrument(service="ignored") is first
assert trace.get_tracer_provider() is provider
{_flat(RUN)}
run()
with trace.get_tracer("mine").start_as_current_span("mine"):
    run()
assert first.flush()
assert len(own.get_finished_spans()) == 5
first.shutdown()
assert not first.enabled
run()
again = ihobs.instrument()
assert again is not first and again.enabled
run()
""")
    assert (ended.code, ended.err) == (0, "")
    counted = programs.counted()
    assert (counted.spans, counted.runs) == (7, 3)


def test_a_provider_of_something_else_is_left_alone(programs):
    ended = programs.python(f"""
import ihobs
from opentelemetry import trace

class Strange(trace.NoOpTracerProvider):
    pass

trace.set_tracer_provider(Strange())
ihobs.instrument()
{_flat(RUN)}
run()
""")
    assert ended.code == 0
    assert "cannot join Strange" in ended.err


def test_a_long_chat_keeps_all_of_its_attributes(programs):
    ended = programs.python("""
import ihobs
ihobs.instrument()
with ihobs.llm("chat", attributes={f"llm.input_messages.{n}": "text" for n in range(500)}) as call:
    assert len(call.span.attributes) == 502
""")
    assert (ended.code, ended.err) == (0, "")


def test_a_limit_that_was_set_on_purpose_is_kept(programs):
    code = """
import ihobs
ihobs.instrument()
with ihobs.llm("chat", attributes={f"a{n}": n for n in range(50)}) as call:
    assert len(call.span.attributes) == 10
"""
    assert programs.python(code, env={"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "10"}).code == 0


def test_a_program_that_seeds_the_random_numbers_does_not_repeat_its_ids(programs):
    code = f"import random, ihobs\nrandom.seed(42)\nihobs.instrument()\n{_flat(RUN)}\nrun()"
    assert programs.python(code).code == programs.python(code).code == 0
    assert programs.counted().runs == 2


def test_the_service_is_the_script_unless_it_is_named(programs):
    code = f"import ihobs\nihobs.instrument()\n{_flat(RUN)}\nrun()"
    programs.python(code)
    programs.python(code, env={"OTEL_SERVICE_NAME": "by-name"})
    programs.python(code, env={"OTEL_RESOURCE_ATTRIBUTES": "service.name=by-attribute"})
    assert set(programs.grouped("service")) == {("app",), ("by-name",), ("by-attribute",)}


@pytest.mark.parametrize("env", [{"IHOBS_DISABLED": "1"}, {}])
def test_without_instrumenting_nothing_is_recorded_and_everything_works(programs, env):
    instrument = "ihobs.instrument()" if env else ""
    ended = programs.python(f"import ihobs\n{instrument}\n{_flat(RUN)}\nrun()\nprint('ran')", env=env)
    assert (ended.code, ended.out, ended.err) == (0, "ran\n", "")
    assert programs.counted().spans == 0


@pytest.mark.parametrize(
    ("config", "said"),
    [("thresolds: {}\n", "ihobs.yaml:1:1"), ("- 1\n", "ihobs.yaml"), ("service: [\n", "ihobs.yaml")],
)
def test_a_wrong_configuration_is_said_and_harms_nothing(programs, config, said):
    (programs.directory / "ihobs.yaml").write_text(config)
    code = f"import ihobs\nhandle = ihobs.instrument()\n{_flat(RUN)}\nrun()\nprint(handle.enabled, handle.flush())"
    ended = programs.python(code)
    assert (ended.code, ended.out) == (0, "False True\n")
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_a_home_that_cannot_be_made_is_said_and_harms_nothing(programs):
    shutil.rmtree(programs.home)
    programs.home.write_text("a file")
    ended = programs.python(f"import ihobs\nihobs.instrument()\n{_flat(RUN)}\nrun()\nprint('ran')")
    assert (ended.code, ended.out) == (0, "ran\n")
    assert "lost 2 spans" in ended.err
    assert "Traceback" not in ended.err


def test_a_processor_of_somebody_else_that_raises_is_not_our_fault_to_pass_on(programs):
    ended = programs.python(f"""
{_flat(OWN_PROVIDER)}
from opentelemetry.sdk.trace import SpanProcessor
import ihobs

class Raises(SpanProcessor):
    def on_end(self, span):
        raise RuntimeError("theirs")

set_provider().add_span_processor(Raises())
ihobs.instrument()
{_flat(RUN)}
run()
print("ran")
""")
    assert (ended.code, ended.out) == (0, "ran\n")


def test_arguments_targets_and_service_can_be_given(programs):
    programs.write("def double(x):\n    return 2 * x\n", "library.py")
    ended = programs.python("""
import ihobs
handle = ihobs.instrument(service="given", targets=["library:double", "library:nothing"], arguments=True)
import library
library.double(4)
print(handle.problems)
""")
    assert ended.code == 0
    assert "library:nothing" in ended.out
    assert programs.counted(service="given", workflow="double").runs == 1


def test_a_home_that_is_not_there_is_made(programs):
    shutil.rmtree(programs.home)
    assert programs.python(f"import ihobs\nihobs.instrument()\n{_flat(RUN)}\nrun()").code == 0
    assert programs.counted().runs == 1


def test_the_orchestrator_carries_nothing_heavy(programs):
    heavy = ("apprise", "genai_prices", "grpc", "jinja2", "starlette", "rich", "click", "langsmith", "sqlite_utils")
    ended = programs.python(f"""
import sys, ihobs
handle = ihobs.instrument()
{_flat(RUN)}
run()
handle.flush()
print([name for name in {heavy!r} if name in sys.modules])
""")
    assert (ended.code, ended.out) == (0, "[]\n")


def _flat(code: str) -> str:
    return textwrap.dedent(code)
