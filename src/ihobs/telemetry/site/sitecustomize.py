# ruff: noqa: INP001 - not a package: it stands on PYTHONPATH by itself
"""Started by every Python below `ihobs exec`, because this directory stands first on PYTHONPATH.

Runs OpenTelemetry's auto-instrumentation where it is installed, then the `sitecustomize` that this one hides. An
interpreter without it (another environment, the system's own) goes on as if nothing had happened.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def _instrument() -> None:
    try:
        from opentelemetry.instrumentation.auto_instrumentation import initialize
    except ImportError:
        return
    initialize()


def _run_hidden() -> None:
    """Run the next `sitecustomize` on the path, which Python would have run without us."""
    rest = [entry for entry in sys.path if Path(entry or ".").resolve() != _HERE]
    spec = PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


_instrument()
_run_hidden()
