"""Deliver a notification to `console:` (one line on stderr) or `file:PATH` (one JSON line, on disk when it returns)."""

from __future__ import annotations

import json
import math
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ihobs import Outcome

if TYPE_CHECKING:
    from ihobs import Notification

CONSOLE = "console:"
FILE = "file:"


def deliver(notification: Notification, address: str) -> Outcome | None:
    """Deliver to the console or to a file; None when `address` is neither."""
    if address == CONSOLE:
        sys.stderr.write(console_line(notification))
        sys.stderr.flush()
        return Outcome("delivered")
    if not address.startswith(FILE) or address == FILE:
        return None
    try:
        append(Path(address.removeprefix(FILE)).expanduser(), json_line(notification))
    except OSError as error:
        return Outcome("later", f"the file cannot be written: {error.strerror}")
    return Outcome("delivered")


def console_line(notification: Notification) -> str:
    """Return e.g. `ihobs 14:03:12Z CRITICAL error_rate is 42 %, above 15 %`, without control characters."""
    at = datetime.fromtimestamp(notification.at_ns / 1e9, UTC).strftime("%H:%M:%SZ")
    text = "".join(letter if letter.isprintable() else " " for letter in notification.title)
    return f"ihobs {at} {notification.level.upper():8} {text}\n"


def json_line(notification: Notification) -> str:
    """Return the notification as one line of JSON, events included."""
    at = datetime.fromtimestamp(notification.at_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    document = {"at": at, **asdict(notification)}
    for event in document["events"]:
        event["fields"] = {name: _known(value) for name, value in event["fields"].items()}
    return json.dumps(document, allow_nan=False, ensure_ascii=False) + "\n"


def _known(value: object) -> object:
    """Return `value`, or None for the numbers that JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def append(path: Path, line: str) -> None:
    """Append `line` in one write and wait until it is on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())
