"""A LangSmith on loopback that speaks its API as the unmodified SDK uses it, and keeps what it is sent.

Paths, parameters, payloads and status codes are those that langsmith 0.15 sends and expects (its `client.py`): runs
come as multipart (also zstd), batch, or one by one; tokens are read from an LLM run's usage and summed up its
ancestors; queries are paged by cursor. Any path can be told to answer otherwise for a while.
"""

import email
import gzip
import json
import re
import sys
import uuid
from collections import Counter
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ihobs.web.server import Server, bind

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

KEY = "lsv2_pt_0123456789abcdef0123456789abcdef_0123456789"
READ_ONLY_KEY, WRITE_ONLY_KEY, ORG_KEY = f"{KEY}_read", f"{KEY}_write", f"{KEY}_org"
WORKSPACE = "9f1c2c9a-7f0b-4c6e-9a53-0d6f3f4f3a10"
TENANT = str(uuid.UUID(int=7))
V2_QUERY = "/api/v2/runs/query"
PAGE = 100
"""The most runs that a page of the real one holds."""


class LangSmith:
    """Serves between `start` and `stop`.

    Attributes:
        projects: name -> id. runs: id -> run, as `POST /runs/query` returns it. otlp: bodies that came over OTLP.
        asked: (method, path, headers) of every request.
    """

    def __init__(self, prefix=""):
        self.projects, self.runs, self.otlp, self.asked = {}, {}, [], []
        self.flags, self.page = {}, PAGE
        self._otherwise = {}
        self._socket = bind("127.0.0.1", 0)
        self.host = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = f"{self.host}{prefix}"
        routes = [
            ("/info", self.info, ["GET"], None),
            ("/settings", self.settings, ["GET"], "read"),
            ("/sessions", self.sessions, ["GET"], "read"),
            ("/runs/multipart", self.multipart, ["POST"], "write"),
            ("/runs/batch", self.batch, ["POST"], "write"),
            ("/runs/query", self.query, ["POST"], "read"),
            ("/runs/stats", self.stats, ["POST"], "read"),
            ("/runs", self.create, ["POST"], "write"),
            ("/runs/{id}", self.update, ["PATCH"], "write"),
            ("/otel/v1/traces", self.traces, ["POST"], "write"),
        ]
        app = Starlette(
            routes=[
                *(Route(prefix + path, self._guarded(path, do, need), methods=how) for path, do, how, need in routes),
                Route(V2_QUERY, self._guarded(V2_QUERY, self.query_v2, "read"), methods=["POST"]),
            ]
        )
        self._server = Server(app, self._socket)

    def start(self):
        self._server.start()
        return self

    def stop(self):
        self._server.stop()

    def answer(self, path, status, *, times=10**6, after=0, body=None, **headers):
        """Answer requests for `path` with `status` from now on, or so many times; first let some through."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._otherwise[path] = [after, times, status, body, named]

    def count(self, path):
        return sum(asked == path for _, asked, _ in self.asked)

    def project(self, name):
        return self.projects.setdefault(name, str(uuid.uuid4()))

    def _guarded(self, path, do, need):
        async def answer(request: Request):
            self.asked.append((request.method, path, dict(request.headers)))
            scripted = self._otherwise.get(path)
            if scripted and scripted[0] > 0:
                scripted[0] -= 1
            elif scripted and scripted[1] > 0:
                scripted[1] -= 1
                _, _, status, body, headers = scripted
                if isinstance(body, str):
                    return Response(body, status, headers)
                return JSONResponse(body or {"detail": "scripted"}, status, headers)
            refused = need and _refused(request.headers, need)
            return refused or await do(request)

        return answer

    async def info(self, _):
        scaling = {"scale_up_qsize_trigger": 1000, "scale_up_nthreads_limit": 16, "scale_down_nempty_trigger": 4}
        config = {"use_multipart_endpoint": True, "size_limit": 100, "size_limit_bytes": 20_971_520, **scaling}
        flags = {"zstd_compression_enabled": True, **self.flags}
        return JSONResponse({"version": "0.16.2", "instance_flags": flags, "batch_ingest_config": config})

    async def settings(self, _):
        body = {"id": TENANT, "display_name": "Acme", "created_at": "2026-01-01T00:00:00Z", "tenant_handle": "acme"}
        return JSONResponse(body)

    async def sessions(self, request: Request):
        wanted = request.query_params.get("name")
        found = [name for name in self.projects if wanted in {None, name}][: int(request.query_params["limit"])]
        start = "2026-01-01T00:00:00"
        return JSONResponse(
            [
                {"id": self.projects[name], "tenant_id": TENANT, "name": name, "start_time": start,
                 "reference_dataset_id": None}
                for name in found
            ]
        )  # fmt: skip

    async def multipart(self, request: Request):
        body = await request.body()
        if request.headers.get("content-encoding") == "zstd":
            body = zstd.decompress(body)
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        fields = {}
        for part in email.message_from_bytes(head + body).get_payload():
            name = re.search(r'name="([^"]+)"', part["Content-Disposition"])[1]
            event, run_id, *rest = name.split(".")
            if event in {"post", "patch"}:
                value = json.loads(part.get_payload(decode=True))
                run = fields.setdefault((event, run_id), {"id": run_id})
                run.update(value if not rest else {rest[0]: value})
        for (event, _), run in sorted(fields.items(), key=lambda item: item[0][0] == "patch"):
            self._keep(run, is_new=event == "post")
        return JSONResponse({"message": "Runs batch ingested"}, 202)

    async def batch(self, request: Request):
        body = json.loads(await request.body())
        for key in ("post", "patch"):
            for run in body.get(key) or ():
                self._keep(run, is_new=key == "post")
        return JSONResponse({"message": "Runs batch ingested"}, 202)

    async def create(self, request: Request):
        self._keep(json.loads(await request.body()), is_new=True)
        return JSONResponse({"message": "Run created"}, 202)

    async def update(self, request: Request):
        self._keep({**json.loads(await request.body()), "id": request.path_params["id"]}, is_new=False)
        return JSONResponse({"message": "Run updated"}, 202)

    async def traces(self, request: Request):
        body = await request.body()
        self.otlp.append(gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body)
        return Response(b"", 200, media_type="application/x-protobuf")

    async def stats(self, request: Request):
        return JSONResponse({"run_count": len(self._matching(json.loads(await request.body())))})

    async def query(self, request: Request):
        body = json.loads(await request.body())
        if self.flags.get("ch_query_enabled") is False:
            return JSONResponse({"detail": "Not Found"}, 404)
        if body.get("limit", PAGE) > PAGE:
            return JSONResponse({"detail": [{"loc": ["body", "limit"], "msg": "at most 100"}]}, 422)
        page, after = self._page(body, self._matching(body))
        select = set(body.get("select") or ()) | {"id"}
        runs = [{key: value for key, value in run.items() if key in select} for run in page]
        return JSONResponse({"runs": runs, "cursors": {"next": after, "prev": None}})

    async def query_v2(self, request: Request):
        body = json.loads(await request.body())
        old = {"session": body["project_ids"], "start_time": body.get("min_start_time"), "order": "desc",
               "end_time": body.get("max_start_time")}  # fmt: skip
        page, after = self._page({"cursor": body.get("cursor"), "limit": body.get("page_size")}, self._matching(old))
        return JSONResponse({"items": [_as_v2(run, body["selects"]) for run in page], "next_cursor": after})

    def _page(self, body, runs):
        first = int(body.get("cursor") or 0)
        page = runs[first : first + min(self.page, body.get("limit") or PAGE)]
        return page, str(first + len(page)) if first + len(page) < len(runs) else None

    def _matching(self, body):
        runs = [self._with_usage(run) for run in self.runs.values()]
        sessions = body.get("session")
        since, until = _moment(body.get("start_time")), _moment(body.get("end_time"))
        runs = [
            run
            for run in runs
            if (not sessions or run["session_id"] in sessions)
            and (since is None or _moment(run["start_time"]) >= since)
            and (until is None or _moment(run["start_time"]) <= until)
        ]
        return sorted(runs, key=lambda run: run["start_time"], reverse=body.get("order", "desc") == "desc")

    def _keep(self, run, *, is_new):
        known = self.runs.setdefault(run["id"], {})
        known.update({key: value for key, value in run.items() if value is not None or is_new})
        known["session_id"] = self.project(run.get("session_name") or known.get("session_name") or "default")
        known["session_name"] = run.get("session_name") or known.get("session_name")
        if known.get("error"):
            known["status"] = "error"
        else:
            known["status"] = "success" if known.get("end_time") else "pending"

    def _with_usage(self, run):
        """Return a run with the tokens of all LLM runs at and below it, as LangSmith shows them."""
        order = run["dotted_order"]
        used = Counter()
        details = {}
        for other in self.runs.values():
            if other.get("run_type") == "llm" and other["dotted_order"].startswith(order):
                usage = _usage(other)
                used.update({"in": usage.get("input_tokens", 0), "out": usage.get("output_tokens", 0)})
                details = usage.get("input_token_details", {}) if other is run else details
        tokens = {"prompt_tokens": used["in"], "completion_tokens": used["out"], "total_tokens": used.total()}
        return {**run, **tokens, "prompt_token_details": details or None}


def _usage(run):
    for holder in ((run.get("extra") or {}).get("metadata") or {}, run.get("outputs") or {}):
        if "usage_metadata" in holder:
            return holder["usage_metadata"]
    return {}


def _moment(text):
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _refused(headers, need):
    key = headers.get("x-api-key")
    if key not in {KEY, READ_ONLY_KEY, WRITE_ONLY_KEY, ORG_KEY}:
        return JSONResponse({"detail": "Invalid token"}, 401)
    if key == ORG_KEY and headers.get("x-tenant-id") != WORKSPACE:
        return JSONResponse({"error": "org_scoped_key_requires_workspace"}, 403)
    if (key, need) in {(READ_ONLY_KEY, "write"), (WRITE_ONLY_KEY, "read")}:
        return JSONResponse({"detail": "Forbidden"}, 403)
    return None


def _as_v2(run, selects):
    """Return a run as the second version of the API words it."""
    parents = [part[-36:] for part in run["dotted_order"].split(".")[:-1]]
    whole = {**run, "project_id": run["session_id"], "parent_run_ids": parents, "status": run["status"].upper(),
             "run_type": run["run_type"].upper()}  # fmt: skip
    return {key.lower(): whole.get(key.lower()) for key in selects} | {"id": run["id"]}
