"""`ihobs metrics reprice` as it is typed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner
from tests.prices.calls import START_NS, call, totals

from ihobs.cli import main
from ihobs.clock import DAY_NS, isoformat, now_ns
from ihobs.store.home import Home
from ihobs.store.prices import fill
from ihobs.store.retention import Retention
from ihobs.store.telemetry import TelemetryStore

OWN = "prices: {openai/gpt-4o: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}\n"
KNOWN_NANO_USD = 1000 * 2500 + 50 * 10_000
OWN_NANO_USD = 1000 * 1000 + 50 * 2000


@pytest.fixture
def store(tmp_path):
    with TelemetryStore(Home.open(tmp_path / "home", create=True)) as store:
        yield store


@pytest.fixture
def ihobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, ["--home", "home", *arguments])


@pytest.fixture
def configure(tmp_path):
    return (tmp_path / "ihobs.yaml").write_text


def read(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_it_shows_what_each_model_costs_and_will_cost_and_corrects_the_sums(store, ihobs, configure):
    store.ingest_many([call(1, "gpt-4o"), call(2, "gpt-4o"), call(3, "gpt-4o-mini"), call(4, "nobody")], live=False)
    fill(store)
    mini = totals(store, model="gpt-4o-mini")
    configure(OWN)
    printed = read(ihobs("metrics", "reprice", "--json"))
    assert (printed["since"], printed["dry_run"], printed["changed_calls"]) == (None, False, 2)
    assert printed["forgotten"] == {"calls": 0, "cost_usd": 0}
    assert printed["models"][0] == {
        "provider": "openai",
        "model": "gpt-4o",
        "calls": 2,
        "changed_calls": 2,
        "cost_usd": 2 * KNOWN_NANO_USD / 1e9,
        "new_cost_usd": 2 * OWN_NANO_USD / 1e9,
        "unpriced_calls": 0,
        "new_unpriced_calls": 0,
        "price_from": "ihobs.yaml: openai/gpt-4o",
    }
    others = {each["model"]: each for each in printed["models"][1:]}
    assert others["gpt-4o-mini"]["cost_usd"] == others["gpt-4o-mini"]["new_cost_usd"] == mini[0] / 1e9
    assert (others["nobody"]["cost_usd"], others["nobody"]["new_cost_usd"]) == (None, None)
    assert (others["nobody"]["new_unpriced_calls"], others["nobody"]["price_from"]) == (1, None)
    assert totals(store, model="gpt-4o") == (2 * OWN_NANO_USD, 0)
    assert totals(store, model="gpt-4o-mini") == mini


def test_a_dry_run_shows_the_same_and_changes_nothing(store, ihobs, configure):
    store.ingest_many([call(1, "gpt-4o")], live=False)
    fill(store)
    before = totals(store)
    configure(OWN)
    seen = store.database.data_version()
    dry = read(ihobs("metrics", "reprice", "--json", "--dry-run"))
    assert (store.database.data_version(), totals(store)) == (seen, before)
    assert dry == read(ihobs("metrics", "reprice", "--json")) | {"dry_run": True}
    assert totals(store) == (OWN_NANO_USD, 0)


def test_it_tells_people_in_a_table(store, ihobs, configure):
    store.ingest_many([call(1, "gpt-4o"), call(2, "nobody", provider="")], live=False)
    fill(store)
    configure(OWN)
    dry = ihobs("metrics", "reprice", "--dry-run").stdout
    assert "openai    gpt-4o      1  $0.0030   $0.0011  -63.3 %  ihobs.yaml: openai/gpt-4o" in dry
    assert "1 call cost something else: $0.0030, now $0.0011" in dry
    assert dry.endswith("nothing was changed: --dry-run\n")
    assert ihobs("metrics", "reprice").stdout.endswith("done\n")
    again = ihobs("metrics", "reprice").stdout
    assert again.endswith("0 calls cost something else: $0.0011, now $0.0011\n")


def test_the_past_before_since_keeps_its_cost(store, ihobs, configure):
    store.ingest_many([call(1, "gpt-4o"), call(2, "gpt-4o", start_ns=START_NS + DAY_NS)], live=False)
    fill(store)
    configure(OWN)
    since = isoformat(START_NS + DAY_NS)
    printed = read(ihobs("metrics", "reprice", "--json", "--since", since))
    assert (printed["since"], printed["changed_calls"], printed["models"][0]["calls"]) == (since, 1, 1)
    assert totals(store) == (KNOWN_NANO_USD + OWN_NANO_USD, 0)


def test_a_price_that_was_taken_out_of_the_file_is_taken_away_but_only_for_all_of_the_past(store, ihobs, configure):
    store.ingest_many([call(1, "in-house")], live=False)
    configure(OWN.replace("gpt-4o", "in-house"))
    ihobs("metrics", "reprice")
    assert totals(store) == (OWN_NANO_USD, 0)
    configure("")
    ihobs("metrics", "reprice", "--since", isoformat(START_NS))
    assert totals(store) == (OWN_NANO_USD, 0)
    assert read(ihobs("metrics", "reprice", "--json"))["models"][0]["new_unpriced_calls"] == 1
    assert totals(store) == (0, 1)


def test_after_it_the_duties_have_nothing_to_follow(store, ihobs, configure):
    store.ingest_many([call(1, "gpt-4o")], live=False)
    fill(store)
    configure(OWN)
    ihobs("metrics", "reprice")
    with store.database.read() as connection:
        rows = connection.execute("SELECT from_ns, source FROM price").fetchall()
    assert rows == [(0, "ihobs.yaml: openai/gpt-4o")]


def test_calls_whose_rows_are_forgotten_keep_their_cost_and_are_counted(tmp_path, ihobs, configure):
    """Three days ago two calls came, today one that ended on the same day; the two are forgotten."""
    now = now_ns()
    old, kept = now - 3 * DAY_NS, Retention(spans_ns=2 * DAY_NS)
    clock = [old]
    times = {"start_ns": old - DAY_NS, "work_ns": old - DAY_NS}
    with TelemetryStore(Home.open(tmp_path / "home", create=True), clock=lambda: clock[0], retention=kept) as store:
        store.ingest_many([call(1, "gpt-4o", **times), call(2, "nobody", **times)], live=False)
        clock[0] = now
        store.ingest_many(
            [call(3, "gpt-4o", **times), call(4, "gpt-4o", start_ns=now - 1, work_ns=now - 1)], live=False
        )
        fill(store)
        store.maintain()
        configure(OWN)
        printed = read(ihobs("metrics", "reprice", "--json"))
        assert printed["forgotten"] == {"calls": 2, "cost_usd": KNOWN_NANO_USD / 1e9}
        assert printed["changed_calls"] == 2
        assert totals(store) == (KNOWN_NANO_USD + 2 * OWN_NANO_USD, 1)
        assert "2 calls ($0.0030) keep their cost: their rows are forgotten" in ihobs("metrics", "reprice").stdout
        recent = read(ihobs("metrics", "reprice", "--json", "--since", "1d"))
        assert recent["forgotten"] == {"calls": 0, "cost_usd": 0}


def test_an_empty_home_has_nothing_to_reprice(store, ihobs):
    assert ihobs("metrics", "reprice").stdout == "no call to a model is stored\n"
    assert read(ihobs("metrics", "reprice", "--json"))["models"] == []


def test_the_numbers_are_still_what_metrics_shows_by_itself(store, ihobs):
    store.ingest_many([call(1, "gpt-4o")], live=False)
    assert read(ihobs("metrics", "--all", "--json"))["groups"][0]["calls"] == 1
    assert ihobs("metrics", "--all", "reprice").exit_code == 2
    assert "--all goes behind 'reprice'" in ihobs("metrics", "--all", "reprice").stderr
    assert ihobs("metrics", "repricee").exit_code == 2


def test_ctrl_c_leaves_sums_that_fit_and_the_rest_for_the_next_time(tmp_path, configure):
    """A real process is interrupted after its first step."""
    program = """
import os, signal, sys
from ihobs.cli import main
from ihobs.store import repricing
from ihobs.store.telemetry import TelemetryStore
repricing.MAX_SPANS = 1
step = TelemetryStore.reprice_some
steps = []
def interrupted(store):
    if steps:
        os.kill(os.getpid(), signal.SIGINT)
    steps.append(step(store))
    return steps[-1]
TelemetryStore.reprice_some = interrupted
main(["--home", "home", "metrics", "reprice"])
"""
    with TelemetryStore(Home.open(tmp_path / "home", create=True)) as store:
        store.ingest_many([call(number, "gpt-4o") for number in range(1, 6)], live=False)
        fill(store)
        configure(OWN)
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 128 + signal.SIGINT
        assert "1 call repriced; the duties process or 'ihobs metrics reprice' does the rest" in done.stderr
        assert totals(store) == (4 * KNOWN_NANO_USD + OWN_NANO_USD, 0)
        fill(store)  # as the duties do
        assert totals(store) == (5 * OWN_NANO_USD, 0)
