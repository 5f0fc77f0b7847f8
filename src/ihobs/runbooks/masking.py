"""Secrets of a run: read once from the environment, and masked in everything that is kept or shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from ihobs.errors import RefusedError

SHORTEST_CHARS = 6
"""A shorter secret would mask half of every text."""


class Secrets(Mapping[str, str]):
    """The secrets of a run by name; `mask` replaces their values, however they are written."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)
        forms = {form: name for name, value in values.items() for form in _forms(value)}
        self._forms = sorted(forms.items(), key=lambda item: -len(item[0]))

    def __getitem__(self, name: str) -> str:
        """Return a secret."""
        return self._values[name]

    def __iter__(self) -> Any:
        """Yield the names."""
        return iter(self._values)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._values)

    def __repr__(self) -> str:
        """Show names only."""
        return f"Secrets({', '.join(self._values)})"

    def mask(self, value: Any) -> Any:
        """Return a JSON value without secrets, in keys as well."""
        if isinstance(value, str):
            for form, name in self._forms:
                if form in value:
                    value = value.replace(form, f"[secret:{name}]")
            return value
        if isinstance(value, Mapping):
            return {self.mask(str(key)): self.mask(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.mask(one) for one in value]
        return value


def read_secrets(names: Iterable[str], environ: Mapping[str, str]) -> Secrets:
    """Return the secrets of a runbook.

    Raises:
        RefusedError: one is not set, or too short to be masked.
    """
    found = {}
    for name in names:
        value = environ.get(name, "")
        if not value:
            raise RefusedError(f"the secret {name} is not set", f"set the environment variable {name}")
        if len(value) < SHORTEST_CHARS:
            raise RefusedError(
                f"the secret {name} is too short to be masked", f"use {SHORTEST_CHARS} characters at least"
            )
        found[name] = value
    return Secrets(found)


def stand_ins(names: Iterable[str]) -> Secrets:
    """Return secrets for dry runs and tests."""
    return Secrets({name: f"[secret:{name}]" for name in names})


def _forms(value: str) -> set[str]:
    """Return how a secret may be written: as it is, in JSON, in a URL, in base64."""
    forms = {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        quote(value),
        quote(value, safe=""),
    }
    encoded = value.encode("utf-8", "surrogateescape")
    forms.add(base64.b64encode(encoded).decode().rstrip("="))
    forms |= {line for line in value.splitlines() if len(line) >= SHORTEST_CHARS}
    return {form for form in forms if len(form) >= SHORTEST_CHARS}
