"""What personal data looks like: addresses of people and machines, and numbers that a checksum or a form tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ihobs.redact import checksums
from ihobs.redact.finding import ESCAPED, PERSONAL, WORD, Detector, Finding

_AT = ("@", "%40", "\\u0040")
_DOMAIN = re.compile(r"(?:@|%40|\\u0040)(?:[\w-]{1,63}+\.){1,10}[^\W\d_]{2,24}")
_LOCAL_BACKWARDS = re.compile(r"(?:[0-9A-Fa-f]{4}u\\|[\w.+-]|B2%|b2%)+")
_MOST_LOCAL_CHARS = 254
_ESCAPE_LETTERS = "nrtbf"
_USER_OF_URL = re.compile(r"://[^\s/:@\"'<>\\]*:\Z")

_PLUS = ("+", "%2B", "%2b")
_PHONE = re.compile(
    rf"(?:(?<![\w+])|{ESCAPED})(?:\+|%2[Bb])[1-9](?:[ .()/-]{{0,3}}[0-9]){{7,14}}(?![0-9])",
)

_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_IPV6 = re.compile(
    rf"(?:(?<![\w:.-])|{ESCAPED})[0-9A-Fa-f]{{4}}:(?:[0-9A-Fa-f]{{0,4}}:){{1,6}}[0-9A-Fa-f]{{0,4}}(?![\w:])"
)
_FIRST_GROUP_CHARS = 4
"""Addresses that belong to a machine begin with a group of four digits: 2001:, fe80:, fd12:."""

NUMBER = rf"(?:(?<![\w.,+-])|{ESCAPED})"
"""A number begins here that is not a part of a longer one, of a name or of an id."""

_LONG_NUMBER = re.compile(r"[0-9](?:[0-9 .()/-]{9}|[0-9]{0,2}\.[0-9]{1,3}\.[0-9]{1,3}\.)")
_SHORT_NUMBER = re.compile(r"[0-9][0-9 .()/-]{6}")
_RUN = re.compile(r"[0-9(](?:(?<=[0-9])|(?=[0-9]))[0-9 .()/-]{6,}+")
"""A digit, or a bracket before one, and what may follow in a number; it begins with a set, which is found quickly."""

_FRACTION = re.compile(r"[0-9]+\.[0-9]+")
_LEAST_CARD_DIGITS, _LEAST_NATIONAL_CHARS = 13, 10
_DOTS_OF_IPV4 = 3

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(rf"(?:(?<![\w.])(?<![A-Za-z]/)(?<!==)|{ESCAPED}){_OCTET}(?:\.{_OCTET}){{3}}(?![\w]|\.[0-9])")
_CARD = re.compile(
    rf"{NUMBER}(?:[0-9]{{13,19}}|[0-9]{{4}}(?P<sep>[ -])[0-9]{{4}}(?P=sep)[0-9]{{4}}(?P=sep)[0-9]{{4}}"
    rf"(?:(?P=sep)[0-9]{{3}})?|3[0-9]{{3}}(?P<gap>[ -])[0-9]{{6}}(?P=gap)[0-9]{{4,5}})(?!\w|[.,-][0-9])"
)
_NATIONAL_PHONE = re.compile(
    rf"{NUMBER}(?:1[ .-])?(?:\([2-9][0-9]{{2}}\)[ -]?[2-9][0-9]{{2}}[ .-]|[2-9][0-9]{{2}}(?P<dash>[.-])"
    rf"[2-9][0-9]{{2}}(?P=dash))[0-9]{{4}}(?![\w-]|\.[0-9])"
    rf"|{NUMBER}00[1-9][0-9]{{0,2}}[ /-](?:[ ()/-]{{0,2}}[0-9]){{6,12}}(?![\w-])"
)
"""North America's form, and the international prefix 00."""

_IBAN = re.compile(rf"{WORD}[A-Z]{{2}}[0-9]{{2}}(?:[ -]?[A-Z0-9]){{11,30}}")
_CHARS_BEFORE_DIGITS_OF_IBAN, _MOST_IBAN_CHARS = 14, 50

_PHONE_LABEL = re.compile(
    r"(?:(?:(?<![A-Za-z])|(?<=\\[nrtbf]))(?i:phone|mobile|cell|fax|telephone|telefon|tel|handy|whatsapp|sms)"
    r"|(?<=[a-z])(?:Phone|Mobile|Cell|Fax|Telephone))"
    r"(?i:[ _-]?(?:number|nummer|no\.?|nr\.?))?(?:\\*[\"'])?[ \t]{0,2}[:=][ \t]{0,2}(?:\\*[\"'])?\Z"
)
_LABEL_CHARS = 32
_LABELLED_PHONE = re.compile(r"\(?[0-9][0-9 ()./-]{5,18}[0-9](?![\w-])")


