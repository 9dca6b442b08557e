"""Balance of every layer of one network against its null: one panel per independent fact."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from eiplatform.figures.grammar.words import excluded
from eiplatform.figures.parts.facts import draw_facts, label_of_fact, shown_facts
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "balance"
QUESTION = "How balanced is every layer, and is it more than initialisation gives?"


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, interval, null, test and exclusions."""
    shown = shown_facts(result)
    null = ""
    if "q" in result:
        clear = int((result["q"].sel(statistic=shown) <= 0.05).sum())
        tests = int(result["q"].sel(statistic=shown).notnull().sum())
        null = (
            f"Grey boxes: range and mean of the null ({int(result.attrs['n_nulls'])} "
            f"{result.attrs.get('null', 'recordings')}); {clear} of {tests} values differ from it (Student's t, false "
            "discovery rate 5 % over all tests). "
        )
    undefined = int(result["n_excluded"].sel(statistic=shown).max())
    return (
        f"Every layer of '{result.attrs['label']}' (n = {int(result['n_samples'].max())} samples; mean over neurons, "
        f"{100 * result.attrs['level']:.0f} % bootstrap over samples and neurons). {null}E is the excitatory, I the "
        "inhibitory current; global: a neuron's E goes with its own I no more than with that of others. "
        f"{excluded(undefined).capitalize()}."
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    if "ei_ratio" not in result["statistic"].values:
        return "Statistics of balance in every layer."
    one = result["value"].sel(statistic="ei_ratio").values
    told = ", ".join(f"{value:.2f}" for value in one[np.isfinite(one)])
    return f"Statistics of balance in every layer; the E/I ratio is {told}."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return rows: statistic, kind (layer, null), who, depth, value, low, high, and q against the null."""
    parts: list[pd.DataFrame] = []
    for key in shown_facts(result):
        one = result.sel(statistic=key)
        about = {"statistic": key, "label": label_of_fact(result, key)}
        layers = {"population": one["population"].values, "depth": np.arange(one.sizes["population"])}
        kinds = {"layer": (str(result.attrs["label"]), ("value", "low", "high"))}
        if "null" in result:
            kinds["null"] = ("null", ("null", "null_minimum", "null_maximum"))
        for kind, (who, names) in kinds.items():
            ends = {end: one[name].values for end, name in zip(("value", "low", "high"), names, strict=True)}
            q = {"q": one["q"].values} if kind == "layer" and "q" in one else {}
            parts.append(pd.DataFrame({**about, "kind": kind, "who": who, **layers, **ends, **q}))
    if not parts:
        return pd.DataFrame(columns=["statistic", "value"])
    return pd.concat(parts, ignore_index=True).dropna(subset=["value"])


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one panel per fact, layers from left to right."""
    keys = result["statistic"].values.astype(str)
    draw_facts(sheet, numbers, {key: int(result["n_excluded"].sel(statistic=key).max()) for key in keys})
