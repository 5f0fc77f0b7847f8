"""Post to a server, for a bounded time: one that answers a byte now and then is cut off, too.

No error of this module tells the address, which may hold a secret.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from ihobs import Outcome
from ihobs.clock import SECOND_NS, Clock, now_ns

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 5.0
TOTAL_S = 10.0
"""A server that has not answered in full by then has not answered."""

MAX_ANSWER_BYTES = 65_536

_TAKEN, _ELSEWHERE = range(200, 300), range(300, 400)
_LATER = frozenset({408, 425, 429, *range(500, 600)})


class UnreachableError(Exception):
    """There was no answer; the text says why, without the address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    Attributes:
        body: at most `MAX_ANSWER_BYTES` of it.
        retry_after_s: when it says to try again; None: it does not say.
    """

    status: int
    body: bytes
    retry_after_s: float | None = None

    @property
    def outcome(self) -> Outcome:
        """What the status means for a message: 2xx has taken it, 4xx would not take it the next time either."""
        if self.status in _TAKEN:
            return Outcome("delivered", f"HTTP {self.status}")
        if self.status in _LATER:
            return Outcome("later", f"HTTP {self.status}", self.retry_after_s)
        hint = ": it redirects; give the address that it redirects to" if self.status in _ELSEWHERE else ""
        return Outcome("refused", f"HTTP {self.status}{hint}")


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, clock: Clock = now_ns, total_s: float = TOTAL_S
) -> Answer:
    """Post `body` once and return the answer.

    Raises:
        UnreachableError: there was none in time.
    """
    with _cut_off_after(total_s) as adapter, requests.Session() as session:
        session.auth = lambda request: request  # else ~/.netrc would be asked
        for prefix in ("http://", "https://"):
            session.mount(prefix, adapter)
        try:
            with session.post(
                url,
                data=body,
                headers={"Content-Type": "application/json; charset=utf-8", "User-Agent": "ihobs", **headers},
                timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
                allow_redirects=False,
                stream=True,
            ) as response:
                text = response.raw.read(MAX_ANSWER_BYTES, decode_content=True)
                retry_after_s = _retry_after_s(response.headers.get("Retry-After", ""), clock)
                return Answer(response.status_code, text, retry_after_s)
        except (requests.RequestException, OSError, ValueError, HTTPError) as error:
            raise UnreachableError(_said(error, was_cut=adapter.was_cut)) from None


class _Adapter(HTTPAdapter):
    """Knows the sockets of its connections, so that they can be cut off."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.was_cut = False
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make pools whose connections tell us their sockets. Called by `HTTPAdapter`."""
        super().init_poolmanager(*args, **kwargs)
        sockets = self.sockets

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                sockets.append(self.sock)

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                sockets.append(self.sock)

        plain = type("_Plain", (HTTPConnectionPool,), {"ConnectionCls": Plain})
        secure = type("_Secure", (HTTPSConnectionPool,), {"ConnectionCls": Secure})
        self.poolmanager.pool_classes_by_scheme = {"http": plain, "https": secure}

    def cut(self) -> None:
        """End what is under way."""
        self.was_cut = True
        for one in self.sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _cut_off_after(total_s: float) -> Iterator[_Adapter]:
    adapter = _Adapter()
    timer = threading.Timer(total_s, adapter.cut)
    timer.daemon = True
    timer.start()
    try:
        yield adapter
    finally:
        timer.cancel()


def _retry_after_s(said: str, clock: Clock) -> float | None:
    """Return when to try again, by a header that holds seconds or a date."""
    if said.strip().isdecimal():
        return float(said)
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - clock() / SECOND_NS)
    except ValueError:
        return None


def _said(error: Exception, *, was_cut: bool) -> str:
    if was_cut:
        return "no answer in time"
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_TIMEOUT_S:.0f} s"
    if isinstance(error, requests.Timeout):
        return f"no answer within {READ_TIMEOUT_S:.0f} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "the TLS connection fails"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return f"it cannot be sent to ({type(error).__name__})"
