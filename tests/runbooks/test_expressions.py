"""Expressions: what they can do, and that no attack on templates has anything to reach."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ihobs.runbooks.evaluation import evaluate, fill_in_all, holds
from ihobs.runbooks.expressions import ExpressionError, parse, parse_template
from ihobs.runbooks.filters import FILTERS, MAX_TEXT_CHARS, TESTS

NAMES = {
    "rate": {"value": 0.31, "by": {"model": "gpt-x"}, "groups": [{"value": 0.3}, {"value": 0.1}]},
    "inputs": {"provider": "openai", "count": 3, "on": True},
    "nothing": None,
    "words": ["b", "a", "b"],
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("rate.value > 0.25 and inputs.on", True),
        ("rate['value'] >= 0.31", True),
        ("rate.by.model == 'gpt-x' or nope.is.missing", True),
        ("not inputs.on", False),
        ("inputs.provider in ['openai', 'other']", True),
        ("'open' in inputs.provider", True),
        ("1 < inputs.count <= 3", True),
        ("rate.groups[0].value", 0.3),
        ("rate.groups[-1]", {"value": 0.1}),
        ("words[1:]", ["a", "b"]),
        ("inputs.count * 2 + 1", 7),
        ("inputs.count / 2", 1.5),
        ("inputs.count // 2 - -1", 2),
        ("7 % 4", 3),
        ("'n=' ~ inputs.count ~ ' ' ~ nothing", "n=3 null"),
        ("'yes' if inputs.on else 'no'", "yes"),
        ("rate.missing | default(4)", 4),
        ("missing.altogether | default('x')", "x"),
        ("rate.missing is defined", False),
        ("nothing is none", True),
        ("words | unique | sort | join('-')", "a-b"),
        ("words | length", 3),
        ("rate.value | round(1)", 0.3),
        ("'7' | int + 1", 8),
        ("rate.by | tojson", '{"model": "gpt-x"}'),
        ("{'a': words | first}", {"a": "b"}),
        ("['x'] + words", ["x", "b", "a", "b"]),
    ],
)
def test_expressions_yield_values_of_json(source, value):
    assert evaluate(parse(source), NAMES) == value


ATTACKS = [
    "''.__class__",
    "''.__class__.__mro__[1].__subclasses__()",
    "inputs['__class__']",
    "inputs|attr('__class__')",
    "inputs.update({'a': 1})",
    "cycler.__init__.__globals__.os.popen('id').read()",
    "lipsum.__globals__",
    "self._TemplateReference__context",
    "range(10**9)",
    "'a' * 10**9",
    "2 ** 99999",
    "'a'|center(1000000000)",
    "'%900000000d'|format(1)",
    "'a'.rjust(900000000)",
    "words|map('upper')|list",
    "words|map(attribute='x')",
    "words|xmlattr",
    "inputs|pprint",
    "words|batch(1)|list",
    "joiner()",
    "namespace()",
    "dict(a=1)",
    "(words|select('defined'))",
    "1e999",
    "9" * 400,
    "(" * 200 + "1" + ")" * 200,
    "-" * 1900 + "1",
    "not " * 400 + "true",
    "[" * 500 + "]" * 500,
    "a" * 3000,
    "a or " * 150 + "a",
    "a }} {% for x in y %}{% endfor %} {{ b",
    "a }}{{ b",
    "{% import 'os' %}",
    "true; true",
    "",
    "\ud800",
    "words is sameas(none)",
    "words is divisibleby(0)",
    "loop.index",
    "config.items()",
    "_private",
    "rate._value",
]


@pytest.mark.parametrize("source", ATTACKS, ids=range(len(ATTACKS)))
def test_attacks_are_refused_when_the_runbook_is_read_or_find_nothing(source):
    with pytest.raises(ExpressionError):
        evaluate(parse(source), NAMES)


@pytest.mark.parametrize(
    "source",
    [
        "big ~ big ~ big",
        "big | replace('a', big)",
        "many | join(big)",
        "[big, big, big] | tojson",
        "'x' ~ [big, big]",
        "many + many + many",
        "1e308 * 10",
        "9007199254740992 + 1",
        "1 // 0",
        "1 % 0",
        "words | sum",
        "'a' + 1",
        "'a' * 3",
        "'a' < 1",
        "inputs.count and true",
        "nothing.x",
        "words.x",
        "'abc'.upper",
        "words['x']",
        "big | int",
        "rate.value | round(400)",
        "1 in 1",
        "words[::0]",
    ],
)
def test_what_would_grow_or_makes_no_sense_fails_instead(source):
    names = {**NAMES, "big": "a" * (MAX_TEXT_CHARS // 2), "many": [1] * 5000}
    with pytest.raises(ExpressionError) as caught:
        evaluate(parse(source), names)
    assert caught.value.reason.startswith(source)


def test_a_condition_is_true_or_false_and_nothing_else():
    assert holds(parse("inputs.count == 3"), NAMES)
    for source in ("inputs.count", "inputs.provider", "words", "nothing"):
        with pytest.raises(ExpressionError, match="not true or false"):
            holds(parse(source), NAMES)


def test_a_template_of_one_expression_keeps_its_type_and_others_are_text():
    assert fill_in_all({"n": "{{ inputs.count }}", "t": ["{{ inputs.provider }}: {{ rate.value }}", 4]}, NAMES) == {
        "n": 3,
        "t": ["openai: 0.31", 4],
    }


def test_what_is_filled_in_is_never_looked_at_again():
    hostile = "{{ inputs.count }} {% raw %} $(rm -rf /) `id`"
    assert fill_in_all("{{ x }}", {"x": hostile}) == hostile
    assert fill_in_all("a {{ x }} b", {"x": hostile, **NAMES}) == f"a {hostile} b"


@pytest.mark.parametrize("text", ["{% for x in y %}a{% endfor %}", "{% set x = 1 %}", "{{ a", "{{ a() }}", "{% if"])
def test_a_template_is_no_program(text):
    with pytest.raises(ExpressionError):
        parse_template(text)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
operands = st.sampled_from(
    ["a", "b", "c.d", "a.b.c", "1", "'x'", "[a, b]", "{'k': a}", "a[0]", "b['k']", "(a)", "none"]
)


@st.composite
def expressions(draw) -> str:
    source = draw(operands)
    for _ in range(draw(st.integers(0, 6))):
        operator = draw(st.sampled_from(["+", "-", "*", "/", "//", "%", "~", "==", "<", "in", "and", "or", "|", "is"]))
        if operator == "|":
            source += " | " + draw(st.sampled_from([*FILTERS, "default(1)", "replace('a', 'b')", "join('x')"]))
        elif operator == "is":
            source = f"({source}) is {draw(st.sampled_from(list(TESTS)))}"
        else:
            source += f" {operator} {draw(operands)}"
    return source


@settings(max_examples=100, deadline=None)
@given(expressions(), values, values)
def test_any_expression_on_any_values_yields_json_or_one_kind_of_error(source, a, b):
    try:
        made = evaluate(parse(source), {"a": a, "b": b, "c": {"d": a}})
    except ExpressionError:
        return
    json.dumps(made, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_refused(source):
    for read in (parse, parse_template):
        with contextlib.suppress(ExpressionError):
            assert read(source).source == source


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text_passes_through_a_template_as_it_is(text):
    assert fill_in_all("{{ x }}", {"x": text}) == text
