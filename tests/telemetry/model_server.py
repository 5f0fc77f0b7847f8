"""A server on loopback that speaks the protocols of OpenAI and Anthropic, as far as their clients need it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OPENAI_MODEL, ANTHROPIC_MODEL = "gpt-4o-2024-08-06", "claude-sonnet-4-5-20250929"
ANSWER = "four legs and a back"


class Handler(BaseHTTPRequestHandler):
    """Answers POST /v1/chat/completions and /v1/messages, whole or as a stream of events."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answers = {"/v1/chat/completions": self._chat, "/v1/messages": self._messages}
        if self.headers.get("x-api-key", self.headers.get("authorization")) is None:
            self._send(401, "application/json", b"{}")
        elif asked["model"] == "missing":
            error = {"type": "not_found_error", "message": "no such model"}
            self._send(404, "application/json", json.dumps({"type": "error", "error": error}).encode())
        else:
            answers[self.path](asked)

    def _chat(self, asked):
        usage = {"prompt_tokens": 21, "completion_tokens": 7, "total_tokens": 28}
        told = {"id": "chatcmpl-1", "created": 1, "model": OPENAI_MODEL}
        if not asked.get("stream"):
            message = {"role": "assistant", "content": ANSWER}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._json({**told, "object": "chat.completion", "choices": [choice], "usage": usage})
            return
        chunks = [{"index": 0, "delta": {"role": "assistant", "content": part}} for part in ANSWER.split()]
        chunks.append({"index": 0, "delta": {}, "finish_reason": "stop"})
        told["object"] = "chat.completion.chunk"
        events = [{**told, "choices": [chunk]} for chunk in chunks] + [{**told, "choices": [], "usage": usage}]
        self._stream([*(f"data: {json.dumps(event)}\n\n" for event in events), "data: [DONE]\n\n"])

    def _messages(self, asked):
        told = {"id": "msg_1", "type": "message", "role": "assistant", "model": ANTHROPIC_MODEL, "stop_sequence": None}
        if not asked.get("stream"):
            content, usage = [{"type": "text", "text": ANSWER}], {"input_tokens": 30, "output_tokens": 9}
            self._json({**told, "content": content, "stop_reason": "end_turn", "usage": usage})
            return
        begun = {**told, "content": [], "stop_reason": None, "usage": {"input_tokens": 30, "output_tokens": 1}}
        events = [
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ANSWER}},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": 9},
            },
            {"type": "message_stop"},
        ]
        self._stream([f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events])

    def _json(self, document):
        self._send(200, "application/json", json.dumps(document).encode())

    def _stream(self, events):
        self._send(200, "text/event-stream", "".join(events).encode())

    def _send(self, status, content_type, body):
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


class ModelServer:
    """Answers while it is open; `url` is the server's."""

    def __enter__(self):
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
