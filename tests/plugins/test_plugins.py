"""A plug-in that fails harms only itself, and is named."""

from __future__ import annotations

import asyncio
import logging
import types
from importlib.metadata import version

import pytest

import ihobs
from ihobs.config import Settings
from ihobs.config import load as load_config
from ihobs.model import Notification, Rule
from ihobs.plugins import Candidate, Problem, installed, load
from ihobs.testing import check_keeps_contract, plugins_of

RULE = Rule("a", "error_rate", warning=0.1)


@pytest.fixture
def settings() -> Settings:
    return load_config(environ={}).settings


def answering(value: object) -> types.SimpleNamespace:
    """A plug-in whose ihobs_rules returns `value`, or raises it when it is an exception."""

    @ihobs.hookimpl
    def ihobs_rules(settings):
        if isinstance(value, BaseException):
            raise value
        return value() if callable(value) else value

    return types.SimpleNamespace(ihobs_rules=ihobs_rules)


def test_each_answer_comes_with_the_name_of_who_gave_it(settings):
    plugins = plugins_of(one=answering([RULE]), two=answering([]))
    answers = plugins.call_each("ihobs_rules", settings=settings)
    assert [(one.plugin, one.value) for one in answers] == [("one", [RULE]), ("two", [])]
    assert plugins.problems == []


def test_a_plugin_that_answers_none_has_nothing_to_say(settings):
    assert plugins_of(one=answering(None)).call_each("ihobs_rules", settings=settings) == []


@pytest.mark.parametrize(
    "error", [RuntimeError("broken"), SystemExit("broken")], ids=lambda error: type(error).__name__
)
def test_one_raising_plugin_does_not_silence_the_others(settings, error):
    plugins = plugins_of(first=answering([RULE]), middle=answering(error), last=answering([RULE]))
    answers = plugins.call_each("ihobs_rules", settings=settings)
    assert [one.plugin for one in answers] == ["first", "last"]
    assert plugins.problems == [Problem("middle", "ihobs_rules", f"{type(error).__name__}: broken")]


def test_a_keyboard_interrupt_in_a_plugin_belongs_to_the_user(settings):
    with pytest.raises(KeyboardInterrupt):
        plugins_of(one=answering(KeyboardInterrupt())).call_each("ihobs_rules", settings=settings)


def test_a_plugin_that_fails_again_and_again_is_one_problem_with_a_count_and_one_warning(settings, caplog):
    plugins = plugins_of(one=answering(ValueError("x")))
    with caplog.at_level(logging.WARNING, "ihobs.plugins"):
        for _ in range(3):
            plugins.call_each("ihobs_rules", settings=settings)
    assert plugins.problems == [Problem("one", "ihobs_rules", "ValueError: x", count=3)]
    assert [record.message for record in caplog.records] == ["plug-in one: ihobs_rules: ValueError: x"]


async def _coroutine() -> list[Rule]:
    await asyncio.sleep(0)
    return [RULE]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda: (rule for rule in [RULE]), "a generator"),
        (lambda: map(str, []), "a map"),
        (_coroutine, "a coroutine"),
        (lambda: (RULE,), "a tuple instead of a list of Rule"),
        (lambda: [RULE, "no rule"], "a list of Rule, str instead of a list of Rule"),
        (dict, "a dict instead of a list of Rule"),
    ],
    ids=["generator", "map", "coroutine", "tuple", "wrong item", "mapping"],
)
def test_an_answer_that_breaks_the_contract_is_refused_and_described(settings, value, said):
    plugins = plugins_of(bad=answering(value), good=answering([RULE]))
    assert [one.plugin for one in plugins.call_each("ihobs_rules", settings=settings)] == ["good"]
    [problem] = plugins.problems
    assert problem.plugin == "bad"
    assert said in problem.error


def test_the_answer_of_a_hook_that_answers_nothing_is_ignored():
    heard = []
    listener = types.SimpleNamespace(ihobs_window_closed=ihobs.hookimpl(lambda window: heard.append(window) or 5))
    assert plugins_of(one=listener).call_each("ihobs_window_closed", window="w") == []
    assert heard == ["w"]


def test_a_plugin_may_take_fewer_arguments_than_the_hook_has():
    plugin = types.SimpleNamespace(ihobs_notify=ihobs.hookimpl(lambda receiver: receiver == "console:"))
    message = Notification("k", "warning", "t", "b", 0, ())
    [answer] = plugins_of(one=plugin).call_each("ihobs_notify", notification=message, receiver="console:")
    assert answer.value is True


