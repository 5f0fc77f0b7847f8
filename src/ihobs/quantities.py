"""Durations and sizes as people write them: `2m`, `7d`, `20GB`."""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]+)")


def seconds(quantity: float | str) -> float:
    """Return a duration in seconds; a bare number is seconds.

    Raises:
        ValueError: it is not a duration such as "30s", "2m" or "7d".
    """
    if isinstance(quantity, int | float):
        return float(quantity)
    number, unit = _split(quantity)
    if unit not in _SECONDS:
        raise ValueError(f"{quantity!r} is not a duration such as 30s, 2m, 12h or 7d")
    return float(number) * _SECONDS[unit]


def size_bytes(quantity: int | str) -> int:
    """Return a size in bytes; a bare number is bytes, kB is 1000 and KiB is 1024.

    Raises:
        ValueError: it is not a size such as "500MB" or "20GB".
    """
    if isinstance(quantity, int):
        return quantity
    number, unit = _split(quantity)
    if unit not in _BYTES:
        raise ValueError(f"{quantity!r} is not a size such as 500MB or 20GB")
    return round(float(number) * _BYTES[unit])


def _split(quantity: str) -> tuple[str, str]:
    match = _QUANTITY.fullmatch(quantity.strip())
    return (match[1], match[2]) if match else ("", "")
