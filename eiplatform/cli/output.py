"""What the commands print: tables for people, JSON for machines."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["print_json", "print_table", "say"]


def say(message: str) -> None:
    """Print one line on standard output."""
    print(message)  # noqa: T201


def print_json(value: Mapping[str, Any]) -> None:
    """Print a JSON object; NaN becomes null, since JSON has none."""
    say(json.dumps(_finite(value), indent=2))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; all but the first column are right-aligned."""
    # Piped output has no width of its own: do not cut what another program will read.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    # Text, not str: rich reads brackets, colons and links in a str as its own marks.
    table = Table(
        title=Text(title, style="bold"), title_justify="left", title_style="bold", header_style="bold", pad_edge=False
    )
    for index, column in enumerate(columns):
        table.add_column(Text(str(column)), justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*(Text(_folded(str(cell), console.width)) for cell in row))
    console.print(table)


def _folded(cell: str, width: int) -> str:
    """On a narrow terminal put an interval below its value."""
    return cell.replace(" [", "\n[") if width < 120 else cell
