"""Arize Phoenix as a process, and what it holds by its own API."""

import contextlib
import socket
import subprocess

import requests
from tests.peers.serving import BOUND_S, environment, until

VERSION = "20.26.1"
START_S = 180.0
"""How long it may take to come up: it imports for long, and migrates its database."""
PAGE = 1000
COUNTS = "{ projects { edges { node { name recordCount } } } }"


class Phoenix:
    """A running Phoenix, asked over HTTP."""

    def __init__(self, port, grpc_port):
        self.url, self.grpc_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{grpc_port}"
        self._session = requests.Session()

    def is_up(self):
        with contextlib.suppress(requests.ConnectionError):
            return self._session.get(f"{self.url}/healthz", timeout=BOUND_S).ok
        return False

    def post(self, request):
        """Send spans to it, without ihobs."""
        headers = {"content-type": "application/x-protobuf"}
        body = request.SerializeToString()
        self._session.post(f"{self.url}/v1/traces", body, headers=headers, timeout=BOUND_S).raise_for_status()

    def count(self, project):
        """Return how many spans a project has."""
        answer = self._session.post(f"{self.url}/graphql", json={"query": COUNTS}, timeout=BOUND_S)
        answer.raise_for_status()
        nodes = [edge["node"] for edge in answer.json()["data"]["projects"]["edges"]]
        return sum(node["recordCount"] for node in nodes if node["name"] == project)

    def spans(self, project):
        """Return the spans of a project as it tells them, one after another."""
        found, cursor = [], None
        while True:
            parameters = {"limit": PAGE} | ({"cursor": cursor} if cursor else {})
            path = f"{self.url}/v1/projects/{project}/spans/otlpv1"
            answer = self._session.get(path, params=parameters, timeout=BOUND_S)
            answer.raise_for_status()
            page = answer.json()
            found += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found


@contextlib.contextmanager
def running(executable, directory):
    """Run Phoenix with a database of its own, as long as the `with` statement lasts."""
    port, grpc_port = _free_port(), _free_port()
    variables = {
        "PHOENIX_WORKING_DIR": str(directory),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc_port),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    with (
        (directory / "phoenix.log").open("w") as log,
        subprocess.Popen([executable, "serve"], stdout=log, stderr=log, env=environment(**variables)) as process,
    ):
        phoenix = Phoenix(port, grpc_port)
        try:
            came_up = until(lambda: process.poll() is not None or phoenix.is_up(), bound_s=START_S)
            assert came_up, "Phoenix did not come up"
            assert process.poll() is None, (directory / "phoenix.log").read_text()
            yield phoenix
        finally:
            process.kill()


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
