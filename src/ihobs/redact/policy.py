"""What is removed and how, as the settings say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ihobs.settings import Settings

Mode = Literal["drop", "mask", "hash"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What is removed and how. The default is the safest that keeps every number.

    Attributes:
        content: what happens to the texts of prompts, answers, documents and tools.
        contents: how they are removed. secrets, personal: how findings of that family are.
        content_keys: further keys that hold contents, written as in `keys.yaml`.
        keep: keys that are kept although they may hold contents.
        allow: findings that are none, with * for any characters, e.g. "*@example.com".
        patterns: further kinds of personal data -> the regular expression that finds them.
    """

    content: Literal["keep", "mask"] = "mask"
    contents: Mode = "mask"
    secrets: Mode = "mask"
    personal: Mode = "mask"
    content_keys: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    patterns: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Return the policy that the settings ask for."""
        redact = settings.redact
        return cls(
            content=settings.instrument.content,
            contents=redact.contents,
            secrets=redact.secrets,
            personal=redact.personal,
            content_keys=redact.content_keys,
            keep=redact.keep,
            allow=redact.allow,
            patterns=redact.patterns,
        )
