"""Runs that LangSmith holds, page by page, oldest first, through its SDK's client.

The client waits and tries again when LangSmith says that it is asked too often. Pages are asked for by the client's
general request: its own method for lists reads all fields, prompts included, and is to be removed in 2027.
"""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ihobs.errors import NotFoundError
from ihobs.langsmith import advice
from ihobs.langsmith.errors import LangSmithUnavailableError
from ihobs.langsmith.wire import reply_of

if TYPE_CHECKING:
    from ihobs.langsmith.access import Access
    from ihobs.langsmith.convert import Run
    from langsmith import Client

PAGE_RUNS = 100
"""The most that LangSmith gives at once."""

ATTEMPTS = 6
"""How often a page is asked for; the pauses double, from what LangSmith asks for."""

FIELDS = (
    "id", "trace_id", "parent_run_id", "name", "run_type", "start_time", "end_time", "status", "error", "extra", "tags",
    "prompt_tokens", "completion_tokens", "total_tokens", "total_cost", "first_token_time", "prompt_token_details",
    "completion_token_details",
)  # fmt: skip
CONTENT_FIELDS = ("inputs", "outputs")
"""The texts of prompts and answers: most of what LangSmith holds, and not asked for when they are masked anyway."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs to read.

    Attributes:
        start_ns, end_ns: they began within.
        content: with the texts of prompts and answers.
    """

    start_ns: int
    end_ns: int
    content: bool


class History:
    """The runs of one project.

    Raises:
        NotFoundError: there is no such project.
        LangSmithUnavailableError: LangSmith cannot be reached or refuses; also later, while reading.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        with self._translated():
            self._client = _client(access)
            self._project_id = self._find(access.project)
            flags = self._client.info.instance_flags or {}
        self._is_second = flags.get("ch_query_enabled") is False and bool(flags.get("sdb_query_enabled"))

    @property
    def endpoint(self) -> str:
        """The API's base URL."""
        return self._access.endpoint

    def count(self, wanted: Wanted) -> int | None:
        """Return how many runs there are; None when LangSmith does not say. For showing progress only."""
        with contextlib.suppress(LangSmithUnavailableError):
            body = {"session": [self._project_id], **_times(wanted, "start_time", "end_time")}
            found = self._post("/runs/stats", body, attempts=1).get("run_count")
            return found if isinstance(found, int) else None
        return None

    def pages(self, wanted: Wanted) -> Iterator[Sequence[Run]]:
        """Yield the runs, as many at once as LangSmith gives."""
        read = self._second_pages if self._is_second else self._first_pages
        yield from read(wanted)

    def _first_pages(self, wanted: Wanted) -> Iterator[Sequence[Run]]:
        body: dict[str, Any] = {
            "session": [self._project_id],
            "select": [*FIELDS, *(CONTENT_FIELDS if wanted.content else ())],
            "order": "asc",
            "limit": PAGE_RUNS,
            **_times(wanted, "start_time", "end_time"),
        }
        while True:
            answer = self._post("/runs/query", body)
            yield answer.get("runs") or ()
            following = (answer.get("cursors") or {}).get("next")
            if not following:
                return
            body["cursor"] = following

    def _second_pages(self, wanted: Wanted) -> Iterator[Sequence[Run]]:
        """Read by the second version of the API, where LangSmith has no other any more. It knows no order."""
        selected = [field for field in FIELDS if field != "parent_run_id"]
        body: dict[str, Any] = {
            "project_ids": [self._project_id],
            "selects": [
                field.upper() for field in (*selected, "parent_run_ids", *(CONTENT_FIELDS if wanted.content else ()))
            ],
            "page_size": PAGE_RUNS,
            **_times(wanted, "min_start_time", "max_start_time"),
        }
        base = self._access.endpoint.removesuffix("/api/v1").removesuffix("/api")
        while True:
            answer = self._post(f"{base}/api/v2/runs/query", body)
            yield [_as_first(run) for run in answer.get("items") or ()]
            if not answer.get("next_cursor"):
                return
            body["cursor"] = answer["next_cursor"]

    def _post(self, path: str, body: Mapping[str, Any], attempts: int = ATTEMPTS) -> Mapping[str, Any]:
        data = json.dumps(body).encode()
        with self._translated():
            answer = self._client.request_with_retries(
                "POST", path, request_kwargs={"data": data}, stop_after_attempt=attempts
            ).json()
        return answer if isinstance(answer, Mapping) else {}

    def _find(self, name: str) -> str:
        from langsmith.utils import LangSmithNotFoundError

        try:
            return str(self._client.read_project(project_name=name).id)
        except LangSmithNotFoundError:
            names = [project.name or "" for project in self._client.list_projects(limit=PAGE_RUNS)]
        raise NotFoundError("project of LangSmith", name, _known(name, names))

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the SDK's errors into one of ours that says what to do, and keep the SDK's words out of the log."""
        from langsmith.utils import LangSmithError
        from requests import RequestException

        log = logging.getLogger("langsmith")
        before, log.disabled = log.disabled, True
        try:
            yield
        except (LangSmithError, RequestException, ValueError) as error:
            reply = reply_of(error)
            raise LangSmithUnavailableError(
                self._access.endpoint, advice.said(reply), advice.of_reading(self._access, reply)
            ) from None
        finally:
            log.disabled = before


def _client(access: Access) -> Client:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a key that is missing, which we say ourselves
        from langsmith import Client

        return Client(
            access.endpoint,
            api_key=access.key,
            workspace_id=access.workspace or None,
            auto_batch_tracing=False,
            tracing_mode="langsmith",
        )


def _times(wanted: Wanted, start: str, end: str) -> dict[str, str]:
    return {start: _iso(wanted.start_ns), end: _iso(wanted.end_ns)}


def _iso(moment_ns: int) -> str:
    return (_EPOCH + timedelta(microseconds=moment_ns // 1000)).isoformat()


def _as_first(run: Mapping[str, Any]) -> Run:
    """Return a run of the second version of the API in the words of the first."""
    parents = run.get("parent_run_ids") or ()
    kind = str(run.get("run_type") or "").lower()
    return {**run, "run_type": kind, "parent_run_id": parents[-1] if parents else None}


def _known(name: str, names: Sequence[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, names, 1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"there are {', '.join(sorted(names))}" if names else "the workspace has no project that this key may read"
