"""Errors with an exit code. The text says what is wrong, where, and what to do; the facts stay attributes."""

from __future__ import annotations

from typing import ClassVar

EXIT_OK = 0
EXIT_FINDING = 1
EXIT_INVALID = 2
EXIT_NOT_FOUND = 3
EXIT_PARTIAL = 4
EXIT_REFUSED = 5
EXIT_UNREACHABLE = 6
EXIT_INTERNAL = 70


class IhobsError(Exception):
    """Anything a user can put right. `exit_code` is what the command line ends with."""

    exit_code: ClassVar[int] = EXIT_INTERNAL


class InvalidInputError(IhobsError):
    """A file, an option or a value that cannot be used as it stands.

    Attributes:
        where: the file, with line and column when known ("ihobs.yaml:7:3"), or the option.
        reason: what is wrong.
        hint: what to do, or an empty string.
    """

    exit_code = EXIT_INVALID

    def __init__(self, where: str, reason: str, hint: str = "") -> None:
        super().__init__(f"{where}: {reason}" + (f"; {hint}" if hint else ""))
        self.where, self.reason, self.hint = where, reason, hint


class NotFoundError(IhobsError):
    """Something that was named does not exist."""

    exit_code = EXIT_NOT_FOUND

    def __init__(self, what: str, name: str, hint: str = "") -> None:
        super().__init__(f"no {what} '{name}'" + (f"; {hint}" if hint else ""))
        self.what, self.name, self.hint = what, name, hint


class StoreUnavailableError(IhobsError):
    """The home cannot be read or written now: locked, full, read-only, damaged or gone.

    Attributes:
        path: the file or directory.
        reason: why, in words.
        hint: what to do.
    """

    exit_code = EXIT_UNREACHABLE

    def __init__(self, path: object, reason: str, hint: str = "") -> None:
        super().__init__(f"{path}: {reason}" + (f"; {hint}" if hint else ""))
        self.path, self.reason, self.hint = str(path), reason, hint


class StoreRefusedError(StoreUnavailableError):
    """The home must not be used by this process: a newer schema, a network file system."""

    exit_code = EXIT_REFUSED


class RefusedError(IhobsError):
    """What was asked for is possible, but would destroy something; it needs a plainer word."""

    exit_code = EXIT_REFUSED

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(f"{reason}; {hint}")
        self.reason, self.hint = reason, hint
