"""Conditions on labels, as routes, silences and inhibition use them: `team=payments`, `rule=~"cost.*"`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

Operator = Literal["=", "!=", "=~", "!~"]

_FORM = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_.]*)\s*(=~|!~|!=|=)\s*(?:"([^"]*)"|([^"\s](?:[^"]*[^"\s])?)?)\s*')


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition. A label that is missing counts as empty; a regular expression must match the whole value."""

    name: str
    operator: Operator
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the condition holds."""
        value = labels.get(self.name, "")
        if self.operator in {"=", "!="}:
            return (value == self.value) == (self.operator == "=")
        return (re.fullmatch(self.value, value) is not None) == (self.operator == "=~")

    def __str__(self) -> str:
        return f'{self.name}{self.operator}"{self.value}"'


def parse(text: str) -> Matcher:
    """Return the matcher that `text` says.

    Raises:
        ValueError: it says none; the message says what is wrong and what would be right.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no condition; write one such as team=payments, rule!=cost, or node=~'a|b'")
    name, operator, quoted, bare = found.groups()
    value = quoted if quoted is not None else _without_quotes(bare or "")
    if "~" in operator:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"{text!r}: {value!r} is no regular expression: {error}") from error
    return Matcher(name, cast("Operator", operator), value)


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Return whether every condition holds; no condition always does."""
    return all(one.matches(labels) for one in matchers)


def _without_quotes(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] == "'"
    return value[1:-1] if is_quoted else value
