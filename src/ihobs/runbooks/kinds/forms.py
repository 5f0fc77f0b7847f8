"""Pieces of JSON Schema that kinds of steps share."""

from __future__ import annotations

from typing import Any

DURATION: dict[str, Any] = {
    "type": ["string", "number"],
    "title": "a duration such as 30s, 5m or 2h",
    "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d|w)$",
    "exclusiveMinimum": 0,
    "examples": ["30s", "5m"],
}
TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
LABELS: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "string"}}
NUMBER_OR_NOTHING: dict[str, Any] = {"type": ["number", "null"], "title": "a number or nothing"}


def parameters(required: tuple[str, ...] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a step's parameters."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def outputs(**properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a step's outputs; all of them are always there."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def said(schema: dict[str, Any], description: str, **more: Any) -> dict[str, Any]:
    """Return a schema with what it means, for people and editors."""
    return {**schema, "description": description, **more}
