"""How late an event loop becomes while its tasks make spans, and how much memory the process takes.

Measured in processes of their own: `python -m benchmarks.event_loop SINK WAY` prints JSON.
"""

import asyncio
import contextlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.sample import llm_attributes
from benchmarks.span_cost import Start, local_sink, set_up
from benchmarks.table import Table

TASKS, STEPS, STEP_S = 40, 500, 0.02
"""2 000 steps a second, each with a span of 12 attributes, for ten seconds."""

TICK_S = 0.005
ROUNDS = 3
WAYS = {
    "none": "no spans",
    "sdk": "SDK alone, spans thrown away",
    "otlp": "SDK + OTLP/HTTP exporter",
    "ihobs": "SDK + ihobs",
}
NOTE = """\
Milliseconds by which a timer of 5 ms fires late, while 40 tasks make 2 000 spans of 12 attributes a second for ten
seconds: the median of 3 processes for each way. The exporter's or our worker thread takes the interpreter from the
loop while it encodes and stores. *RSS* is the largest resident size of the process. Goal: p99 below 5 ms."""


def run() -> Table:
    rows = []
    with local_sink() as url:
        for way, label in WAYS.items():
            found = [_measured(url, way) for _ in range(ROUNDS)]
            p50, p99, rss = (sorted(each[name] for each in found)[ROUNDS // 2] for name in ("p50", "p99", "rss_mb"))
            rows.append([label, f"{p50:.2f}", f"{p99:.2f}", f"{rss:.0f} MB"])
    return Table("Lag of an event loop, ms", NOTE, ("way", "p50", "p99", "RSS"), rows)


def _measured(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.event_loop", *arguments]
    answer: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return answer


async def _work(start: Start, attributes: list[dict], late_ns: list[int]) -> None:
    async def steps(own: list[dict]) -> None:
        for each in own:
            with start(each):
                pass
            await asyncio.sleep(STEP_S)

    async def ticks() -> None:
        while True:
            start_ns = time.perf_counter_ns()
            await asyncio.sleep(TICK_S)
            late_ns.append(time.perf_counter_ns() - start_ns - round(TICK_S * 1e9))

    watch = asyncio.create_task(ticks())
    await asyncio.gather(*(steps(attributes[task::TASKS]) for task in range(TASKS)))
    watch.cancel()


def main(sink: str, way: str) -> None:
    chance = random.Random(5)
    attributes = [llm_attributes(chance) for _ in range(TASKS * STEPS)]
    late_ns: list[int] = []
    with tempfile.TemporaryDirectory() as name:
        if way == "none":
            asyncio.run(_work(lambda _: contextlib.nullcontext(), attributes, late_ns))
        else:
            start, flush = set_up(way, sink, Path(name))
            with start(attributes[0]):  # imports, threads, connections, the schema
                pass
            flush()
            asyncio.run(_work(start, attributes, late_ns))
            flush()
        late_ns.sort()
        rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"p50": _ms(late_ns, 0.5), "p99": _ms(late_ns, 0.99), "rss_mb": rss_mb}))


def _ms(late_ns: list[int], q: float) -> float:
    return max(0, late_ns[int(q * (len(late_ns) - 1))]) / 1e6


if __name__ == "__main__":
    main(*sys.argv[1:])
