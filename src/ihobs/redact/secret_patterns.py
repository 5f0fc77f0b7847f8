"""What secrets look like: keys that carry their issuer's prefix, headers, passwords in URLs and assignments.

The prefixes are those that the issuers document for secret scanning; see docs/redaction.md for why no library.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ihobs.redact import checksums
from ihobs.redact.finding import SECRET, Check, Detector, Finding, anchored, anywhere

_PEM = re.compile(
    r"-----BEGIN (?P<label>[A-Z0-9 ]{0,40})PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[^-]|-(?!----END))*+(?:-----END (?P=label)PRIVATE KEY(?: BLOCK)?-----)?"
)
"""To the end of the text when the end of the key was cut off."""

_BASE64_40 = re.compile(
    r"(?:(?<![A-Za-z0-9/+])|(?<=\\[nrtbf]))(?<!\\)[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])",
)

_NAMES_OF_KEYS = re.compile(
    r"(?:api|access|auth|secret|private|client|session|refresh|bearer|encryption|signing|master|webhook|account)"
    r"(?:[_-]?access)?[_-]?",
    re.IGNORECASE,
)
_LONGEST_NAME_CHARS = 20

_VALUE = (
    r"(?:\\*+[\"'])?+\s{0,3}(?:=>|[:=])\s{0,3}"
    r"(?:\\*+\"(?P<double>[^\"\\\n]{6,400})|\\*+'(?P<single>[^'\\\n]{6,400})|(?P<bare>[^\s\"'\\,;&<>()\[\]{}]{6,400}))"
)
"""What a name is given: quoted, or up to the next blank or bracket."""


def _assigned(kind: str, names: tuple[str, ...], check: Check, before: re.Pattern[str] | None = None) -> Detector:
    """Return a detector of values that are assigned to a name that ends in one of `names`.

    Args:
        before: what must stand before such an end, up to it.
    """
    value = re.compile(f"(?:{'|'.join(names)}){_VALUE}")

    def find(text: str, places: Sequence[int]) -> Iterator[Finding]:
        for at in places:
            match = value.match(text, at)
            if match is None or (before is not None and not _ends_in(text, at, before)):
                continue
            start, end = match.span(match.lastgroup or 0)
            if check(text[start:end]):
                yield Finding(start, end, kind)

    return Detector(SECRET, names, find)


def _ends_in(text: str, at: int, pattern: re.Pattern[str]) -> bool:
    """Return whether what matches `pattern` ends at `at`."""
    window = text[max(0, at - _LONGEST_NAME_CHARS) : at]
    return any(match.end() == len(window) for match in pattern.finditer(window))


SECRETS = (
    anywhere("private-key", SECRET, ("PRIVATE KEY",), _PEM),
    anchored("anthropic-key", "sk-ant-", r"sk-ant-[A-Za-z0-9_-]{8,}+"),
    anchored("langfuse-key", "sk-lf- pk-lf-", r"[sp]k-lf-[A-Za-z0-9-]{12,}+"),
    anchored("openai-key", "sk-", r"sk-[A-Za-z0-9_-]{16,}+", checksums.with_digit),
    anchored("langsmith-key", "lsv2_ ls__", r"(?:lsv2_[a-z]{2}_|ls__)[A-Za-z0-9_]{12,}+"),
    anywhere(
        "aws-secret",
        SECRET,
        ("AKIA", "ASIA", "ecret_access_key", "ECRET_ACCESS_KEY", "ecretAccessKey", "ecret-access-key"),
        _BASE64_40,
        checksums.mixed,
    ),
    anchored("aws-key", "AKIA ASIA ABIA ACCA", r"[A-Z]{4}[A-Z0-9]{16}(?![A-Za-z0-9])"),
    anchored("github-token", "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_", r"(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{20,}+"),
    anchored("gitlab-token", "glpat-", r"glpat-[A-Za-z0-9_.-]{16,}+"),
    anchored("slack-token", "xox xapp-", r"(?:xox[abceoprs]|xapp)-[A-Za-z0-9-]{8,}+"),
    anchored("webhook-url", "hooks.slack.com/", r"hooks\.slack\.com/(?P<hit>[A-Za-z0-9/_-]{16,}+)"),
    anchored(
        "webhook-url", "discord.com/api discordapp.com/api", r"discord(?:app)?\.com/api/webhooks/(?P<hit>[\w/-]{16,}+)"
    ),
    anchored("google-key", "AIza ya29. GOCSPX-", r"(?:AIza|ya29\.|GOCSPX-)[A-Za-z0-9_-]{20,}+"),
    anchored(
        "stripe-key",
        "sk_live_ rk_live_ pk_live_ sk_test_ rk_test_ pk_test_ whsec_",
        r"(?:[srp]k_(?:live|test)_|whsec_)[A-Za-z0-9]{10,}+",
    ),
    anchored("jwt", "eyJ", r"eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+){0,3}"),
    anchored(
        "provider-key",
        "hf_ gsk_ xai- pplx- r8_ tvly-",
        r"(?:hf_|gsk_|xai-|pplx-|r8_|tvly-)[A-Za-z0-9_-]{20,}+",
        checksums.with_digit,
    ),
    anchored("registry-token", "npm_ pypi-", r"(?:npm_[A-Za-z0-9]{30,}+|pypi-[A-Za-z0-9_-]{40,}+)"),
    anchored("sendgrid-key", "SG.", r"SG\.[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{16,}+"),
    anchored("age-key", "AGE-SECRET-KEY-", r"AGE-SECRET-KEY-[A-Z0-9]{20,}+"),
    anchored(
        "bearer-token",
        "bearer Bearer BEARER",
        r"(?i:bearer)(?:\s|%20|\+){1,3}(?P<hit>[A-Za-z0-9._~+/=-]{8,}+)",
        checksums.bearer,
    ),
    anchored(
        "basic-auth",
        "basic Basic BASIC",
        r"(?i:basic)(?:\s|%20|\+){1,3}(?P<hit>[A-Za-z0-9+/_-]{6,}+={0,2})",
        checksums.basic,
    ),
    anywhere(
        "url-password",
        SECRET,
        ("://",),
        re.compile(r"://(?P<hit>[^\s/:@\"'<>\\\[]{0,200}+:[^\s/\"'<>\\]{1,400}(?=@))"),
    ),
    _assigned(
        "assigned-password", ("assword", "asswd", "assphrase", "pwd", "ASSWORD", "ASSWD", "PWD"), checksums.password
    ),
    _assigned(
        "assigned-key",
        ("key", "Key", "KEY", "token", "Token", "TOKEN", "secret", "Secret", "SECRET"),
        checksums.assigned,
        _NAMES_OF_KEYS,
    ),
)
"""In the order in which they are asked: of two that begin at one place, the first names the finding."""
