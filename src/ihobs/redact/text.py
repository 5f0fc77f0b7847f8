"""Take findings out of one text: secrets and personal data, by detectors and by plug-ins."""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from ahocorasick_rs import AhoCorasick, Implementation

from ihobs.guard import guard
from ihobs.redact.finding import PERSONAL, SECRET, Detector, Finding, anywhere
from ihobs.redact.personal_patterns import PERSONAL_DATA
from ihobs.redact.secret_patterns import SECRETS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ihobs.redact.policy import Mode, Policy

Note = Callable[[str], None]
"""Told the kind of everything that is removed."""

Hook = Callable[[str, str], str | None]
"""Plug-ins: given a text and the key it belongs to, returns the text without what they found, None when one failed."""

FAILED, PLUGIN = "failed", "plug-in"
"""The kinds of a text that goes because a detector or a plug-in failed on it, and of what a plug-in changed."""

SHORT_CHARS = 200
"""Texts up to this length are remembered once they were found clean: names, models and ids come again and again."""

MAX_REMEMBERED = 20_000
MAX_PASSES = 5
"""A mask may end the word before it, which shows another finding; a text that is not clean after this goes whole."""

DIGEST_BYTES = 6

UUID_CHARS = 36
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
"""The most frequent text that never comes twice."""


