"""Requests as they are stored: serialised and compressed, whole."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from google.protobuf.message import Message

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DamagedError = zstd.ZstdError
LEVEL = 3
"""zstd's default: 3 GB/s on span text, within 5 % of gzip -6 (measured, docs/benchmarks.md)."""


def compress(request: Message) -> bytes:
    """Return a request, of spans or of log records, as it is stored."""
    return zstd.compress(request.SerializeToString(), LEVEL)


def decompress(body: bytes) -> ExportTraceServiceRequest:
    """Return the request that `compress` was given."""
    request = ExportTraceServiceRequest()
    request.ParseFromString(decompressed(body))
    return request


def decompressed(body: bytes) -> bytes:
    """Return the bytes of the request that `compress` was given.

    Raises:
        DamagedError: these are not its bytes.
    """
    return zstd.decompress(body)


def decompress_logs(body: bytes) -> ExportLogsServiceRequest:
    """Return the request of log records that `compress` was given."""
    return ExportLogsServiceRequest.FromString(zstd.decompress(body))
