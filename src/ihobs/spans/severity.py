"""How bad a log record is: OTLP's numbers from 1 to 24, and the names that people and programs use for them."""

from __future__ import annotations

LEVELS = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARNING": 13, "ERROR": 17, "CRITICAL": 21}
"""The least number of each level, by its name in Python. opentelemetry.io/docs/specs/otel/logs/data-model"""

UNKNOWN = 0

_OTHER_NAMES = {"WARN": "WARNING", "FATAL": "CRITICAL", "ERR": "ERROR", "NOTICE": "INFO", "INFORMATION": "INFO"}
_MOST = 24


def level_of(severity: int) -> str:
    """Return the name of a number's level; an empty text when it is unknown."""
    name = ""
    for level, least in LEVELS.items():
        if severity >= least:
            name = level
    return name


def severity_of(number: int, text: str) -> int:
    """Return the number of a record, read from the text when it has none; 0: unknown."""
    if 0 < number <= _MOST:
        return number
    name = text.strip().upper()
    return LEVELS.get(_OTHER_NAMES.get(name, name), UNKNOWN)


def severity_of_python(levelno: int) -> int:
    """Return the number of a level of Python's `logging`, whose tens are OTLP's steps of four.

    Ten levels become four numbers: INFO (20) is 9, one of 25 is 11, WARNING (30) is 13.
    """
    if levelno < 10:  # noqa: PLR2004 - logging.DEBUG
        return LEVELS["TRACE"] if levelno > 0 else UNKNOWN
    tens, rest = divmod(min(levelno, 50), 10)
    return LEVELS["DEBUG"] + 4 * (tens - 1) + min(3, rest * 2 // 5)
