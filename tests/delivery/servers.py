"""Servers on loopback that speak as the real ones do, and misbehave when they are told to."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Request:
    path: str
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)


@dataclass
class Answer:
    """What to answer; `how`: "whole", "reset" the connection, "hang", or "drip" a byte now and then."""

    status: int = 200
    body: object = ""
    headers: dict = field(default_factory=dict)
    how: str = "whole"


class Server:
    """An HTTP server that keeps what it was sent. `respond` decides; `script` goes before it, an answer a request."""

    def __init__(self, respond=lambda _: Answer()):
        self.respond, self.script, self.requests = respond, [], []
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                length = int(self.headers.get("Content-Length", 0))
                request = Request(self.path, dict(self.headers.items()), self.rfile.read(length))
                outer.requests.append(request)
                answer = outer.script.pop(0) if outer.script else outer.respond(request)
                getattr(self, f"_{answer.how}")(answer)

            do_GET = do_POST  # noqa: N815 - the name that http.server calls

            def _bytes(self, answer):
                return (
                    answer.body
                    if isinstance(answer.body, bytes)
                    else (answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode())
                )

            def _whole(self, answer):
                data = self._bytes(answer)
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(data)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def _reset(self, answer):
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
                self.connection.close()

            def _hang(self, answer):
                outer.closing.wait()
                self.close_connection = True

            def _drip(self, answer):
                self.close_connection = True
                with contextlib.suppress(OSError):
                    self.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                    while not outer.closing.wait(0.05):
                        self.connection.sendall(b"x")

            def finish(self):
                with contextlib.suppress(OSError, ValueError):
                    super().finish()

            def log_message(self, *_):
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, address):
                pass

            def shutdown_request(self, request):
                with contextlib.suppress(OSError):
                    super().shutdown_request(request)

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Slack(Server):
    """Slack's Web API, as far as bots post with it: errors come with HTTP 200, rate limits with 429 and Retry-After."""

    def __init__(self, token="xoxb-good", channels=("C01ALERTS", "#alerts")):
        self.token, self.channels, self.messages = token, channels, {}
        super().__init__(self._answer)

    def _answer(self, request):
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return Answer(body={"ok": False, "error": "invalid_auth"})
        if not request.headers["Content-Type"].startswith("application/json"):
            return Answer(body={"ok": False, "error": "invalid_arguments"})
        fields = request.json()
        if request.path == "/api/chat.postMessage":
            return self._post(fields)
        if request.path == "/api/chat.update":
            return self._update(fields)
        return Answer(body={"ok": False, "error": "unknown_method"})

    def _post(self, fields):
        if fields.get("channel") not in self.channels:
            return Answer(body={"ok": False, "error": "channel_not_found"})
        stamp = f"1700000000.{len(self.messages):06}"
        self.messages[stamp] = fields
        return Answer(body={"ok": True, "channel": "C01ALERTS", "ts": stamp, "message": {"text": fields["text"]}})

    def _update(self, fields):
        if fields.get("channel") != "C01ALERTS":
            return Answer(body={"ok": False, "error": "channel_not_found"})  # a name will not do here
        if fields.get("ts") not in self.messages:
            return Answer(body={"ok": False, "error": "message_not_found"})
        self.messages[fields["ts"]] = fields
        return Answer(body={"ok": True, "channel": "C01ALERTS", "ts": fields["ts"], "text": fields["text"]})

    def texts(self):
        return [one["text"] for one in self.messages.values()]


class PagerDuty(Server):
    """PagerDuty's Events API v2: developer.pagerduty.com/docs/send-alert-event."""

    def __init__(self, key="r" * 32):
        self.key, self.incidents = key, {}
        super().__init__(self._answer)

    def _answer(self, request):
        event = request.json()
        errors = list(self._errors(event))
        if request.path != "/v2/enqueue":
            return Answer(404)
        if errors:
            return Answer(400, {"status": "invalid event", "message": "Event object is invalid", "errors": errors})
        key = event["dedup_key"]
        if event["event_action"] == "trigger":
            self.incidents[key] = event["payload"]
        else:
            self.incidents.pop(key, None)
        return Answer(202, {"status": "success", "message": "Event processed", "dedup_key": key})

    def _errors(self, event):
        if len(event.get("routing_key", "")) != 32:
            yield "'routing_key' is invalid (must be 32 characters)"
        elif event["routing_key"] != self.key:
            yield f"no service for {event['routing_key']}"
        if event.get("event_action") not in {"trigger", "acknowledge", "resolve"}:
            yield "'event_action' is missing or invalid"
        if len(event.get("dedup_key", "")) > 255:
            yield "'dedup_key' is too long"
        if event.get("event_action") == "trigger":
            payload = event.get("payload", {})
            if not payload.get("summary") or len(payload["summary"]) > 1024 or not payload.get("source"):
                yield "'payload.summary' or 'payload.source' is missing or invalid"
            if payload.get("severity") not in {"critical", "error", "warning", "info"}:
                yield "'payload.severity' is invalid"
