"""Sentences of the scorecard of all systems: which way each leans, how they differ, how near they come to cortex."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import defined
from eiplatform.analyses.parts.findings import flags, layers, span, strongest
from eiplatform.statistics.kernels.contrasts import paired, unpaired
from eiplatform.statistics.kernels.multiple import benjamini_hochberg, holm

__all__ = ["against_first", "leaning", "near_cortex", "unanswered"]

CLEAR = 0.05
_MOST = 3
"""Statistics that a finding names."""


def leaning(result: xr.Dataset, setting: str) -> Iterable[str]:
    """Say in which systems excitation or inhibition outweighs the other, the larger imbalance first."""
    one = result.sel(setting=setting, depth="hidden")
    if not defined(one, ["ei_ratio"]):
        return
    ratio = one.sel(statistic="ei_ratio").dropna("system", subset=["value"])
    names, value = ratio["system"].values.astype(str), np.log(ratio["value"].values)
    logs = np.log(ratio["seed_value"].transpose("seed", "system").values)
    p = paired(logs, np.zeros_like(logs)).p
    clear, n = holm(p) <= CLEAR, int(np.isfinite(p).sum())
    how = f"t test over seeds, corrected for {n} system{'s' if n != 1 else ''} (Holm)"
    parts = []
    for sign, words in ((1, "excitation outweighs inhibition"), (-1, "inhibition outweighs excitation")):
        if chosen := strongest(value, clear, sign):
            size = float(np.abs(value[chosen]).max())
            parts.append(
                (size, f"{words} in {layers(names[chosen])} (E/I ratio {span(ratio['value'].values[chosen])})")
            )
    if parts:
        parts.sort(reverse=True)
        yield f"Hidden layers, {setting} recordings: {' and '.join(text for _, text in parts)} ({how})."
    else:
        held = span(ratio["value"].values)
        yield f"Hidden layers, {setting} recordings: no system's E/I ratio was found to differ from 1 ({held}; {how})."


def against_first(result: xr.Dataset, setting: str) -> Iterable[str]:
    """Say in which statistics the other systems differ from the first, the largest difference first."""
    one = result.sel(setting=setting, depth="hidden")
    keys = defined(one, one["statistic"].values.tolist())
    values = one["seed_value"].sel(statistic=keys).transpose("seed", "system", "statistic").values
    variance = one["seed_value"].sel(statistic=keys).var("seed", ddof=1).transpose("system", "statistic").values
    names = one["system"].values.astype(str)
    if not keys or len(names) < 2:
        return
    # Differences in units of the seeds' spread within systems, which makes statistics of any unit one list.
    found = unpaired(values[:, 1:], np.repeat(values[:, :1], len(names) - 1, axis=1))
    q, tests = benjamini_hochberg(found.p), int(np.isfinite(found.p).sum())
    if not tests:
        return
    with np.errstate(invalid="ignore", divide="ignore"):
        effects = found.difference / np.sqrt((variance[1:] + variance[:1]) / 2)
    parts = []
    for k, key in enumerate(keys):
        ways = [
            (word, strongest(effects[:, k], q[:, k] <= CLEAR, sign)) for word, sign in (("higher", 1), ("lower", -1))
        ]
        said = [
            f"{word} in {layers(names[1:][way])} (by {span(np.abs(found.difference[way, k]))})"
            for word, way in ways
            if way
        ]
        if said:
            size = max(float(np.abs(effects[way, k]).max()) for _, way in ways if way)
            parts.append((size, f"the {one['label'].sel(statistic=key).item()} is {' and '.join(said)}"))
    how = f"q at most {CLEAR:g}, corrected for {tests} tests; Welch's t over seeds"
    if not parts:
        yield f"{setting.capitalize()} recordings: no system was found to differ from {names[0]} ({how})."
        return
    parts.sort(reverse=True)
    more = f"; {len(parts) - _MOST} further statistics differ (see the table)" if len(parts) > _MOST else ""
    listed = "; ".join(text for _, text in parts[:_MOST])
    yield f"Compared with {names[0]}, {setting} recordings: {listed}{more} ({how})."


def near_cortex(result: xr.Dataset, setting: str) -> Iterable[str]:
    """Say how many comparable statistics of every system lie within the range of the circuits, the most first."""
    if not result.sizes.get("reference"):
        return
    one = result.sel(setting=setting, depth="hidden")
    keys = [key for key in one["statistic"].values if bool(one["comparable"].sel(statistic=key).all())]
    keys = [key for key in defined(one, keys) if bool(one["reference_value"].sel(statistic=key).notnull().any())]
    if not keys:
        return
    value = one["value"].sel(statistic=keys)
    reference = one["reference_value"].sel(statistic=keys)
    within = ((value >= reference.min("reference")) & (value <= reference.max("reference"))).sum("statistic")
    held = value.notnull().sum("statistic")
    order = [index for index in np.argsort(-within.values, kind="stable") if held.values[index]]
    names = one["system"].values.astype(str)
    counted = ", ".join(f"{names[index]} {within.values[index]} of {held.values[index]}" for index in order)
    yield (
        f"Statistics within the range of the {result.sizes['reference']} populations of circuits, of those that may be "
        f"compared, {setting} recordings: {counted}. No test is made: the circuits are few."
    )


def unanswered(result: xr.Dataset, setting: str) -> Iterable[str]:
    """Say which systems have no value in a setting and why, and in which the spikes mean less."""
    one = result.sel(setting=setting, depth="hidden")
    absent = one["value"].isnull().all("statistic").values
    names = one["system"].values.astype(str)
    if absent.any() and not absent.all():
        yield f"{layers(names[absent])}: nothing was measured in {setting} recordings (the table says why)."
    spikes = ("rate", "cv_isi", "lv", "fano_factor")
    yield from flags(f"{setting.capitalize()} recordings", one, spikes, "system", variable="value_caution")