def test_a_misspelt_hook_is_reported_with_a_suggestion_and_the_plugin_stays_out(settings):
    plugin = answering([RULE])
    plugin.ihobs_ruels = plugin.ihobs_rules
    plugins = plugins_of(typo=plugin, good=answering([]))
    assert [one.name for one in plugins.loaded] == ["good"]
    assert [one.plugin for one in plugins.call_each("ihobs_rules", settings=settings)] == ["good"]
    [problem] = plugins.problems
    assert (problem.plugin, problem.hook) == ("typo", "load")
    assert "unknown hook 'ihobs_ruels'; did you mean 'ihobs_rules'?" in problem.error


def test_a_wrong_argument_name_is_reported_and_leaves_the_name_free():
    wrong = types.SimpleNamespace(ihobs_rules=ihobs.hookimpl(lambda configuration: []))
    plugins = plugins_of(one=wrong)
    assert plugins.loaded == []
    assert "configuration" in plugins.problems[0].error
    plugins.add(Candidate("one", "d", "1", lambda: answering([])))
    assert [one.name for one in plugins.loaded] == ["one"]


def test_a_plugin_without_hooks_is_told_about_the_mark():
    plugins = plugins_of(unmarked=types.SimpleNamespace(ihobs_rules=lambda settings: []))
    assert plugins.loaded == []
    assert "@ihobs.hookimpl" in plugins.problems[0].error


def test_a_wrapper_is_refused_because_plugins_are_called_one_by_one():
    def ihobs_rules(settings):
        return (yield)

    wrapper = types.SimpleNamespace(ihobs_rules=ihobs.hookimpl(ihobs_rules, wrapper=True))
    plugins = plugins_of(nosy=wrapper)
    assert plugins.loaded == []
    assert "wrapper" in plugins.problems[0].error


def test_a_second_claim_to_a_name_is_refused():
    ours = Candidate("same", "ihobs", "1", lambda: answering([]))
    theirs = Candidate("same", "stranger", "9", lambda: answering([]))
    plugins = load([ours, theirs])
    assert [(one.name, one.distribution) for one in plugins.loaded] == [("same", "ihobs")]
    assert plugins.problems == [Problem("same", "load", "ValueError: the name 'same' is taken by ihobs 1")]


def test_strangers_are_found_by_their_entry_points_after_ours(install):
    install("aaa-first", "import ihobs\n@ihobs.hookimpl\ndef ihobs_rules(settings):\n    return []\n", name="aaa")
    found = [(one.name, one.distribution, one.version) for one in installed()]
    assert ("aaa", "aaa-first", "1.2") in found
    ours = [one for one in found if one[1] == "ihobs"]
    assert ours == [(name, "ihobs", version("ihobs")) for name in ("notifier", "threshold")]
    assert found[: len(ours)] == ours


def test_a_stranger_cannot_take_the_name_of_one_of_ours(install):
    install("aaa-thief", "import ihobs\n@ihobs.hookimpl\ndef ihobs_rules(settings):\n    return []\n", name="notifier")
    plugins = load()
    assert [one.distribution for one in plugins.loaded if one.name == "notifier"] == ["ihobs"]
    assert [one.error for one in plugins.problems] == [
        f"ValueError: the name 'notifier' is taken by ihobs {version('ihobs')}"
    ]


@pytest.mark.parametrize("statement", ["raise RuntimeError('no')", "raise SystemExit('no')", "import no", "a b"])
def test_a_plugin_that_cannot_be_imported_is_reported_and_ours_load(install, statement):
    install("broken", statement + "\n")
    plugins = load()
    assert {one.name for one in plugins.loaded} >= {"notifier", "threshold"}
    [problem] = plugins.problems
    assert (problem.plugin, problem.hook) == ("broken_plugin", "load")


def test_the_kit_returns_the_answer_of_a_plugin_that_keeps_the_contract(settings):
    assert check_keeps_contract(answering([RULE]), "ihobs_rules", settings=settings) == [RULE]


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (answering(ValueError("oops")), "ihobs_rules: ValueError: oops"),
        (answering("text"), "instead of a list of Rule"),
        (types.SimpleNamespace(), "offers no hook"),
        (types.SimpleNamespace(ihobs_event=ihobs.hookimpl(lambda event: None)), "no function ihobs_rules"),
    ],
    ids=["raises", "wrong type", "empty", "other hook"],
)
def test_the_kit_says_how_a_plugin_breaks_the_contract(settings, plugin, said):
    with pytest.raises(AssertionError, match=said):
        check_keeps_contract(plugin, "ihobs_rules", settings=settings)
