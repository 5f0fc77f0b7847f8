"""How a receiver is reached: `receivers:` maps a reference to an address, whose secrets come from the environment."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ihobs.delivery.policy import FILE

if TYPE_CHECKING:
    from ihobs.store.home import Home

WEBHOOK = "webhook:"
"""Begins the address of a receiver that is a mapping in the file; the mapping follows as JSON."""

_VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class Addresses:
    """Finds the addresses of receivers.

    Attributes:
        home: where relative files of `file:` are.
        known: reference -> address, or the fields of a webhook.
        environ: where `${env:NAME}` is looked up.
    """

    home: Home
    known: Mapping[str, str | Mapping[str, object]]
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def of(self, reference: str) -> str | None:
        """Return how `reference` is reached; None when its address names a variable that is not set."""
        if self.missing(reference):
            return None
        address = self._filled(_text(self.known.get(reference, reference)))
        if address.startswith(FILE) and not address.startswith(f"{FILE}~"):
            return FILE + str(self.home.path / "logs" / Path(address.removeprefix(FILE)))
        return address

    def missing(self, reference: str) -> list[str]:
        """Return the names of the variables that the address needs and that are not set."""
        names = _VARIABLE.findall(_text(self.known.get(reference, reference)))
        return [name for name in dict.fromkeys(names) if not self.environ.get(name)]

    def shown(self, reference: str) -> str:
        """Return `reference` as it may be shown: one that is an address itself may hold a secret."""
        scheme, separator, rest = reference.partition("://")
        if reference in self.known or not separator:
            return reference
        is_name = "/" not in rest.strip("/") and ":" not in rest
        return reference if is_name else f"{scheme}://..."

    def _filled(self, text: str) -> str:
        """Put the variables in; inside of JSON their values are written as JSON writes them."""
        is_json = text.startswith(WEBHOOK + "{")
        return _VARIABLE.sub(lambda found: _quoted(self.environ[found[1]], is_json=is_json), text)


def _text(address: str | Mapping[str, object]) -> str:
    return address if isinstance(address, str) else WEBHOOK + json.dumps(dict(address), ensure_ascii=False)


def _quoted(value: str, *, is_json: bool) -> str:
    return json.dumps(value)[1:-1] if is_json else value
