"""Computing several populations at the same time: in threads, or on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from eiplatform.errors import StatisticError, StoreError
from eiplatform.store.optional import need

__all__ = ["WORKERS", "spread"]

WORKERS = 2
"""Populations that are computed at the same time by default."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int = WORKERS, scheduler: str | None = None
) -> list[Result]:
    """Apply a function to every item and return the results in the order of the items.

    Parameters
    ----------
    function : callable
        With `scheduler`, it and the items travel to the workers; of a lazy recording only the
        paths do.
    items : sequence
    workers : int
        Threads; numpy and HDF5 do their work outside Python's lock.
    scheduler : str, optional
        Address of a ``dask.distributed`` scheduler, e.g. ``"tcp://10.0.0.1:8786"``.

    Raises
    ------
    StatisticError
        If fewer than one worker is asked for.
    MissingDependencyError
        If `scheduler` is given and ``distributed`` is not installed.
    StoreError
        If nobody answers at that address.

    Examples
    --------
    >>> spread(abs, [-1, 2, -3])
    [1, 2, 3]
    """
    if workers < 1:
        raise StatisticError(f"{workers} workers", valid="at least 1")
    if scheduler is not None:
        distributed = need("distributed", "scheduler=...")
        try:
            client = distributed.Client(scheduler, timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            raise StoreError(
                f"no dask scheduler answers ({error})", where=scheduler, remedy="start one with 'dask scheduler'"
            ) from None
        with client:
            # pure=False: the same recording may have been written anew since the last call.
            found: list[Result] = client.gather([client.submit(function, item, pure=False) for item in items])
            return found
    if workers == 1 or len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(workers, len(items))) as pool:
        return list(pool.map(function, items))
