"""The command line: parses, calls, prints.  Heavy imports happen inside the commands."""

from eiplatform.cli.app import main

__all__ = ["main"]
