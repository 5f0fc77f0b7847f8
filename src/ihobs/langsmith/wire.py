"""Single requests to LangSmith's API, and what became of each. Nothing raises, retries, follows, or tells the key.

The SDK's client is for reading history. For a check it asks too long (four times on a 429 or 500, with pauses), and
its errors quote a part of the key.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import requests

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_S = (3.0, 5.0)
"""To connect, and between two parts of an answer."""

MAX_BODY_BYTES = 1_000_000
"""Of an answer no more is read: what is no JSON of LangSmith's may be anything."""

Fault = Literal["", "url", "name", "refused", "timeout", "tls", "broken"]
"""Why there was no answer; empty: there was one."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        status: of HTTP; 0 when nothing came back. fault: why nothing came.
        body: the JSON; None when it was none.
        location: where a redirect points, without its query.
        retry_after: what the header of that name says, or an empty text.
    """

    status: int = 0
    fault: Fault = ""
    body: Any = None
    location: str = ""
    retry_after: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether it was done as asked."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's success

    @property
    def code(self) -> str:
        """The word by which LangSmith names an error."""
        return str(self.body.get("error", "")) if isinstance(self.body, dict) else ""


class Wire:
    """Requests to one API.

    Args:
        endpoint: its base URL. headers: what each request carries.
    """

    def __init__(self, endpoint: str, headers: Mapping[str, str]) -> None:
        self._endpoint, self._headers = endpoint, dict(headers)

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Reply:
        """Ask for something, as JSON."""
        return self._request("GET", path, {"Accept": "application/json"}, params=dict(params or {}))

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send something."""
        return self._request("POST", path, headers, data=body)

    def _request(self, method: str, path: str, headers: Mapping[str, str], **options: Any) -> Reply:
        try:
            with requests.request(
                method,
                self._endpoint + path,
                headers={**self._headers, **headers},
                timeout=TIMEOUT_S,
                allow_redirects=False,  # the key would go along
                stream=True,
                **options,
            ) as response:
                return _reply(response)
        except requests.RequestException as error:
            return Reply(fault=_fault(error))
        except (UnicodeError, ValueError):  # a key or a URL that cannot be sent
            return Reply(fault="url")


def reply_of(error: BaseException) -> Reply:
    """Return what came back before `error` was raised by whoever asked, such as the SDK's client."""
    cause: BaseException | None = error
    while cause is not None:
        response = getattr(cause, "response", None)
        if isinstance(response, requests.Response):
            body = None
            with contextlib.suppress(ValueError):
                body = response.json()
            return Reply(response.status_code, body=body, retry_after=response.headers.get("retry-after", ""))
        if isinstance(cause, requests.ConnectionError | requests.Timeout):
            return Reply(fault=_fault(cause))
        cause = cause.__cause__ or cause.__context__
    return Reply(fault="broken")


def _reply(response: requests.Response) -> Reply:
    body = None
    with contextlib.suppress(ValueError):
        body = json.loads(response.raw.read(MAX_BODY_BYTES, decode_content=True) or b"null")
    location = response.headers.get("location", "").partition("?")[0]
    return Reply(response.status_code, "", body, location, response.headers.get("retry-after", ""))


def _fault(error: requests.RequestException) -> Fault:
    if isinstance(error, requests.exceptions.SSLError):
        return "tls"
    if isinstance(error, requests.Timeout):
        return "timeout"
    if isinstance(error, requests.exceptions.InvalidSchema | requests.exceptions.InvalidURL | ValueError):
        return "url"
    if isinstance(error, requests.ConnectionError):
        text = repr(error)
        if "NameResolution" in text or "getaddrinfo" in text:
            return "name"
        return "refused" if "refused" in text else "broken"
    return "broken"
