"""Keep what spans hold out of ihobs' own log: an error of ours may quote the text that it failed on."""

from __future__ import annotations

import logging

from ihobs.guard import log
from ihobs.redact.text import scrubbed

_FORMATTER = logging.Formatter()


class RedactingFilter(logging.Filter):
    """Takes secrets and personal data out of messages and tracebacks."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact a record in place. Called by `logging`."""
        message = record.getMessage()
        redacted = scrubbed(message)
        if redacted != message:
            record.msg, record.args = redacted, ()
        if record.exc_info:
            told = record.exc_text or _FORMATTER.formatException(record.exc_info)
            redacted = scrubbed(told)
            if redacted != told:  # handlers that format the exception themselves find none
                record.exc_text, record.exc_info = redacted, None
        return True


def protect_log() -> None:
    """Redact what this process logs about spans from now on."""
    if not any(isinstance(one, RedactingFilter) for one in log.filters):
        log.addFilter(RedactingFilter())