class TextRedactor:
    """Removes findings from texts. Safe for threads.

    Attributes:
        clean: short texts in which nothing was found. The empty text is clean.
    """

    def __init__(self, policy: Policy, *, hash_key: Callable[[], bytes], hook: Hook | None) -> None:
        self.clean: set[str] = {""}
        self._modes: Mapping[str, Mode] = {SECRET: policy.secrets, PERSONAL: policy.personal}
        self._hash_key, self._hook = hash_key, hook
        own = (anywhere(kind, PERSONAL, ("",), re.compile(pattern)) for kind, pattern in policy.patterns.items())
        self._detectors = (*SECRETS, *PERSONAL_DATA, *own)
        gates = [(gate, number) for number, each in enumerate(self._detectors) for gate in each.gates if gate]
        self._owners = [number for _, number in gates]
        self._automaton = AhoCorasick([gate for gate, _ in gates], implementation=Implementation.DFA)
        self._always = [number for number, each in enumerate(self._detectors) if "" in each.gates]
        self._otherwise = [
            (each.may_be_in, number) for number, each in enumerate(self._detectors) if each.may_be_in is not None
        ]
        self._allowed = re.compile("|".join(map(fnmatch.translate, policy.allow)) or r"(?!)", re.IGNORECASE)

    def redact(self, text: str, key: str | None, note: Note, *, hashed: bool = False) -> str | None:
        """Return `text` without what is found in it; None when the settings drop what holds such a thing.

        Args:
            text: anything. key: where it stands, for plug-ins; None: they are not asked.
            note: told each kind that is removed.
            hashed: tell different findings apart in the result, whatever the settings say.
        """
        if text in self.clean:
            return text
        with guard:
            return self._redacted(text, key, note, hashed=hashed)
        note(FAILED)
        return f"[{FAILED}]"

    def is_harmless(self, text: str) -> bool:
        """Return whether nothing can be found in a short text; quicker than to redact it. False: perhaps."""
        if len(text) > SHORT_CHARS or self._hook is not None:
            return False
        if not (len(text) == UUID_CHARS and _UUID.fullmatch(text)):
            if self._always or self._gates_in(text):
                return False
            for may_be_in, _ in self._otherwise:
                if may_be_in(text):
                    return False
        self._remembered(text)
        return True

    def mask(self, kind: str, found: str, mode: Mode) -> str:
        """Return what stands for `found`."""
        if mode != "hash":
            return f"[{kind}]"
        text = found.encode("utf-8", "surrogatepass")
        return f"[{kind}#{hashlib.blake2b(text, key=self._hash_key(), digest_size=DIGEST_BYTES).hexdigest()}]"

    def _redacted(self, text: str, key: str | None, note: Note, *, hashed: bool) -> str | None:
        result = text
        for _ in range(MAX_PASSES):
            findings = self._findings(result)
            if not findings:
                if self._hook is None:
                    return self._remembered(result)
                return result if key is None else self._asked(self._hook, result, key, note)
            for finding, _family in findings:
                note(finding.kind)
            if not hashed and any(self._modes[family] == "drop" for _, family in findings):
                return None
            result = self._replaced(result, findings, hashed=hashed)
        note(FAILED)
        return f"[{FAILED}]"

    def _remembered(self, text: str) -> str:
        """Return a text in which nothing was found, and remember it when it is short."""
        if len(text) <= SHORT_CHARS:
            if len(self.clean) >= MAX_REMEMBERED:
                self.clean = {""}
            self.clean.add(text)
        return text

    def _asked(self, hook: Hook, text: str, key: str, note: Note) -> str:
        """Return what the plug-ins make of a text; they are asked every time, as the answer may depend on the key."""
        answer = hook(text, key)
        if answer is None:
            note(FAILED)
            return f"[{FAILED}]"
        if answer != text:
            note(PLUGIN)
        return answer

    def _findings(self, text: str) -> list[tuple[Finding, str]]:
        """Return what stands in a text, with its family, from left to right; what overlaps is one finding."""
        found = [
            (finding, detector.family)
            for detector, places in self._open(text)
            for finding in detector.find(text, places)
            if not self._allowed.match(text[finding.start : finding.end])
        ]
        found.sort(key=_leftmost_longest)  # stable: of two equal ones the detector that is asked first
        apart: list[tuple[Finding, str]] = []
        for finding, family in found:
            if apart and finding.start < apart[-1][0].end:
                first, first_family = apart[-1]
                apart[-1] = (first._replace(end=max(first.end, finding.end)), first_family)
            else:
                apart.append((finding, family))
        return apart

    def _replaced(self, text: str, findings: Iterable[tuple[Finding, str]], *, hashed: bool) -> str:
        pieces, end = [], 0
        for finding, family in findings:
            mode = "hash" if hashed else self._modes[family]
            pieces += [text[end : finding.start], self.mask(finding.kind, text[finding.start : finding.end], mode)]
            end = finding.end
        return "".join((*pieces, text[end:]))

    def _open(self, text: str) -> list[tuple[Detector, Sequence[int]]]:
        """Return the detectors that may find something, in their order, and where their gates stand in `text`."""
        places: dict[int, list[int]] = {number: [] for number in self._always}
        for gate, start, _ in self._gates_in(text):
            places.setdefault(self._owners[gate], []).append(start)
        for may_be_in, number in self._otherwise:
            if may_be_in(text):
                places[number] = []
        return [(self._detectors[number], sorted(places[number])) for number in sorted(places)] if places else []

    def _gates_in(self, text: str) -> list[tuple[int, int, int]]:
        """Return which gates stand in a text, and from where to where."""
        try:
            return self._automaton.find_matches_as_indexes(text, overlapping=True)
        except UnicodeEncodeError:  # half a character, as bytes have that are no text; no gate holds one
            whole = text.encode("utf-8", "replace").decode()
            return self._automaton.find_matches_as_indexes(whole, overlapping=True)


def _leftmost_longest(found: tuple[Finding, str]) -> tuple[int, int]:
    finding = found[0]
    return finding.start, -finding.end


def scrubbed(text: str) -> str:
    """Return a text for a log or an error message, without the secrets and personal data that it quotes."""
    redacted = _by_default().redact(text, "", lambda _kind: None)
    return text if redacted is None else redacted


def secrets_in(text: str) -> tuple[str, ...]:
    """Return the kinds of secrets that a text holds; personal data is none."""
    return tuple(finding.kind for finding, family in _by_default()._findings(text) if family == SECRET)  # noqa: SLF001 - the same module


@lru_cache(maxsize=1)
def _by_default() -> TextRedactor:
    from ihobs.redact.policy import Policy

    return TextRedactor(Policy(), hash_key=bytes, hook=None)
