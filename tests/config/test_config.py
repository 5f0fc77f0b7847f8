"""Where each setting comes from, and what is wrong with a file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from ihobs.alerts.metrics import METRICS
from ihobs.checks import NOT_READ_YET
from ihobs.config import load
from ihobs.documents import DocumentInvalidError
from ihobs.errors import InvalidInputError, NotFoundError
from ihobs.model import DIMENSIONS, Objective, Rule
from ihobs.resources import shipped
from ihobs.rule_settings import BURN_RATE
from ihobs.settings import TABLE

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GOOD = sorted((HERE / "good").glob("*.yaml"))
BAD = sorted((HERE / "bad").glob("*.yaml"))
SCHEMA = json.loads((shipped("schemas") / "config.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_files_are_accepted(path):
    assert load(path, environ={}).path == path


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_files_say_where_and_why(path):
    expected = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# expect: ")
    with pytest.raises(DocumentInvalidError) as caught:
        load(path, environ={})
    assert str(caught.value) == f"{path}:{expected}"


def test_all_mistakes_are_listed_in_the_order_of_the_file(elsewhere):
    Path("ihobs.yaml").write_text("retention: {payload: x}\nthresolds: 1\nhome: 5\n")
    with pytest.raises(DocumentInvalidError) as caught:
        load(environ={})
    assert [finding.place.line for finding in caught.value.findings] == [1, 2, 3]
    assert str(caught.value).split("\n")[1] == "ihobs.yaml:2:1: unknown key 'thresolds'; did you mean 'thresholds'?"


def test_the_schema_is_a_schema_and_describes_everything_for_editors():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def undescribed(schema, at):
        for name, inner in schema.get("properties", {}).items():
            if "description" not in inner:
                yield f"{at}.{name}"
            yield from undescribed(inner, f"{at}.{name}")
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                yield from undescribed(schema[key], f"{at}[]")

    assert list(undescribed(SCHEMA, "")) == []


def test_every_mapping_of_the_schema_is_closed():
    def open_ones(schema, at):
        if "properties" in schema and schema.get("additionalProperties") is not False:
            yield at
        for key, inner in schema.items():
            if isinstance(inner, dict):
                yield from open_ones(inner, f"{at}.{key}")

    assert list(open_ones(SCHEMA, "")) == []


def test_the_examples_of_the_schema_are_valid():
    def examples(schema):
        for value in schema.get("examples", ()):
            yield schema, value
        for inner in schema.values():
            if isinstance(inner, dict):
                yield from examples(inner)

    found = list(examples(SCHEMA["properties"]))
    assert len(found) > 10
    for schema, value in found:
        jsonschema.Draft202012Validator({**schema, "$defs": SCHEMA["$defs"]}).validate(value)


def test_the_dimensions_and_rule_keys_of_the_schema_are_those_of_the_model():
    rule = SCHEMA["properties"]["rules"]["items"]["properties"]
    assert rule["by"]["items"]["enum"] == [*DIMENSIONS, "destination"]
    made, budget = load(HERE / "good" / "complete.yaml", environ={}).settings.rules
    assert Rule(**made) == Rule(
        "slow-nodes", "response_time", stat="p95", of="node", by=("node",), warning=8, for_s=120.0, min_count=20
    )
    assert Rule(**budget) == Rule("error-budget", BURN_RATE, slo=Objective("error_rate", 0.99))


def test_the_metrics_of_the_schema_are_those_that_can_be_evaluated():
    assert SCHEMA["properties"]["rules"]["items"]["properties"]["metric"]["enum"] == [
        name for name in METRICS if name != BURN_RATE
    ]
    assert set(SCHEMA["properties"]["thresholds"]["propertyNames"]["enum"]) == set(load(environ={}).settings.thresholds)


def test_every_setting_is_read_by_some_code_or_named_as_not_read():
    rooms = [
        path for path in (ROOT / "src" / "ihobs").rglob("*.py") if path.stem not in {"settings", "config", "checks"}
    ]
    lines = [line for path in [*rooms, *(ROOT / "plugins").rglob("*.py")] for line in path.read_text().splitlines()]
    code = "\n".join(line for line in lines if not line.lstrip().startswith(("import ", "from ")))
    for setting in TABLE:
        field = (setting.field or setting.key).removeprefix("thresholds.").split(".")
        name = "thresholds" if setting.key.startswith("thresholds.") else field[-1]
        sections = "settings|instrument|redact|kept|delivery|deadman|calendar|incidents|runbooks"
        read = re.search(rf"({sections})\.{name}\b", code)
        assert bool(read) != (setting.key in NOT_READ_YET), setting.key


def test_what_no_code_reads_yet_is_named_with_its_place():
    unused = load(HERE / "good" / "complete.yaml", environ={}).unused
    assert [line.split("'")[1] for line in unused] == [
        "schedules", "backups"
    ]  # fmt: skip
    assert load(HERE / "good" / "one_level.yaml", environ={}).unused == ()


def test_without_anything_the_defaults_hold_and_say_so(elsewhere):
    config = load(environ={})
    assert config.path is None
    assert set(config.origins.values()) == {"default"}
    assert config.settings.home == elsewhere / ".ihobs"
    assert config.settings.thresholds["error_rate"] == {"warning": 0.05, "critical": 0.15}
    assert config.settings.retention.payload_s == 7 * 86_400


def test_an_argument_beats_a_variable_which_beats_the_file_which_beats_the_default(elsewhere):
    def home(**given):
        config = load(**given)
        return config.settings.home, config.origins["home"]

    assert home(environ={}) == (elsewhere / ".ihobs", "default")
    Path("ihobs.yaml").write_text("service: x\nhome: from-file\n")
    assert home(environ={}) == (elsewhere / "from-file", "ihobs.yaml:2")
    variables = {"IHOBS_HOME": "/from-variable"}
    assert home(environ=variables) == (Path("/from-variable"), "IHOBS_HOME")
    assert home(environ=variables, overrides={"home": "/from-argument"}) == (Path("/from-argument"), "argument")
    assert home(environ=variables, overrides={"home": None}) == (Path("/from-variable"), "IHOBS_HOME")


def test_an_empty_variable_counts_as_unset(elsewhere):
    assert load(environ={"IHOBS_HOME": "", "IHOBS_CONFIG": "", "IHOBS_DISABLED": ""}).origins["home"] == "default"


def test_a_relative_home_is_relative_to_its_file_and_one_from_a_variable_to_the_working_directory(elsewhere):
    (elsewhere / "etc").mkdir()
    (elsewhere / "etc" / "other.yaml").write_text("home: data\n")
    environ = {"IHOBS_CONFIG": "etc/other.yaml"}
    assert load(environ=environ).settings.home == elsewhere / "etc" / "data"
    assert load(environ={**environ, "IHOBS_HOME": "data"}).settings.home == elsewhere / "data"
    (elsewhere / "etc" / "other.yaml").write_text("service: x\n")
    assert load(environ=environ).settings.home == elsewhere / "etc" / ".ihobs"


def test_a_metric_in_the_file_replaces_its_default_and_the_others_stay():
    settings = load(HERE / "good" / "one_level.yaml", environ={}).settings
    assert settings.thresholds["response_time"] == {"critical": 5}
    assert settings.thresholds["error_rate"] == {}
    assert settings.thresholds["cost_per_hour"] == {"warning": 10.0, "critical": 25.0}


def test_a_secret_stays_a_reference(elsewhere):
    Path("ihobs.yaml").write_text('receivers: {"slack://a": "${env:SLACK}"}\n')
    assert load(environ={"SLACK": "https://secret"}).settings.receivers == {"slack://a": "${env:SLACK}"}


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("true", True), ("no", False), ("0", False)])
def test_the_switch_in_a_variable_is_read_as_a_word(value, expected):
    assert load(environ={"IHOBS_DISABLED": value}).settings.disabled is expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://collector:8081", "http://collector:8081"),
        ("https://[::1]:8081/below/", "https://[::1]:8081/below"),
        ("", None),
    ],
)
def test_an_endpoint_is_a_url_without_a_slash_at_its_end(given, expected):
    assert load(environ={"IHOBS_ENDPOINT": given}).settings.endpoint == expected


@pytest.mark.parametrize("given", ["collector:8081", "ftp://x", "http://", "http://x:port", "http://x?token=1", "x"])
def test_an_endpoint_that_is_no_url_is_refused(given):
    with pytest.raises(InvalidInputError, match="such as http://host:8081"):
        load(environ={"IHOBS_ENDPOINT": given})


def test_a_password_in_an_endpoint_is_refused_and_not_repeated():
    with pytest.raises(InvalidInputError, match="put the token into IHOBS_TOKEN") as caught:
        load(environ={"IHOBS_ENDPOINT": "http://me:secret@x"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "where", "reason"),
    [
        ({"environ": {"IHOBS_DISABLED": "maybe"}}, "IHOBS_DISABLED", "must be 1 or 0, not 'maybe'"),
        ({"overrides": {"instrument.content": "maks"}}, "instrument.content", "'maks' is not one of keep, mask"),
        ({"overrides": {"instrument.targets": "a:b"}}, "instrument.targets", "must be a list of texts, not 'a:b'"),
        ({"overrides": {"hom": "x"}}, "hom", "is not a setting"),
    ],
)
def test_a_wrong_variable_or_argument_is_named(given, where, reason):
    with pytest.raises(InvalidInputError) as caught:
        load(**{"environ": {}, **given})
    assert (caught.value.where, caught.value.reason) == (where, reason)


def test_a_file_that_is_named_must_exist(elsewhere):
    with pytest.raises(NotFoundError) as caught:
        load(environ={"IHOBS_CONFIG": "nope.yaml"})
    assert (caught.value.name, caught.value.hint) == ("nope.yaml", "IHOBS_CONFIG names it")
    with pytest.raises(NotFoundError):
        load(Path("nope.yaml"), environ={})


def test_a_directory_of_that_name_is_not_taken_for_no_file(elsewhere):
    Path("ihobs.yaml").mkdir()
    with pytest.raises(DocumentInvalidError) as caught:
        load(environ={})
    assert str(caught.value) == "ihobs.yaml: is a directory"


def test_loading_without_a_file_imports_neither_yaml_nor_jsonschema(elsewhere):
    code = "import sys, ihobs.config as c; c.load(environ={}); print({'yaml', 'jsonschema'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"
