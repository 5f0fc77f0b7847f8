"""Spans with something planted in every part, and the real traces."""

import os
from pathlib import Path

import pytest

from ihobs.redact.policy import Policy
from ihobs.redact.text import TextRedactor
from ihobs.spans.dialects import shipped_dialects
from ihobs.store.redaction import redactor_with

KEY = b"k" * 32


@pytest.fixture
def scrub():
    """Return a text without what is found in it: scrub(text, mode="mask", **policy)."""

    def scrub(text, mode="mask", **policy):
        redactor = TextRedactor(Policy(secrets=mode, personal=mode, **policy), hash_key=lambda: KEY, hook=None)
        return redactor.redact(text, "key", lambda _kind: None)

    return scrub


@pytest.fixture
def redactor():
    """Make a redactor as the store does: redactor(content="keep", hook=...)."""

    def make(*, hook=None, dialects=None, **policy):
        return redactor_with(Policy(**policy), dialects or shipped_dialects(), hash_key=lambda: KEY, hook=hook)

    return make


@pytest.fixture(scope="session")
def traces_dir(repository):
    """The folder of real traces: $IHOBS_TRACES, or shared/traces beside the checkout."""
    path = Path(os.environ.get("IHOBS_TRACES") or repository.parent / "shared" / "traces")
    if not path.is_dir():
        pytest.skip(f"the real traces are not at {path}; set IHOBS_TRACES")
    return path
