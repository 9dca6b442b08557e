"""Whether the recordings of a lesion design are all that was planned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr

from eiplatform.errors import StatisticError, StoreError

__all__ = ["LESION", "control_of", "whole_design"]

LESION = 0
"""Where controls have their seed, from 1."""


def control_of(tree: xr.DataTree) -> int:
    """Return the seed of the control that a recording is, or :data:`LESION`."""
    (lesion,) = tree.attrs["source"]["lesions"]
    seed: int = lesion.get("control", {}).get("seed", LESION)
    return seed


def whole_design(trees: Sequence[xr.DataTree], *, partial: bool) -> tuple[list[xr.DataTree], list[str]]:
    """Return the complete recordings of a design, and what it lacks.

    Parameters
    ----------
    trees : sequence of DataTree
        Each made under one lesion; some may be partial.
    partial : bool
        Whether a design may lack anything.

    Returns
    -------
    complete : list of DataTree
    missing : list of str
        Names of recordings, as ``dose-0.5-control-2``; empty if nothing is.

    Raises
    ------
    StatisticError
        If the recordings are of several designs, or two are of the same condition.
    StoreError
        If something is missing and `partial` is false.
    """
    plans = [tree.attrs["source"].get("design") for tree in trees]
    if any(plan != plans[0] for plan in plans):
        raise StatisticError("the recordings are of different lesion designs", where="lesions")
    present: dict[tuple[float, int], xr.DataTree] = {}
    for tree in trees:
        key = (float(tree.attrs["source"]["lesions"][0]["dose"]), control_of(tree))
        if key in present:
            raise StatisticError(f"two recordings are of the same condition, {_name(*key)}", where="lesions")
        present[key] = tree
    complete = {key: tree for key, tree in present.items() if tree.attrs["complete"]}
    if plans[0] is None:
        missing = [_name(*key) for key in present if key not in complete]
        unknown = "it is not known whether these are all doses and controls: the recordings lack their plan"
        lacking = [unknown, *missing]
    else:
        lacking = missing = [_name(*key) for key in _planned(plans[0]) if key not in complete]
    if lacking and not partial:
        what = lacking[0] if plans[0] is None else f"the lesion design is incomplete, it lacks {', '.join(missing)}"
        raise StoreError(
            what,
            where=str(trees[0].attrs["path"]),
            remedy=(
                "finish it with 'eiplatform lesion --resume'" if plans[0] else "record it with 'eiplatform lesion'",
                "pass partial=True to analyse what is there",
            ),
        )
    return list(complete.values()), lacking


def _planned(plan: dict[str, Any]) -> list[tuple[float, int]]:
    """Return dose and control of every recording that was planned."""
    seeds = range(1, int(plan["controls"]) + 1)
    return [(float(dose), seed) for dose in plan["doses"] for seed in (LESION, *(seeds if dose > 0 else ()))]


def _name(dose: float, control: int) -> str:
    return f"dose-{dose!r}" + (f"-control-{control}" if control != LESION else "")
