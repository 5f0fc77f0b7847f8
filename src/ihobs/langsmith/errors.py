"""What ends a reading of history. The text is ours: that of the SDK quotes parts of the key."""

from __future__ import annotations

from ihobs.errors import EXIT_UNREACHABLE, IhobsError


class LangSmithUnavailableError(IhobsError):
    """LangSmith cannot be read now, or not with this key.

    Attributes:
        endpoint: who was asked. reason: why it cannot. advice: what to do.
    """

    exit_code = EXIT_UNREACHABLE

    def __init__(self, endpoint: str, reason: str, advice: str) -> None:
        super().__init__(f"{endpoint}: {reason}; {advice}")
        self.endpoint, self.reason, self.advice = endpoint, reason, advice
