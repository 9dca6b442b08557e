"""Handing work to one thread with a short queue, so that a slow disk delays but never fills the memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

__all__ = ["Background"]


class Background:
    """Call a function in a thread, in the order of the calls.

    Parameters
    ----------
    function : callable
        What is called.
    waiting : int
        So many calls may wait; a further one blocks until there is room.

    Notes
    -----
    An error of `function` is raised by the next call, or on leaving the ``with`` block; calls
    that wait behind it are dropped.

    Examples
    --------
    >>> seen = []
    >>> with Background(seen.append) as append:
    ...     append(1)
    ...     append(2)
    >>> seen
    [1, 2]
    """

    def __init__(self, function: Callable[..., object], waiting: int = 1) -> None:
        self._function = function
        self._queue: queue.Queue[tuple[tuple[Any, ...], dict[str, Any]] | None] = queue.Queue(waiting)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="eiplatform-writer", daemon=True)

    def _work(self) -> None:
        while (call := self._queue.get()) is not None:
            if self._error is None:
                try:
                    self._function(*call[0], **call[1])
                except BaseException as error:  # noqa: BLE001 - raised again where the work comes from
                    self._error = error
            call = None  # lets the arrays go while it waits

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Queue a call."""
        if self._error is not None:
            raise self._error
        self._queue.put((args, kwargs))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error
