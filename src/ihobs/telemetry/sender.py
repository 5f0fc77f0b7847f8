"""Sends OTLP over HTTP to `ihobs serve`, or to any server that speaks it, and says what became of each request.

opentelemetry.io/docs/specs/otlp/#otlphttp-response: 429, 502, 503 and 504 ask for another try, if need be after
`Retry-After`; another failure would fail again.
"""

from __future__ import annotations

import contextlib
import gzip
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal

from ihobs.clock import SECOND_NS, Clock, now_ns
from ihobs.telemetry.loading import loading

if TYPE_CHECKING:
    import requests
    from google.protobuf.message import Message

TOKEN = "IHOBS_TOKEN"  # noqa: S105 - the name of the variable

CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 5.0
"""How long the server may take to store a request. What was stored after all is known when it is sent again."""

GZIP_LEVEL = 1
"""A third of the default's time, for a tenth more bytes."""

PROTOBUF = "application/x-protobuf"

_OK = range(200, 300)
_LATER = frozenset({408, 429, 502, 503, 504})
"""408 is beyond the specification: the server did not read to the end, so it cannot have judged the request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request.

    Attributes:
        outcome: "taken", "refused" for good, or "later": try again.
        status: of HTTP; 0: there was no answer.
        reason: why it was not taken, or why some of its spans were not; the same text for the same reason.
        detail: what the server says about it, for people.
        rejected_spans: of a request that was taken.
        retry_after_s: when the server says to try again; None: it does not say.
    """

    outcome: Literal["taken", "refused", "later"]
    status: int = 0
    reason: str = ""
    detail: str = ""
    rejected_spans: int = 0
    retry_after_s: float | None = None


class Sender:
    """Keeps one connection. For one thread; a forked child makes its own.

    Args:
        endpoint: the URL of the server, without the path.
        path: "/v1/traces" or "/v1/logs"; their answers differ in names only.
        token: sent as a bearer token, if there is one.
        clock: tells the time.
    """

    def __init__(
        self, endpoint: str, token: str | None = None, *, path: str = "/v1/traces", clock: Clock = now_ns
    ) -> None:
        self.url = f"{endpoint.rstrip('/')}{path}"
        self._token, self._clock = token, clock
        self._session: requests.Session | None = None
        self._is_connected = False

    def send(self, data: bytes) -> Answer:
        """Send the bytes of a request, once; a second time when the server has closed the idle connection."""
        with loading:
            import requests  # slow: not before it is needed

            session = self._opened()
        was_connected, self._is_connected = self._is_connected, False
        try:
            try:
                response = self._post(session, data)
            except requests.Timeout:
                raise
            except requests.ConnectionError:
                if not was_connected:
                    raise
                response = self._post(session, data)
        except requests.RequestException as error:
            return Answer("later", reason=_said(error))
        self._is_connected = True
        return self._read(response)

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        if self._session is not None:
            self._session.close()
        self.forget()

    def forget(self) -> None:
        """Leave the connection to the parent of a forked child."""
        self._session, self._is_connected = None, False

    def _post(self, session: requests.Session, data: bytes) -> requests.Response:
        body, timeouts_s = gzip.compress(data, GZIP_LEVEL), (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
        return session.post(self.url, data=body, timeout=timeouts_s, allow_redirects=False)

    def _opened(self) -> requests.Session:
        if self._session is None:
            import requests

            self._session = requests.Session()
            self._session.headers.update({"Content-Type": PROTOBUF, "Content-Encoding": "gzip"})
            self._session.auth = self._authorise  # also when there is no token: else ~/.netrc would be asked
        return self._session

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def _read(self, response: requests.Response) -> Answer:
        status = response.status_code
        if status in _OK:
            return _read_success(response)
        reason, detail = f"the endpoint answers {status}", _read_failure(response)
        if status in _LATER:
            return Answer("later", status, reason, detail, retry_after_s=self._retry_after_s(response))
        return Answer("refused", status, reason, detail)

    def _retry_after_s(self, response: requests.Response) -> float | None:
        """Return when to try again, by a header that holds seconds or a date."""
        said = response.headers.get("Retry-After", "").strip()
        if said.isdecimal():
            return float(said)
        try:
            return max(0.0, parsedate_to_datetime(said).timestamp() - self._clock() / SECOND_NS)
        except ValueError:
            return None


def _read_success(response: requests.Response) -> Answer:
    """Read how many spans the server did not want, of a request that it took."""
    with loading:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
    answer = ExportTraceServiceResponse()
    _parse(response, answer)
    partial, status = answer.partial_success, response.status_code
    if not partial.rejected_spans:
        return Answer("taken", status)
    return Answer("taken", status, "rejected by the endpoint", partial.error_message, partial.rejected_spans)


def _read_failure(response: requests.Response) -> str:
    """Return what the server says of its refusal."""
    with loading:
        from google.rpc.status_pb2 import Status
    status = Status()
    _parse(response, status)
    return str(status.message) or response.reason or ""


def _parse(response: requests.Response, message: Message) -> None:
    """Fill `message` from the body, unless something else stands there: not every proxy speaks OTLP."""
    from google.protobuf.message import DecodeError

    if response.headers.get("Content-Type", "").partition(";")[0].strip() == PROTOBUF:
        with contextlib.suppress(DecodeError):
            message.ParseFromString(response.content)


def _said(error: requests.RequestException) -> str:
    """Return why a server cannot be reached; without what differs from one time to the next."""
    import requests

    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_TIMEOUT_S:.0f} s"
    if isinstance(error, requests.Timeout):
        return f"no answer within {READ_TIMEOUT_S:.0f} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "the TLS connection fails"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return f"it cannot be sent to ({type(error).__name__})"
