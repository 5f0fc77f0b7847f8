"""Where the shipped schemas and runbooks are: in the wheel under `_data/`, in a checkout beside `src/`."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path


def shipped(kind: str) -> Traversable:
    """Return the directory of shipped `kind` ("schemas" or "runbooks").

    Raises:
        FileNotFoundError: neither the installed package nor a checkout holds it.
    """
    packaged = files("ihobs") / "_data" / kind
    if packaged.is_dir():
        return packaged
    checkout = Path(__file__).resolve().parents[2] / kind
    if checkout.is_dir():
        return checkout
    raise FileNotFoundError(f"{kind}/ is neither in the installed package nor in {checkout.parent}")
