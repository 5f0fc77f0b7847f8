"""OTLP over HTTP: one request at a time on a connection that is kept.

opentelemetry.io/docs/specs/otlp/#otlphttp-response says which answers ask for another try. It would drop a request
for any other; here a refusal says who must do something: the destination, its owner, or we, by sending less at once.
"""

from __future__ import annotations

import contextlib
import gzip
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import requests
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

import ihobs
from ihobs.clock import SECOND_NS, Clock
from ihobs.forward.answers import Answer, Outcome, because

if TYPE_CHECKING:
    from ihobs.forward.destinations import Destination

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 15.0
"""How long a destination may take to answer. What it took after all is sent again, and is a duplicate there."""

GZIP_LEVEL = 1
MAX_ANSWER_BYTES = 64 * 1024
"""Of an answer no more is read: a page of HTML says nothing more after that."""

PROTOBUF = "application/x-protobuf"

_PAGE = "text/html"
"""What a login page or a proxy answers, with 200: spans sent there are gone."""

_LATER = frozenset({408, 425, 429, 502, 503, 504})
_DENIED = frozenset({401, 402, 403, 404, 405, 407, 410, 451})
_TOO_LARGE, _UNSUPPORTED_MEDIA = 413, 415
_OK, _REDIRECT, _SERVER_ERROR = range(200, 300), range(300, 400), 500


class HttpSender:
    """Sends to one destination. For one thread at a time."""

    def __init__(self, destination: Destination, clock: Clock) -> None:
        self._url, self._clock = destination.url, clock
        self._secrets = destination.secrets
        self._session = requests.Session()
        self._session.headers.update(
            {**destination.headers, "Content-Type": PROTOBUF, "User-Agent": f"ihobs/{ihobs.__version__}"}
        )
        self._session.auth = _leave_alone  # else ~/.netrc would be asked
        self._compresses = True

    def send(self, data: bytes) -> Answer:
        """Send the bytes of a request, once; uncompressed when the destination does not know gzip."""
        try:
            answer, content = self._post(data)
            if answer.status_code == _UNSUPPORTED_MEDIA and self._compresses:
                self._compresses = False
                answer, content = self._post(data)
        except requests.RequestException as error:
            return Answer("later", _said(error), was_slow=isinstance(error, requests.ReadTimeout))
        return self._read(answer, content)

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        self._session.close()

    def _post(self, data: bytes) -> tuple[requests.Response, bytes]:
        body, headers = data, {}
        if self._compresses:
            body, headers = gzip.compress(data, GZIP_LEVEL), {"Content-Encoding": "gzip"}
        with self._session.post(
            self._url,
            data=body,
            headers=headers,
            timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
            allow_redirects=False,
            stream=True,
        ) as answer:
            return answer, self._content(answer)

    def _content(self, answer: requests.Response) -> bytes:
        """Return the body of an answer, not all of it when it is no answer of OTLP."""
        deadline_ns = self._clock() + round(READ_TIMEOUT_S * SECOND_NS)
        content = bytearray()
        for chunk in answer.iter_content(4096):
            content += chunk
            if len(content) >= MAX_ANSWER_BYTES or self._clock() > deadline_ns:
                break
        return bytes(content)

    def _read(self, answer: requests.Response, content: bytes) -> Answer:
        status = answer.status_code
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        is_protobuf = kind == PROTOBUF
        if status in _OK and kind == _PAGE:
            return Answer("denied", f"answers {status} with a page for people: no OTLP is spoken at this URL")
        if status in _OK:
            return _read_success(content if is_protobuf else b"", self._secrets)
        detail = _read_failure(content) if is_protobuf else content.decode("utf-8", "replace")
        reason = because(f"answers {status}", detail or answer.reason or "", self._secrets)
        return Answer(outcome_of(status), reason, retry_after_s=self._retry_after_s(answer))

    def _retry_after_s(self, answer: requests.Response) -> float | None:
        """Return when to try again, by a header that holds seconds or a date."""
        said = answer.headers.get("Retry-After", "").strip()
        if said.isdecimal():
            return float(said)
        try:
            return max(0.0, parsedate_to_datetime(said).timestamp() - self._clock() / SECOND_NS)
        except ValueError:
            return None


def outcome_of(status: int) -> Outcome:
    """Return what a status of HTTP that is no success means for a request."""
    if status in _LATER:
        return "later"
    if status in _DENIED or status in _REDIRECT or status == _UNSUPPORTED_MEDIA:
        return "denied"
    if status == _TOO_LARGE:
        return "too large"
    return "fault" if status >= _SERVER_ERROR else "bad"


def _read_success(content: bytes, secrets: frozenset[str]) -> Answer:
    """Read how many spans the server did not want, of a request that it took."""
    message = ExportTraceServiceResponse()
    _parse(content, message)
    partial = message.partial_success
    if partial.rejected_spans <= 0:
        return Answer("taken")
    return Answer("taken", because("rejects some spans", partial.error_message, secrets), partial.rejected_spans)


def _read_failure(content: bytes) -> str:
    status = Status()
    _parse(content, status)
    return str(status.message)


def _parse(content: bytes, message: Message) -> None:
    """Fill `message`, unless something else stands there: not every proxy speaks OTLP."""
    with contextlib.suppress(DecodeError):
        message.ParseFromString(content)


def _said(error: requests.RequestException) -> str:
    """Return why there is no answer; without the URL, and without what differs from one time to the next."""
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_TIMEOUT_S:.0f} s"
    if isinstance(error, requests.Timeout):
        return f"no answer within {READ_TIMEOUT_S:.0f} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "the TLS connection fails"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return f"cannot be sent to ({type(error).__name__})"


def _leave_alone(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
