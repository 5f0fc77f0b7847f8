"""`python -m ihobs.demo`: the program that the demo watches. Nothing here knows that it is watched.

It obeys the names of conditions on stdin, a line each, works until stdin ends, and reports on stdout in JSON lines.
"""

from __future__ import annotations

import os
import sys
import threading

from ihobs.clock import now_ns
from ihobs.demo.content import Library, installed_documents
from ihobs.demo.faults import Services
from ihobs.demo.gateway import connect
from ihobs.demo.orchestrator import Orchestrator
from ihobs.demo.workload import Workload, obey, say


def main(provider: str) -> None:
    """Process documents until stdin ends."""
    services = Services()
    library = Library(installed_documents())
    orchestrator = Orchestrator(connect(provider, services, os.environ), library, services)
    workload = Workload(orchestrator.process_content, library.contents, services)
    stopped = threading.Event()
    worker = threading.Thread(target=workload.run, args=(stopped,), name="arrivals")
    worker.start()
    say(sys.stdout, event="ready", at_ns=now_ns())
    try:
        obey(sys.stdin, services, sys.stdout)
    finally:
        stopped.set()
        worker.join()
    outcomes = workload.outcomes
    say(sys.stdout, event="done", at_ns=now_ns(), processed=outcomes["processed"], failed=outcomes["failed"])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "local")
