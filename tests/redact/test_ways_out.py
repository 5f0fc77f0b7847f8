"""What leaves the process by another way than the home's database: the spool and the endpoint. And plug-ins."""

import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.redact.planted import HEARTS, SECRETS, request_with_everything

from ihobs import hookimpl
from ihobs.config import load
from ihobs.plugins import redaction_by
from ihobs.redact.tally import Tally
from ihobs.spans.attributes import attributes_of
from ihobs.store.home import Home
from ihobs.store.opening import RequestRedaction
from ihobs.store.spool import SPOOL, Spool
from ihobs.testing import plugins_of

KEY = SECRETS["langsmith-key"]


def test_a_request_that_goes_to_disk_or_to_a_server_is_redacted_first(tmp_path):
    home = Home.open(tmp_path / "home", create=True)
    spool = Spool(home.path / SPOOL, redact=RequestRedaction(home, load(environ={}).settings, lambda: None))
    spool.append(request_with_everything(KEY, every=20).SerializeToString())
    [file] = (home.path / SPOOL).iterdir()
    written = file.read_bytes()
    assert HEARTS["langsmith-key"].encode() not in written
    assert b"[langsmith-key]" in written


PROGRAM = """
import ihobs
handle = ihobs.instrument(home={home!r})
with ihobs.workflow("w") as span:
    span.set("note", {key!r})
    span.set("input.value", "the unicorn")
    raise SystemExit({code})
"""


@pytest.mark.parametrize("reachable", [True, False])
def test_an_instrumented_program_leaves_no_secret_on_disk(tmp_path, reachable):
    home = tmp_path / "home"
    environ = {} if reachable else {"IHOBS_ENDPOINT": "http://127.0.0.1:9"}
    program = PROGRAM.format(home=str(home), key=KEY, code=0)
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0
    files = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert (b"[masked]" in files) or reachable  # the database's payload is compressed
    for secret in (HEARTS["langsmith-key"], "unicorn"):
        assert secret.encode() not in files
        assert secret not in ended.stderr


def redacted(redactor, key, text):
    span = ExportTraceServiceRequest().resource_spans.add().scope_spans.add().spans.add(name="s")
    span.attributes.add(key=key).value.string_value = text
    tally = Tally()
    redactor.span(span, attributes_of(span), tally)
    return span.attributes[0].value.string_value, tally.by_kind()


def plugin(function):
    return SimpleNamespace(ihobs_redact=hookimpl(specname="ihobs_redact")(function))


def test_a_plugin_takes_out_more_and_is_told_the_key(redactor):
    def staff(text, key):
        return text.replace("4711", "[staff]") if key == "note" else None

    plugins = plugins_of(one=plugin(staff))
    made = redactor(hook=redaction_by(plugins))
    assert redacted(made, "note", "asked by 4711") == ("asked by [staff]", {"plug-in": 1})
    assert redacted(made, "other", "asked by 4711") == ("asked by 4711", {})


def test_plugins_are_given_what_the_one_before_returned(redactor):
    plugins = plugins_of(
        one=plugin(lambda text, key: text.replace("a", "b")), two=plugin(lambda text, key: text.replace("b", "c"))
    )
    assert redacted(redactor(hook=redaction_by(plugins)), "k", "aaa")[0] in {"ccc", "bbb"}


@pytest.mark.parametrize("answer", ["raises", "wrong type"])
def test_a_text_on_which_a_plugin_fails_goes_whole_and_the_log_does_not_quote_it(redactor, caplog, answer):
    def failing(text, key):
        if answer == "raises":
            raise ValueError(f"what is {text}?")
        return len(text)

    plugins = plugins_of(one=plugin(failing))
    with caplog.at_level(logging.DEBUG):
        assert redacted(redactor(hook=redaction_by(plugins)), "k", "unicorn 4711") == (
            "[failed]",
            {"failed": 2},
        )  # and the name
    assert "unicorn" not in caplog.text + plugins.problems[0].error
    assert plugins.problems[0].plugin == "one"


def test_without_a_plugin_that_redacts_there_is_nothing_to_ask():
    assert redaction_by(plugins_of()) is None
