"""Forward a home to a URL at the times that come in: a line is a time, its answer is when to come back (or None)."""

import sys

from ihobs.forward.destinations import Destination
from ihobs.forward.forwarder import Forwarder
from ihobs.forward.forwarding import open_sender
from ihobs.forward.reading import Reader
from ihobs.store.forwarding import Enrolment, enrol
from ihobs.store.home import Home
from ihobs.store.schema import open_telemetry


def main(path, url, batch_bytes):
    now_ns = int(sys.stdin.readline())
    destination = Destination("there", url)
    database = open_telemetry(Home.open(path))
    enrol(database, {"there": Enrolment(destination.fingerprint(), from_beginning=True)})
    clock = lambda: now_ns  # noqa: E731 - it moves with the lines
    forwarder = Forwarder(
        destination,
        database,
        Reader(database, ()),
        lambda: open_sender(destination, clock),
        lambda: False,
        clock,
        lambda: 1.0,
        _limit_bytes=int(batch_bytes),
    )
    while True:
        while (next_ns := forwarder.turn()) is not None and next_ns <= now_ns:
            pass
        print(next_ns, flush=True)
        now_ns = int(sys.stdin.readline())


if __name__ == "__main__":
    main(*sys.argv[1:])
