"""`ihobs demo` as its user runs it: processes, disk and clock are real."""

import fcntl
import json
import os
import subprocess
import sys

import pytest

IHOBS = [sys.executable, "-m", "ihobs"]


def run(*arguments, cwd, **environ):
    return subprocess.run(
        [*IHOBS, *arguments],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id):
    """One whole demo, and the directory that it was run in; the workers of pytest-xdist share it."""
    if worker_id == "master":
        return demonstrated(tmp_path_factory.mktemp("demo"))
    cwd = tmp_path_factory.getbasetemp().parent / "demo"
    cwd.mkdir(exist_ok=True)
    with (cwd.parent / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        facts = cwd.parent / "demo.json"
        if not facts.exists():
            facts.write_text(json.dumps(demonstrated(cwd)[1]), encoding="utf-8")
        return cwd, json.loads(facts.read_text(encoding="utf-8"))


def demonstrated(cwd):
    nowhere = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "IHOBS_HOME": str(cwd / "not-this-one")}
    result = run("demo", "--json", cwd=cwd, **nowhere)
    assert result.returncode == 0, (result.stdout, result.stderr)
    return cwd, json.loads(result.stdout)


def test_the_alert_fires_and_clears_within_seconds(finished):
    _, facts = finished
    assert facts["ok"] is True
    assert facts["alert"]["rule"] == "error-rate"
    assert 0 < facts["alert"]["fired_after_s"] < 20
    assert 0 < facts["alert"]["cleared_after_s"] < 45
    assert [entry["kind"] for entry in facts["story"]][:4] == ["start", "normal", "fault", "alert"]


def test_the_incident_that_it_caused_is_opened_told_and_resolved(finished):
    cwd, facts = finished
    incident = facts["incident"]
    assert incident["state"] == "resolved"
    assert 0 < incident["opened_after_s"] < 20
    assert incident["resolved_after_s"] > 0
    assert [reference.partition(":")[0] for reference in incident["told"]] == ["console", "file"]
    assert {"opened", "diagnostics", "mitigated", "resolved"} <= {line["name"] for line in incident["timeline"]}
    exported = run("--config", ".ihobs-demo/ihobs.yaml", "incidents", "export", incident["id"], cwd=cwd)
    seen = {one["part"]: one["content"]["data"] for one in json.loads(exported.stdout)["diagnostics"]}
    assert seen["traces"]["failing_nodes"]
    assert seen["health"]["failed_runs"] > 0


def test_ihobs_counts_exactly_the_runs_that_the_program_counted(finished):
    _, facts = finished
    assert facts["total"]["runs"] == facts["program"]["processed"] + facts["program"]["failed"] > 50
    assert facts["total"]["failed_runs"] == facts["program"]["failed"] > 0
    assert facts["total"]["recovered_errors"] > 0


def test_tokens_and_cost_are_known(finished):
    _, facts = finished
    total = facts["total"]
    assert total["unpriced_calls"] == 0
    assert 0 < total["cached_input_tokens"] < total["input_tokens"]
    uncached = total["input_tokens"] - total["cached_input_tokens"]
    per_million = 0.15 * uncached + 0.075 * total["cached_input_tokens"] + 0.60 * total["output_tokens"]
    assert total["cost_usd"] == pytest.approx(per_million / 1e6, rel=1e-6)


def test_the_other_commands_show_the_same(finished):
    cwd, facts = finished
    config = ("--config", ".ihobs-demo/ihobs.yaml")
    by_node = json.loads(run(*config, "metrics", "--by", "node", "--json", cwd=cwd).stdout)["groups"]
    assert {group["by"]["node"] for group in by_node} >= {"outline", "research", "draft", "review", "publish"}
    total = json.loads(run(*config, "metrics", "--json", cwd=cwd).stdout)["groups"][0]
    assert (total["runs"], total["failed_runs"]) == (facts["total"]["runs"], facts["total"]["failed_runs"])
    alerts = {alert["rule"]: alert for alert in json.loads(run(*config, "alerts", "list", "--json", cwd=cwd).stdout)}
    assert alerts["error-rate"]["state"] in {"resolved", "inactive"}


def test_nothing_is_written_outside_the_demos_home(finished):
    cwd, _ = finished
    assert [path.name for path in cwd.iterdir()] == [".ihobs-demo"]


def test_a_demo_does_not_replace_a_real_home(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "CURRENT").write_text("g0001\n", encoding="ascii")
    result = run("demo", "--home", "home", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (5, "")
    assert "home: is not the home of a demo" in result.stderr


def test_a_real_provider_without_what_it_needs_is_refused_in_one_line(tmp_path):
    result = run("demo", "--provider", "openai", cwd=tmp_path, OPENAI_API_KEY="")
    assert result.returncode == 2
    assert result.stderr.startswith("error: --provider openai: needs ")
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
