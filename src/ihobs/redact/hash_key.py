"""The key of hashes: random, one for each home, readable by its owner only, made when it is first needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

FILE = "redaction.key"
"""Its name in the home. Who has it can test whether a text is behind a hash: a backup must encrypt it."""

KEY_BYTES = 32


class HashKey:
    """The key in a home; calling it returns the bytes.

    Args:
        directory: the home's path.
        random_bytes: makes a new key.
    """

    def __init__(self, directory: Path, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._path, self._random_bytes = directory / FILE, random_bytes

    def __call__(self) -> bytes:
        """Return the key.

        Raises:
            OSError: it can neither be read nor made.
        """
        return self._key

    @cached_property
    def _key(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return self._made()

    def _made(self) -> bytes:
        """Write a key and give it its name at once, so that of several processes one wins, with a whole file."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self._path.with_name(f"{FILE}.{os.getpid()}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, self._random_bytes(KEY_BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(beside, self._path)
        except FileExistsError:
            pass
        finally:
            beside.unlink()
        return self._path.read_bytes()
