"""Functions named in the configuration are traced; their modules know nothing of it."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import logging
import sys
import textwrap

import pytest
from opentelemetry.trace import StatusCode

import ihobs
from ihobs.telemetry.places import open_spans
from ihobs.telemetry.targets import TargetPatches, _main_module, parse_target

_number = itertools.count()

ORCHESTRATOR = """
    from os.path import basename
    import asyncio

    def helper(x):
        return x + 1

    def _private(x):
        return x

    class Base:
        def inherited(self):
            return "base"

    class Orchestrator(Base):
        LIMIT = 3

        def process_content(self, content):
            return helper(len(content))

        async def process_async(self, content):
            await asyncio.sleep(0)
            return content

        def stream(self, count):
            yield from range(count)

        async def stream_async(self, count):
            for number in range(count):
                yield number

        @classmethod
        def make(cls):
            return cls()

        @staticmethod
        def version():
            return 1

        @property
        def size(self):
            return 2

        def _secret(self):
            return 0

        class Inner:
            def deep(self):
                return "deep"
"""


@pytest.fixture
def module_name(tmp_path, monkeypatch):
    """The name of a module of the program's, that is not imported yet."""
    name = f"program_{next(_number)}"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(ORCHESTRATOR))
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


@pytest.fixture
def watch(global_provider):
    from opentelemetry.sdk.trace import SpanProcessor

    class Table(SpanProcessor):
        def on_start(self, span, parent_context=None):
            open_spans.opened(span)

        def on_end(self, span):
            open_spans.closed(span.context.span_id)

    if not any(isinstance(found, Table) for found in _tables):
        _tables.append(Table())
        global_provider.add_span_processor(_tables[-1])

    def watch(*targets):
        patches = TargetPatches()
        patches.watch(targets)
        return patches

    return watch


_tables = []


def kinds(recorded):
    return {span.name: span.attributes["ihobs.kind"] for span in recorded.all}


def test_a_method_is_a_run_and_what_it_calls_is_a_node(watch, module_name, recorded):
    watch(f"{module_name}:Orchestrator.process_content", f"{module_name}:helper")
    module = importlib.import_module(module_name)
    assert module.Orchestrator().process_content("four") == 5
    assert module.helper(1) == 2
    spans = {(span.name, span.attributes["ihobs.kind"]) for span in recorded.all}
    assert spans == {("Orchestrator.process_content", "workflow"), ("helper", "node"), ("helper", "workflow")}
    assert recorded.all[0].parent.span_id == recorded.all[1].context.span_id


def test_a_target_inside_a_decorated_workflow_is_a_node(watch, module_name, recorded):
    watch(f"{module_name}:helper")
    module = importlib.import_module(module_name)
    with ihobs.workflow("w"):
        module.helper(1)
    assert kinds(recorded) == {"helper": "node", "w": "workflow"}


def test_a_module_that_is_imported_already_is_patched_at_once(watch, module_name, recorded):
    module = importlib.import_module(module_name)
    watch(f"{module_name}:helper")
    module.helper(1)
    assert kinds(recorded) == {"helper": "workflow"}


def test_every_public_method_of_a_class(watch, module_name, recorded):
    watch(f"{module_name}:Orchestrator.*")
    cls = importlib.import_module(module_name).Orchestrator

    async def stream_all():
        return [number async for number in made.stream_async(2)]

    made = cls.make()
    assert made.process_content("x") == 2
    assert asyncio.run(made.process_async("y")) == "y"
    assert list(made.stream(3)) == [0, 1, 2]
    assert asyncio.run(stream_all()) == [0, 1]
    assert (cls.version(), made.size, made._secret(), made.inherited()) == (1, 2, 0, "base")
    traced = {"make", "process_content", "process_async", "stream", "stream_async", "version"}
    assert {span.name for span in recorded.all} == {f"Orchestrator.{name}" for name in traced}


def test_the_public_functions_that_a_module_defines(watch, module_name, recorded):
    watch(f"{module_name}:*")
    module = importlib.import_module(module_name)
    assert module.basename("a/b") == "b"
    assert module._private(1) == 1
    assert module.helper(1) == 2
    module.Orchestrator()
    assert {span.name for span in recorded.all} == {"helper"}


@pytest.mark.parametrize(("pattern", "call"), [("Orchestrator.process_*", "process_content"), ("Orch*.proc*", None)])
def test_names_by_pattern(watch, module_name, recorded, pattern, call):
    watch(f"{module_name}:{pattern}")
    made = importlib.import_module(module_name).Orchestrator()
    made.process_content("x")
    list(made.stream(1))
    assert {span.name for span in recorded.all} == {"Orchestrator.process_content"}


def test_an_inherited_method_is_traced_in_the_class_that_was_named(watch, module_name, recorded):
    watch(f"{module_name}:Orchestrator.inherited", f"{module_name}:Orchestrator.Inner.deep")
    module = importlib.import_module(module_name)
    assert module.Base().inherited() == "base"
    assert recorded.all == []
    assert module.Orchestrator().inherited() == "base"
    assert module.Orchestrator.Inner().deep() == "deep"
    assert {span.name for span in recorded.all} == {"Orchestrator.inherited", "Orchestrator.Inner.deep"}


def test_a_function_named_twice_is_traced_once(watch, module_name, recorded):
    watch(f"{module_name}:helper", f"{module_name}:*", f"{module_name}:h*")
    importlib.import_module(module_name).helper(1)
    assert len(recorded.all) == 1


def test_a_failing_target_fails_as_before(watch, module_name, recorded):
    watch(f"{module_name}:helper")
    module = importlib.import_module(module_name)
    with pytest.raises(TypeError):
        module.helper("text")
    assert recorded.one("helper").status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("path", ["nothing", "Orchestrator.nothing", "Nothing.process", "Orchestrator.LIMIT", "no*"])
def test_a_target_that_is_not_there_is_reported_and_harms_nothing(watch, module_name, caplog, path):
    with caplog.at_level(logging.WARNING, "ihobs"):
        patches = watch(f"{module_name}:{path}")
        assert patches.problems == []
        assert importlib.import_module(module_name).helper(1) == 2
    [problem] = patches.problems
    assert f"{module_name}:{path}" in problem
    assert problem in caplog.text


@pytest.mark.parametrize("text", ["module", "module:", ":name", "pkg.*:name", "pkg:a..b", "pkg:.a"])
def test_a_target_of_another_form_is_reported(watch, text):
    assert parse_target(text) is None
    [problem] = watch(text).problems
    assert text in problem


def test_a_target_in_the_program_itself_is_reported(watch, monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", "-u", "/srv/app.py", "--flag"])
    [problem] = watch("app:Orchestrator.run").problems
    assert "@ihobs.workflow" in problem


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["python", "app.py"], "app"),
        (["python", "-u", "dir/app.py", "-m", "x"], "app"),
        (["python", "-m", "pkg.main", "y.py"], "pkg.main"),
        (["/bin/gunicorn", "/bin/gunicorn", "app:app"], "gunicorn"),
        (["python"], None),
        (["python", "-m"], ""),
    ],
)
def test_the_name_of_the_program_as_a_module(command, name):
    assert _main_module(command) == name
