"""The worker that stores spans lets the program's own threads run."""

import itertools

import pytest
from opentelemetry.sdk.trace import TracerProvider

from ihobs import courtesy
from ihobs.courtesy import HOLD_S, REST_S, Courtesy
from ihobs.telemetry.exporter import StoreExporter


def test_it_rests_when_the_interpreter_was_held_for_long_enough_and_not_before():
    now_s, rested_s = 10.0, []
    pause = Courtesy(lambda: now_s, rested_s.append)
    pause()
    assert rested_s == [REST_S], "what was done before is not known"
    now_s += 0.9 * HOLD_S
    pause()
    assert len(rested_s) == 1
    now_s += 0.2 * HOLD_S
    pause()
    pause()
    assert len(rested_s) == 2


@pytest.mark.parametrize("spans", [1, 40])
def test_a_flush_pauses_after_each_span_that_is_encoded_and_read_and_after_each_trace(tmp_path, monkeypatch, spans):
    from ihobs.store.home import Home
    from ihobs.store.spool import Spool
    from ihobs.store.telemetry import TelemetryStore

    paused = itertools.count()
    pause = lambda: next(paused) and None  # noqa: E731 - as short as what it stands for
    monkeypatch.setattr(courtesy.Courtesy, "__call__", lambda _: pause())
    home = Home.open(tmp_path / "home", create=True)
    exporter = StoreExporter(
        lambda: TelemetryStore(home, pause=Courtesy()),
        service=lambda: "here",
        open_spool=lambda: Spool(tmp_path / "spool"),
    )
    tracer = TracerProvider().get_tracer("test")
    ended = []
    for _ in range(spans):
        span = tracer.start_span("work")
        span.end()
        ended.append((span, None))
    exporter.write(ended)
    exporter.close()
    assert next(paused) == 3 * spans
