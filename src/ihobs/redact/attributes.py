"""Redact attributes in place: each value by what its key says about it, then by what is found in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ihobs.redact.keys import KeyTable, Verdict
from ihobs.redact.values import holds_text, object_in, text_of, without_message

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

    from ihobs.redact.policy import Mode, Policy
    from ihobs.redact.tally import Tally
    from ihobs.redact.text import TextRedactor

CONTENT, SECRET = "content", "secret"
"""The kinds of what is removed for its key; those of findings are `Detector.kind`."""

_MASKS = {CONTENT: "masked", SECRET: "secret"}
_OWN_MASK = re.compile(r"\[(?:masked|secret)(?:#[0-9a-f]{12})?\]")
MOST_MASK_CHARS = len("[masked#0123456789ab]")
_COMPOUND = ("array_value", "kvlist_value")


@dataclass(slots=True)
class Walk:
    """One part of a message while it is walked.

    Attributes:
        part: its name in the tally. judge: what a key means here.
        touched: a text changed that a name or a model may be read from.
    """

    part: str
    tally: Tally
    judge: Callable[[str], Verdict]
    touched: bool = False


class AttributeRedactor:
    """Redacts attributes. Safe for threads.

    Args:
        distinct: keys whose values tell things apart that are counted: what is found in them is hashed.
    """

    def __init__(self, policy: Policy, keys: KeyTable, texts: TextRedactor, distinct: frozenset[str]) -> None:
        self._contents, self._secrets = policy.contents, policy.secrets
        self._keys, self._texts, self._distinct = keys, texts, distinct

    def redact(self, attributes: Any, walk: Walk, indexes: Iterable[int] | None = None) -> None:
        """Redact the attributes at `indexes`, or all; those that the settings drop are removed.

        Args:
            attributes: a repeated field of KeyValue, changed in place.
        """
        dropped = []
        for index in range(len(attributes)) if indexes is None else indexes:
            attribute = attributes[index]
            key = attribute.key
            if not self._value(attribute.value, key, walk.judge(key), walk):
                dropped.append(index)
            name = self.label(key, f"{walk.part} key", walk.tally, asks=False)
            if name != key:
                attribute.key, walk.touched = name, True
        for index in reversed(dropped):
            del attributes[index]

    def body(self, value: AnyValue, verdict: Verdict, walk: Walk) -> None:
        """Redact a value that stands alone; it becomes empty when it must go. Its members are judged by their keys."""
        if not self._value(value, "", verdict, walk):
            value.Clear()

    def label(self, text: str, part: str, tally: Tally, *, asks: bool = True) -> str:
        """Return a text that cannot be left out without what is found in it; `asks` plug-ins, too."""
        if text in self._texts.clean:
            return text
        kinds: list[str] = []
        redacted = self._texts.redact(text, part if asks else None, kinds.append)
        for kind in kinds:
            tally.add(part, "", kind)
        return self._texts.mask(kinds[-1], text, "mask") if redacted is None else redacted

    def string(self, text: str, key: str, verdict: Verdict, walk: Walk) -> str | None:
        """Return a text without what its key and detectors say must go; None when it must go itself."""
        if verdict is Verdict.CONTENT:
            return self._whole(text, CONTENT, self._contents, key, walk)
        if verdict is Verdict.SECRET:
            return self._whole(text, SECRET, self._secrets, key, walk)
        if verdict is Verdict.METADATA:
            document = object_in(text)
            if document is None:
                return self._whole(text, CONTENT, self._contents, key, walk)
            text = self._members(document, text, key, walk)
        elif verdict is Verdict.FAILURE:
            text = self._failure(text, key, walk)
        return self._found(text, key, walk)

    def whole_mask(self, kind: str) -> str | None:
        """Return the text that stands for everything of `kind`; None when it depends on what it stands for."""
        mode = self._secrets if kind == SECRET else self._contents
        return f"[{_MASKS[kind]}]" if mode == "mask" else None

    def _value(self, value: AnyValue, key: str, verdict: Verdict, walk: Walk) -> bool:
        """Redact a value in place; return False when it must go. Numbers stay, whatever their key."""
        which = value.WhichOneof("value")
        if which == "string_value":
            text = value.string_value
            redacted = self.string(text, key, verdict, walk)
            if redacted is not None and redacted != text:
                value.string_value = redacted
            return redacted is not None
        if which == "bytes_value":
            return self._bytes(value, key, verdict, walk)
        if which in _COMPOUND:
            if verdict is Verdict.PLAIN or (verdict is Verdict.METADATA and which == "kvlist_value"):
                self._below(value, key, verdict, walk)
                return True
            return self._replace(value, key, verdict, walk)
        return True

    def _below(self, value: AnyValue, key: str, verdict: Verdict, walk: Walk) -> None:
        """Redact the items of an array, or the members of a mapping."""
        if value.WhichOneof("value") == "kvlist_value":

            def judge(member: str) -> Verdict:
                if verdict is Verdict.METADATA and not self._keys.keeps_member(key, member):
                    return Verdict.SECRET if self._keys.names_secret(member) else Verdict.CONTENT
                return self._keys.verdict(f"{key}.{member}" if key else member)

            inside = Walk(walk.part, walk.tally, judge)
            self.redact(value.kvlist_value.values, inside)
            walk.touched |= inside.touched
            return
        items = value.array_value.values
        dropped = [index for index, item in enumerate(items) if not self._value(item, key, verdict, walk)]
        for index in reversed(dropped):
            del items[index]

    def _replace(self, value: AnyValue, key: str, verdict: Verdict, walk: Walk) -> bool:
        """Put a mask in the place of a compound value: vectors, too, can be read back."""
        if not (value.array_value.values or value.kvlist_value.values):
            return True
        kind, mode = (SECRET, self._secrets) if verdict is Verdict.SECRET else (CONTENT, self._contents)
        masked = self._whole(str(value), kind, mode, key, walk)
        if masked is None:
            return False
        value.string_value = masked
        return True

    def _bytes(self, value: AnyValue, key: str, verdict: Verdict, walk: Walk) -> bool:
        text = value.bytes_value.decode("utf-8", "surrogateescape")
        redacted = self.string(text, key, verdict, walk)
        if redacted is not None and redacted != text:
            value.bytes_value = redacted.encode("utf-8", "surrogateescape")
        return redacted is not None

    def _whole(self, text: str, kind: str, mode: Mode, key: str, walk: Walk) -> str | None:
        """Return what stands for a text that goes whatever it says; None when it is dropped."""
        if not text or _OWN_MASK.fullmatch(text):
            return text
        walk.tally.add(walk.part, key, kind)
        return None if mode == "drop" else self._texts.mask(_MASKS[kind], text, mode)

    def _found(self, text: str, key: str, walk: Walk) -> str | None:
        """Return a text without what detectors and plug-ins find in it; None when it must go for that."""
        if text in self._texts.clean:
            return text
        hashed = key in self._distinct
        redacted = self._texts.redact(text, key, lambda kind: walk.tally.add(walk.part, key, kind), hashed=hashed)
        if redacted != text:
            walk.touched = True
        return redacted

    def _members(self, document: dict[str, Any], text: str, key: str, walk: Walk) -> str:
        """Return a metadata object without the members that may be contents."""
        kept: dict[str, Any] = {}
        for name, value in document.items():
            if not holds_text(value):
                kept[name] = value
                continue
            secret = self._keys.names_secret(name)
            if not secret and self._keys.keeps_member(key, name):
                kept[name] = value
                continue
            told = value if isinstance(value, str) else json.dumps(value)
            kind, mode = (SECRET, self._secrets) if secret else (CONTENT, self._contents)
            masked = self._whole(told, kind, mode, f"{key}.{name}", walk)
            if masked is not None:
                kept[name] = masked
        return text if kept == document else text_of(kept)

    def _failure(self, text: str, key: str, walk: Walk) -> str:
        """Return the words of a failure without its message."""
        if _OWN_MASK.fullmatch(text):
            return text
        told = without_message(text, f"[{_MASKS[CONTENT]}]")
        if told != text:
            walk.tally.add(walk.part, key, CONTENT)
        return told
