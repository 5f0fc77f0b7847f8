"""What a demo needs, checked before anything is started or imported."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from ihobs.errors import InvalidInputError

PROVIDERS = ("local", "openai")
MODULES = ("langgraph", "langchain_core", "openinference.instrumentation.langchain")
"""What the extra `demo` brings."""


def check(provider: str, environ: Mapping[str, str]) -> None:
    """Raise InvalidInputError, which says what to do, unless the demo can run with `provider` here."""
    missing = [name for name in MODULES if not _installed(name)]
    if missing:
        raise InvalidInputError("demo", f"needs {', '.join(missing)}", "pip install 'ihobs[demo]'")
    if provider != "openai":
        return
    if not _installed("langchain_openai"):
        raise InvalidInputError("--provider openai", "needs langchain-openai", "pip install langchain-openai")
    if not environ.get("OPENAI_API_KEY"):
        raise InvalidInputError("--provider openai", "needs a key", "set OPENAI_API_KEY")


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is missing
        return False
