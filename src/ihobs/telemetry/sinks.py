"""Where spans and log records go, as the settings say: to an endpoint when there is one, else into the home."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from ihobs.courtesy import Courtesy
from ihobs.store.home import Home
from ihobs.store.spool import ENDPOINT_LOG_SPOOL, ENDPOINT_SPOOL, LOG_SPOOL, SPOOL, SignalName, Spool
from ihobs.telemetry.exporter import StoreExporter
from ihobs.telemetry.loading import loading
from ihobs.telemetry.log_encoding import LogEncoder
from ihobs.telemetry.log_sink import RecordSink, SinkWithLogs
from ihobs.telemetry.noticing import Noticing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ihobs.settings import Settings
    from ihobs.store.telemetry import TelemetryStore
    from ihobs.telemetry.logs import LogQueue
    from ihobs.telemetry.processor import Sink
    from ihobs.telemetry.provider import Attachment

_SPOOLS: Mapping[SignalName, str] = {"spans": SPOOL, "logs": LOG_SPOOL}
_ENDPOINT_SPOOLS: Mapping[SignalName, str] = {"spans": ENDPOINT_SPOOL, "logs": ENDPOINT_LOG_SPOOL}


class Sinks:
    """Makes the sinks of one instrumentation.

    Args:
        settings: returns those in force; asked whenever something is opened, on the worker thread.
        attachment: returns what knows how this process names itself.
    """

    def __init__(self, settings: Callable[[], Settings], attachment: Callable[[], Attachment]) -> None:
        self._settings, self._attachment = settings, attachment

    def make(self, queue: LogQueue) -> SinkWithLogs:
        """Return the sink of spans, and of the records of `queue`."""
        make = self._into_home if self._settings().endpoint is None else self._to_endpoint
        return SinkWithLogs(*make(), queue)

    def _into_home(self) -> tuple[Sink, RecordSink]:
        spans = StoreExporter(
            self._open_store,
            service=self._service,
            open_spool=lambda: self._open_spool("spans"),
            notice=Noticing(self._settings, lambda: self._attachment().provider),
        )
        logs = StoreExporter(
            lambda: spans.opened().logs,
            service=self._service,
            open_spool=lambda: self._open_spool("logs"),
            encode=LogEncoder(self._resource),
            signal="logs",
        )
        return spans, logs

    def _to_endpoint(self) -> tuple[Sink, RecordSink]:
        from ihobs.telemetry.remote import RemoteSink
        from ihobs.telemetry.sender import TOKEN, Sender

        endpoint, token = str(self._settings().endpoint), os.environ.get(TOKEN)
        spans = RemoteSink(
            Sender(endpoint, token),
            open_spool=lambda: self._open_endpoint_spool("spans"),
            redact=self._redaction("spans"),
        )
        logs = RemoteSink(
            Sender(endpoint, token, path="/v1/logs"),
            open_spool=lambda: self._open_endpoint_spool("logs"),
            redact=self._redaction("logs"),
            encode=LogEncoder(self._resource),
            signal="logs",
        )
        return spans, logs

    def _service(self) -> str:
        return self._attachment().service()

    def _resource(self) -> Mapping[str, Any]:
        return self._attachment().resource()

    def _open_store(self) -> TelemetryStore:
        """Open the store, making the home. Called on the worker thread, when the first spans are there."""
        with loading:
            from ihobs.store.opening import open_store

            home = Home.open(self._settings().home, create=True)
            return open_store(home, self._settings(), hook=_plugins_that_redact(), pause=Courtesy())

    def _open_spool(self, signal: SignalName) -> Spool:
        """Make the spool for what the home cannot take."""
        redact = self._redaction(signal)
        redact(b"")  # loads what it needs
        if signal != "spans":
            self._make_spool_directory()
        return Spool(self._settings().home / _SPOOLS[signal], redact=redact, signal=signal)

    def _open_endpoint_spool(self, signal: SignalName) -> Spool:
        """Make the spool for what the endpoint cannot take. There is no home that it belongs to yet."""
        self._make_spool_directory()
        return Spool(self._settings().home / _ENDPOINT_SPOOLS[signal], signal=signal)

    def _make_spool_directory(self) -> None:
        with contextlib.suppress(OSError):  # who writes there says so
            Home(self._settings().home).directory(SPOOL)

    def _redaction(self, signal: SignalName) -> Callable[[bytes], bytes]:
        """Return what takes secrets out of a request that goes anywhere but into the home's database."""
        from ihobs.store.opening import RequestRedaction

        settings = self._settings()
        return RequestRedaction(Home(settings.home), settings, _plugins_that_redact, signal=signal)


def _plugins_that_redact() -> Callable[[str, str], str | None] | None:
    from ihobs.plugins import load_of_others, redaction_by

    return redaction_by(load_of_others())
