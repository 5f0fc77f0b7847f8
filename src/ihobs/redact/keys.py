"""What a key says about its value: contents, a secret, the words of a failure, or nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum, auto
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ihobs.redact.policy import Policy

MAX_REMEMBERED = 20_000
"""Keys whose verdict is remembered; keys with an index in them may be any number."""

_METADATA_PREFIX = "langsmith.metadata."
_NO_LETTER = re.compile(r"[-_ ]")


class Verdict(Enum):
    """What is done with the value of a key."""

    PLAIN = auto()
    """Only what detectors find in it is removed."""
    CONTENT = auto()
    """All of it is removed."""
    METADATA = auto()
    """It is a JSON object; the members that may be contents are removed."""
    FAILURE = auto()
    """It says what went wrong: the class and the places in the code stay."""
    SECRET = auto()
    """All of it is removed, whatever the settings say about contents."""


class KeyTable:
    """Knows the verdict of every key. Safe for threads.

    Args:
        policy: whether contents are masked, and which keys are different here.
        read: key -> the members of its JSON that the table of dialects reads; none: it reads the value itself.
    """

    def __init__(self, policy: Policy, read: Mapping[str, frozenset[str]]) -> None:
        table = _shipped_table()
        self._masks = policy.content == "mask"
        self._read = read
        lists = (*table["content"].values(), policy.content_keys)
        self._content = _any_of(key for keys in lists for key in keys)
        self._kept = _any_of((*table["kept"], *policy.keep))
        self._kept_metadata = _any_of(table["kept_metadata"])
        self._failures = frozenset(table["failures"])
        self._content_events = _any_of(table["content_events"])
        self._kept_in_events = frozenset(table["kept_in_events"])
        self._secret = _any_of(table["secret"])
        self._secret_names = tuple(table["secret_names"])
        self._no_secret_names = tuple(table["no_secret_names"])
        self._verdicts: dict[str, Verdict] = {}

    def verdict(self, key: str) -> Verdict:
        """Return what is done with the value of `key`."""
        known = self._verdicts.get(key)
        if known is None:
            if len(self._verdicts) >= MAX_REMEMBERED:
                self._verdicts = {}
            known = self._verdicts[key] = self._judged(key)
        return known

    def verdict_in_event(self, event: str, key: str) -> Verdict:
        """Return what is done with the value of `key` in an event of this name."""
        if self._masks and key not in self._kept_in_events and self._content_events.fullmatch(event):
            return Verdict.CONTENT
        return self.verdict(key)

    def names_secret(self, name: str) -> bool:
        """Return whether the last part of `name` says that its value is a secret."""
        last = _NO_LETTER.sub("", name.rpartition(".")[2]).lower()
        return last.endswith(self._secret_names) and not last.endswith(self._no_secret_names)

    def keeps_member(self, key: str, member: str) -> bool:
        """Return whether a member of the metadata object at `key` is kept."""
        return member in self._read.get(key, ()) or self._kept_metadata.fullmatch(member) is not None

    def _judged(self, key: str) -> Verdict:
        if self._secret.fullmatch(key) or (self.names_secret(key) and key not in self._read):
            return Verdict.SECRET
        if not self._masks or self._kept.fullmatch(key):
            return Verdict.PLAIN
        if key in self._failures:
            return Verdict.FAILURE
        members = self._read.get(key)
        if members == frozenset() or not self._content.fullmatch(key):
            return Verdict.PLAIN
        if members or key == "metadata":
            return Verdict.METADATA
        if key.startswith(_METADATA_PREFIX) and self._kept_metadata.fullmatch(key.removeprefix(_METADATA_PREFIX)):
            return Verdict.PLAIN
        return Verdict.CONTENT


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that matches a key whole when one of `patterns`, written as in `keys.yaml`, does."""
    return re.compile("|".join(map(_expression, patterns)) or r"(?!)", re.DOTALL)


def _expression(pattern: str) -> str:
    below = ""
    if pattern.endswith(".*"):
        pattern, below = pattern.removesuffix(".*"), r"\..*"
    elif pattern.endswith("_*"):
        pattern, below = pattern.removesuffix("*"), r".*"
    elif pattern.endswith("*"):
        pattern, below = pattern.removesuffix("*"), r"(?:\..*)?"
    return re.escape(pattern).replace(r"\*", "[^.]*") + below


@lru_cache(maxsize=1)
def _shipped_table() -> Mapping[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = (files("ihobs.redact") / "keys.yaml").read_text(encoding="utf-8")
    table: Mapping[str, Any] = yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader, in C where there is one
    return table