def _emails(text: str, places: Sequence[int]) -> Iterator[Finding]:
    """Yield addresses, from the sign between name and domain on: first the domain, then the name backwards."""
    for at in places:
        domain = _DOMAIN.match(text, at)
        if domain is None:
            continue
        local = _LOCAL_BACKWARDS.match(text[max(0, at - _MOST_LOCAL_CHARS) : at][::-1])
        if local is None:
            continue
        start = at - local.end()
        if start and text[start - 1] == "\\" and text[start] in _ESCAPE_LETTERS:
            start += 1  # the line's end that JSON writes as \n is no part of the name
        if _USER_OF_URL.search(text, max(0, start - _MOST_LOCAL_CHARS), start):
            continue  # a password and a host, which is told apart from an address by who looks for passwords
        if start < at and checksums.email(text[start : domain.end()]):
            yield Finding(start, domain.end(), "email")


def _international_phones(text: str, places: Sequence[int]) -> Iterator[Finding]:
    for at in places:
        match = _PHONE.match(text, at)
        if match and checksums.phone(match[0]):
            yield Finding(at, match.end(), "phone")


def _ipv6(text: str, _: Sequence[int]) -> Iterator[Finding]:
    for colons in _COLONS.finditer(text):
        match = _IPV6.match(text, max(0, colons.start() - _FIRST_GROUP_CHARS))
        if match and checksums.ipv6(match[0]):
            yield Finding(match.start(), match.end(), "ipv6")


def _may_hold_numbers(text: str) -> object:
    """Return what is true when ten digits stand in a text, or seven that may have a name, or an address."""
    return _SHORT_NUMBER.search(text) and (":" in text or "=" in text or _LONG_NUMBER.search(text))


def _numbers(text: str, _: Sequence[int]) -> Iterator[Finding]:
    """Yield what is made of digits: each run of them is asked for what its length and what is around it allow."""
    for run in _RUN.finditer(text):
        start, end = run.span()
        found = run[0]
        if found.count(".") >= _DOTS_OF_IPV4:
            yield from _each(_IPV4, text, (start, end + 1), "ipv4")
        elif _FRACTION.fullmatch(found):
            continue
        if end - start >= _LEAST_NATIONAL_CHARS:
            yield from _each(_NATIONAL_PHONE, text, (start, end + 1), "phone")
            if end - start >= _LEAST_CARD_DIGITS:
                yield from _each(_CARD, text, (start, end + 1), "card-number")
        if _letters_before(text, start):
            yield from _each(
                _IBAN, text, (max(0, start - _CHARS_BEFORE_DIGITS_OF_IBAN), end + _MOST_IBAN_CHARS), "iban"
            )
        if _is_labelled(text, start):
            yield from _each(_LABELLED_PHONE, text, (start, end + 1), "phone")


def _letters_before(text: str, start: int) -> bool:
    """Return whether a capital letter stands before the digits, as in an IBAN: "DE89 3704", "NL91 ABNA 0417"."""
    return "A" <= text[max(0, start - 2) : start].rstrip(" -")[-1:] <= "Z"


def _is_labelled(text: str, start: int) -> bool:
    """Return whether a name such as "phone:" stands before the digits."""
    before = text[max(0, start - _LABEL_CHARS) : start]
    return (":" in before or "=" in before) and _PHONE_LABEL.search(before) is not None


_CHECKS = {"ipv4": checksums.ipv4, "card-number": checksums.card, "phone": checksums.phone, "iban": checksums.iban}


def _each(pattern: re.Pattern[str], text: str, window: tuple[int, int], kind: str) -> Iterator[Finding]:
    at, end = window
    while (match := pattern.search(text, at, end)) is not None:
        length = _CHECKS[kind](match[0])
        if length:
            yield Finding(match.start(), match.start() + length, kind)
        at = match.start() + max(1, length)  # what begins inside of what is none may be one, as behind "%20"


PERSONAL_DATA = (
    Detector(PERSONAL, _AT, _emails),
    Detector(PERSONAL, _PLUS, _international_phones),
    Detector(PERSONAL, (), _ipv6, _COLONS.search),
    Detector(PERSONAL, (), _numbers, _may_hold_numbers),
)
