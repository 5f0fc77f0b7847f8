"""The configuration: `ihobs.yaml`, then variables, then arguments, each going over the one before.

    argument (command line, `instrument()`)  >  environment  >  file  >  default

The file is `IHOBS_CONFIG`, else `ihobs.yaml` in the working directory. A relative `home:` is relative to the file.
`${env:NAME}` in receivers stays a reference here, so that no secret is held or shown.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ihobs.errors import InvalidInputError, NotFoundError
from ihobs.rule_files import files_of, rules_in
from ihobs.settings import TABLE, InstrumentSettings, RetentionSettings, Setting, Settings, build

if TYPE_CHECKING:
    from ihobs.documents import Document

__all__ = ["Config", "Entry", "InstrumentSettings", "RetentionSettings", "Settings", "load"]

FILE_NAME = "ihobs.yaml"
DEFAULT = "default"
ARGUMENT = "argument"


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting in force.

    Attributes:
        key: its name in the file. value: as it was written.
        origin: "default", "argument", a variable's name, or file and line ("ihobs.yaml:3").
    """

    key: str
    value: Any
    origin: str


@dataclass(frozen=True)
class Config:
    """The configuration in force.

    Attributes:
        settings: the values, typed.
        path: the file, or None when there is none.
        entries: where each value came from, in the order of the table.
        unused: what stands in the file and is valid, but not read by this version: "ihobs.yaml:9:1: ...".
        rule_files: the files whose rules are among the settings.
    """

    settings: Settings
    path: Path | None
    entries: tuple[Entry, ...]
    unused: tuple[str, ...] = ()
    rule_files: tuple[Path, ...] = ()

    @property
    def origins(self) -> Mapping[str, str]:
        """Where the value of each key came from."""
        return {entry.key: entry.origin for entry in self.entries}


def load(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, object] = {},
) -> Config:
    """Return the configuration in force.

    Args:
        path: the file; found as the module says when None.
        environ: the environment.
        overrides: values by the keys of the file ("home", "instrument.content"); None counts as not given.

    Raises:
        NotFoundError: the file that was named does not exist.
        InvalidInputError: the file, a variable or an override cannot be used. Faults of the file come all at once.
    """
    _refuse_unknown(overrides)
    path = path or _find(environ)
    document = _read(path) if path else None
    entries = tuple(_entry(setting, document, environ, overrides) for setting in TABLE)
    values: dict[str, Any] = {
        setting.key: _converted(setting, entry, path) for setting, entry in zip(TABLE, entries, strict=True)
    }
    settings = build(values)
    files = files_of(settings, path)
    if files:
        settings = replace(settings, rules=(*settings.rules, *rules_in(document, files)))
    return Config(settings, path, entries, tuple(_unused(document)) if document else (), files)


def _find(environ: Mapping[str, str]) -> Path | None:
    named = environ.get("IHOBS_CONFIG")
    if named:
        if not os.path.lexists(named):
            raise NotFoundError("configuration file", named, "IHOBS_CONFIG names it")
        return Path(named)
    return Path(FILE_NAME) if os.path.lexists(FILE_NAME) else None


def _read(path: Path) -> Document:
    """Read and check the file; the heavy imports happen only when there is one."""
    from ihobs.checks import checked

    return checked(path)


def _unused(document: Document) -> Iterator[str]:
    from ihobs.checks import unused

    return unused(document)


def _entry(
    setting: Setting, document: Document | None, environ: Mapping[str, str], overrides: Mapping[str, object]
) -> Entry:
    if overrides.get(setting.key) is not None:
        return Entry(setting.key, overrides[setting.key], ARGUMENT)
    if setting.variable and environ.get(setting.variable):  # an empty variable counts as unset, as in shells
        return Entry(setting.key, environ[setting.variable], setting.variable)
    if document:
        at = tuple(setting.key.split("."))
        value: Any = document.value
        for part in at:
            value = value.get(part) if isinstance(value, dict) else None
        place = document.place(at)
        if value is not None and place:
            return Entry(setting.key, value, f"{document.path}:{place.line}")
    return Entry(setting.key, setting.default, DEFAULT)


def _converted(setting: Setting, entry: Entry, path: Path | None) -> object:
    try:
        value = setting.convert(entry.value)
    except ValueError as error:
        raise InvalidInputError(setting.key if entry.origin == ARGUMENT else entry.origin, str(error)) from error
    if setting.key == "home":
        from_file = path is not None and entry.origin not in {ARGUMENT, setting.variable}
        base = path.absolute().parent if path and from_file else Path.cwd()
        return base / Path(str(value)).expanduser()
    return value


def _refuse_unknown(overrides: Mapping[str, object]) -> None:
    known = [setting.key for setting in TABLE]
    for key in overrides:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            raise InvalidInputError(key, "is not a setting", f"did you mean {close[0]!r}?" if close else "")
