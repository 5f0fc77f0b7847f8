"""The page about incidents says what is so."""

from __future__ import annotations

import re

import pytest

from ihobs.config import load
from ihobs.errors import InvalidInputError
from ihobs.incident_settings import MAX_TIERS
from ihobs.incidents.seen import PIECES


@pytest.fixture
def page(repository):
    return (repository / "docs" / "incidents.md").read_text(encoding="utf-8")


def test_the_configuration_in_it_can_be_read(page, tmp_path):
    [block] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "ihobs.yaml").write_text(block)
    settings = load(tmp_path / "ihobs.yaml", environ={}).settings
    assert settings.incidents.respond_within_s == {"P1": 300.0, "P2": 900.0, "P3": 7200.0, "P4": None}
    assert [tier.after_s for tier in settings.incidents.chain] == [300.0, 900.0]


def test_every_file_is_in_it(page):
    assert {f"{name}.json" for name in PIECES} == set(re.findall(r"^\| `(\w+\.json)` \|", page, re.MULTILINE))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("incidents: {respond_within: {P2: soon}}", "a duration such as 30m, or 'next business day'"),
        ("incidents: {respond_within: {P5: 1h}}", "unknown key 'P5'"),
        ("incidents: {open_from: P0}", "'P0' is not known"),
        ("incidents: {bridge: {hook: x}}", "unknown key 'hook'; did you mean 'webhook'?"),
        ("incidents: {bridge: {answer: url}}", "key 'webhook' is missing"),
        ("incidents: {chain: [{after: 5m}]}", "key 'receivers' is missing"),
        ("incidents: {chain: [{receivers: [a], after: 5m}, {receivers: [b]}]}", "each step comes after the one before"),
        ("incidents: {join_by: []}", "must not be empty"),
        ("calendar: {hours: '18:00-09:00'}", "working hours end after they begin"),
        ("calendar: {holidays: [2026-02-30]}", "day is out of range"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_place(tmp_path, text, reason):
    path = tmp_path / "ihobs.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        load(path, environ={})
    assert reason in str(caught.value)
    assert "ihobs.yaml:1" in str(caught.value)


def test_a_chain_that_is_too_long_is_refused(tmp_path):
    steps = ", ".join("{receivers: [a]}" for _ in range(MAX_TIERS + 1))
    (tmp_path / "ihobs.yaml").write_text(f"incidents: {{chain: [{steps}]}}")
    with pytest.raises(InvalidInputError, match=r"incidents\.chain"):
        load(tmp_path / "ihobs.yaml", environ={})
