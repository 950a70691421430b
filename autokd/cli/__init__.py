"""The command line: the only part of autokd that prints."""

from autokd.cli.app import main

__all__ = ["main"]
