"""The command line. Commands return results to the modules here; only `ihobs.cli` prints."""

from ihobs.cli.root import main

__all__ = ["main"]
