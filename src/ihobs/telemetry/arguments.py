"""The arguments of a call as an attribute. Off unless `instrument.arguments: true`: they may hold anything."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ihobs.guard import guard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_TEXT_CHARS = 8_192
"""Longer values are cut: a span is not a place for documents."""


@dataclass
class ArgumentRecording:
    """Whether arguments are recorded in this process."""

    enabled: bool = False


argument_recording = ArgumentRecording()


def arguments_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, str]:
    """Return the attributes that hold the arguments of a call; none when they are not recorded.

    The key is OpenInference's, so that whatever masks its content masks these, too.
    """
    if not argument_recording.enabled:
        return {}
    with guard:
        bound = inspect.signature(function).bind(*args, **kwargs)
        text = json.dumps({name: _text(value) for name, value in bound.arguments.items()}, ensure_ascii=False)
        return {"input.value": text, "input.mime_type": "application/json"}
    return {}


def _text(value: Any) -> Any:
    """Return `value` if JSON knows it and it is short, else what its repr says."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= MAX_TEXT_CHARS else text[:MAX_TEXT_CHARS] + "..."
