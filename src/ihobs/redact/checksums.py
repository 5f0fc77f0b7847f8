"""Tell numbers that mean something from those that only look like it: checksums and ranges, no patterns.

Each check is given what a pattern matched and returns how many of its characters are the finding, 0 for none.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re

_ISSUERS = re.compile(r"4|5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|3[47]|30[0-5]|3[689]|35|6011|64[4-9]|65|62")
"""Beginnings of the numbers of cards: ISO/IEC 7812 issuers that are in use."""

_CARD_DIGITS = {"4": (13, 16, 19), "5": (16,), "2": (16,), "3": (14, 15, 16), "6": (16, 19)}
"""How many digits a card's number has, by its first."""

_IBAN_CHARS = {
    country: chars
    for chars, countries in (
        (15, "NO"),
        (16, "BE"),
        (18, "DK FI FK FO GL NL SD"),
        (19, "MK SI"),
        (20, "AT BA EE KZ LT LU MN XK"),
        (21, "CH HR LI LV"),
        (22, "BG BH CR DE GB GE IE ME RS VA"),
        (23, "AE GI IL IQ OM SO TL"),
        (24, "AD CZ ES MD PK RO SA SE SK TN VG"),
        (25, "LY PT ST"),
        (26, "IS TR"),
        (27, "BI DJ FR GR IT MC MR SM"),
        (28, "AL AZ BY CY DO GT HU LB NI PL SV"),
        (29, "BR EG PS QA UA"),
        (30, "JO KW MU YE"),
        (31, "MT SC"),
        (32, "LC"),
        (33, "RU"),
    )
    for country in countries.split()
}
"""Length of an IBAN by country: the registry of ISO 13616, release 99."""

_PICTURES = frozenset({"png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "css", "js", "ts", "py", "json", "html"})
"""What follows the last dot in "logo@2x.png" and is no domain."""

_NO_PASSWORDS = frozenset(
    {
        *("string", "integer", "number", "boolean", "object", "array", "required", "optional", "unknown", "default"),
        *("password", "secret", "hidden", "redacted", "undefined", "example", "disabled", "enabled", "missing"),
    }
)
"""What follows "password:" in schemas and documents and is none."""

_LEAST_PHONE_DIGITS, _MOST_PHONE_DIGITS = 7, 15
_ISO_DATE = re.compile(r"(?:19|20)\d\d[-/.][01]\d[-/.][0-3]\d")
_KNOWN_TO_ALL = frozenset({"0.0.0.0", "255.255.255.255"})  # noqa: S104 - no address to bind to: it is looked for


def card(found: str) -> int:
    """Accept the number of a payment card: an issuer's beginning, its length, and Luhn's checksum."""
    digits = [int(char) for char in found if char.isdecimal()]
    text = "".join(map(str, digits))
    if not _ISSUERS.match(text) or len(digits) not in _CARD_DIGITS[text[0]]:
        return 0
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return len(found) if (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1 else 0


def iban(found: str) -> int:
    """Accept an IBAN: a country's length, and 1 modulo 97. What follows it in the same match is left out."""
    wanted = _IBAN_CHARS.get(found[:2], 0)
    places = [place for place, char in enumerate(found) if char.isalnum()][:wanted]
    if not wanted or len(places) < wanted:
        return 0
    text = "".join(found[place] for place in places)
    number = int("".join(str(int(char, 36)) for char in text[4:] + text[:4]))
    return places[-1] + 1 if number % 97 == 1 else 0


def ipv4(found: str) -> int:
    """Accept an address that may be somebody's: not this machine's own, nor all of them."""
    return 0 if found.startswith("127.") or found in _KNOWN_TO_ALL else len(found)


def ipv6(found: str) -> int:
    """Accept a valid IPv6 address."""
    try:
        ipaddress.IPv6Address(found)
    except ValueError:
        return 0
    return len(found)


def email(found: str) -> int:
    """Accept an address unless it is a file's name, or the user that all of a host's repositories have."""
    if found.startswith("git@") or found.rpartition(".")[2].lower() in _PICTURES:
        return 0
    return len(found)


def phone(found: str) -> int:
    """Accept as many digits as a telephone's number has, unless they are a date."""
    digits = sum(char.isdecimal() for char in found)
    if _ISO_DATE.match(found) or not _LEAST_PHONE_DIGITS <= digits <= _MOST_PHONE_DIGITS:
        return 0
    return len(found)


def with_digit(found: str) -> int:
    """Accept what holds a digit: random keys do, words do not."""
    return len(found) if any(char.isdecimal() for char in found) else 0


def mixed(found: str) -> int:
    """Accept base64 of random bytes: upper and lower case and digits, which no hexadecimal hash has."""
    kinds = (str.isupper, str.islower, str.isdecimal)
    return len(found) if all(any(map(kind, found)) for kind in kinds) else 0


def bearer(found: str) -> int:
    """Accept the token of an Authorization header, which English after "bearer" is not."""
    long_enough = 24
    return len(found) if with_digit(found) or len(found) >= long_enough else 0


def basic(found: str) -> int:
    """Accept the base64 of "user:password"."""
    try:
        decoded = base64.b64decode(found + "=" * (-len(found) % 4), validate=True)
    except (binascii.Error, ValueError):
        return 0
    return len(found) if b":" in decoded else 0


def assigned(found: str) -> int:
    """Accept what is assigned to a name such as `api_key`, unless it is a type, a reference or a placeholder."""
    if found.lower() in _NO_PASSWORDS or found[0] in "$<{[*" or "..." in found:
        return 0
    return len(found) if any(char.isdecimal() or char in "+/=!#%&*^~" for char in found) else 0


def password(found: str) -> int:
    """Accept what is assigned to `password`: words, too, but not what schemas and documents say there."""
    if found[0] in "$<{[*" or "..." in found or found.lower() in _NO_PASSWORDS:
        return 0
    return len(found)
