"""ihobs: watch an LLM orchestrator through its OpenTelemetry spans, and act on what they show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ihobs.hookspecs import hookimpl
    from ihobs.model import Event, MetricGroup, Notification, Outcome, Rule, Window
    from ihobs.sending import send_alert
    from ihobs.telemetry.decorators import llm, node, tool, workflow
    from ihobs.telemetry.setup import instrument

__version__ = "0.1.0"

_HOME_OF = {
    "Event": "ihobs.model",
    "MetricGroup": "ihobs.model",
    "Notification": "ihobs.model",
    "Outcome": "ihobs.model",
    "Rule": "ihobs.model",
    "Window": "ihobs.model",
    "hookimpl": "ihobs.hookspecs",
    "instrument": "ihobs.telemetry.setup",
    "llm": "ihobs.telemetry.decorators",
    "node": "ihobs.telemetry.decorators",
    "send_alert": "ihobs.sending",
    "tool": "ihobs.telemetry.decorators",
    "workflow": "ihobs.telemetry.decorators",
}

__all__ = [
    "Event",
    "MetricGroup",
    "Notification",
    "Outcome",
    "Rule",
    "Window",
    "hookimpl",
    "instrument",
    "llm",
    "node",
    "send_alert",
    "tool",
    "workflow",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import ihobs` stays cheap."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'ihobs' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value
