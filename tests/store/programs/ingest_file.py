"""Ingest a file of requests, a commit each; after each commit tell how long it took, in nanoseconds.

python ingest_file.py HOME FILE NOW_NS: begins when a line comes on standard input, so that several begin together.
"""

import sys
import time
from pathlib import Path

from ihobs.spans.decode import read_file
from ihobs.store.home import Home
from ihobs.store.telemetry import TelemetryStore


def main(home, path, now_ns):
    requests = [chunk.request for chunk in read_file(Path(path))]
    print("ready", flush=True)
    sys.stdin.readline()
    with TelemetryStore(Home.open(home), clock=lambda: int(now_ns)) as store:
        for request in requests:
            began_ns = time.perf_counter_ns()
            store.ingest(request, live=False)
            print(time.perf_counter_ns() - began_ns, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
