"""Notice what was changed: another version of ihobs, and settings that are not what they were.

Of a setting only a digest is kept, so that its value stands nowhere but in the file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

import ihobs
from ihobs.store.state import incidents
from ihobs.store.state.incidents import Happening

if TYPE_CHECKING:
    from ihobs.config import Settings
    from ihobs.store.database import Database

KEY = "incidents:configuration"
"""In `meta`: what was in force the last time, as JSON: name -> digest."""


def notice(state: Database, settings: Settings, now_ns: int, version: str = ihobs.__version__) -> list[str]:
    """Store what differs from the last time, and return it in words; the first time, nothing does.

    Raises:
        StoreUnavailableError: the state database cannot be used.
    """
    now = {"version": version} | {name: _digest(value) for name, value in _fields(settings).items()}
    with state.write() as writer:
        before = incidents.meta(writer, KEY)
        incidents.put_meta(writer, KEY, json.dumps(now))
        if before is None:
            return []
        found = _differences(json.loads(before), now)
        for text in found:
            kind = "version" if text.startswith("ihobs") else "configuration"
            incidents.add_happening(writer, Happening(now_ns, kind, text, ""))
    return found


def _differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    found = []
    if before.get("version") != now["version"]:
        found.append(f"ihobs {before.get('version')} became {now['version']}")
    changed = sorted(name for name in now if name != "version" and before.get(name, now[name]) != now[name])
    if changed:
        found.append(f"changed in the configuration: {', '.join(changed)}")
    return found


def _fields(settings: Settings) -> dict[str, object]:
    return {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}


def _digest(value: object) -> str:
    text = json.dumps(value, default=_plain, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _plain(value: Any) -> Any:
    """Return what JSON knows of a value; sets in an order that is the same in every process."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return dict(value) if hasattr(value, "keys") else str(value)
