"""Run the benchmarks, print their tables, and write them to docs/benchmarks.md."""

import os
import platform
import sqlite3
from importlib.metadata import version

from benchmarks import alert_latency, disk, event_loop, forward, ingest, query, receiver, rules, span_cost
from benchmarks.sample import REPOSITORY

HEAD = """\
# Benchmarks

Written by `make bench`. Compare numbers within this page only: each stands beside its limit, measured in the same run
on the same machine, which may have been busy with other things.

{cpus} processors, Python {python}, SQLite {sqlite}, opentelemetry-sdk {sdk}, protobuf {protobuf}.
"""


def main() -> None:
    head = HEAD.format(
        cpus=os.cpu_count(),
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        sdk=version("opentelemetry-sdk"),
        protobuf=version("protobuf"),
    )
    parts = [head]
    for benchmark in (span_cost, event_loop, ingest, receiver, forward, disk, query, rules, alert_latency):
        parts.append(benchmark.run().markdown())
        print(parts[-1])
    (REPOSITORY / "docs" / "benchmarks.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
