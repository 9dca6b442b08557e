"""Progress of long steps: a bar with the remaining time on a terminal, one line a step elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Update", "stage"]

Update = Callable[[int, int, str], None]
"""Called with (done, total, message)."""


@contextmanager
def stage(title: str, *, quiet: bool = False) -> Iterator[Update]:
    """Show the progress of one step on standard error.

    Parameters
    ----------
    title : str
        Shown before the bar.
    quiet : bool
        Show nothing.

    Yields
    ------
    callable
        ``update(done, total, message)``.
    """
    started = time.monotonic()
    if quiet:
        yield lambda done, total, message: None
        return
    if not sys.stderr.isatty():
        print(f"{title} ...", file=sys.stderr, flush=True)  # noqa: T201
        yield lambda done, total, message: None
        print(f"{title}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)  # noqa: T201
        return

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.fields[title]:<28}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.description}", style="dim", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None, title=title)

        def update(done: int, total: int, message: str) -> None:
            bar.update(task, completed=done, total=total, description=message)

        yield update
        bar.update(task, description="", total=1, completed=1)
