"""Tables and sentences of the analyses that take several seeds: ``ei_versus_bn`` and ``balance_emergence``."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.findings import layers
from eiplatform.analyses.parts.seeds import SENSES
from eiplatform.analyses.parts.tables import Table, cell_text, number_text, value_text

TYPES = {"ei": "E-I layers", "bn": "batch normalisation", "none": "neither"}
"""How types of layers are called in tables; others by their own name."""


CLEAR = 0.05
"""False discovery rate below which a change counts as one."""


SMALL = 0.01
"""A change whose whole interval is smaller than this counts as none, however certain it is."""


DELTA = "\N{GREEK CAPITAL LETTER DELTA}"


def type_name(name: object) -> str:
    """Return what networks of a kind are called in tables."""
    return TYPES.get(str(name), str(name))


def changed(cell: xr.Dataset, name: str) -> str:
    """Return a change with its interval and false discovery rate; nothing where there is none."""
    if not np.isfinite(cell[name]):
        return ""
    text = f"{DELTA} {value_text(cell, name)}"
    q = float(cell[f"{name}_q"])
    return text + (f"\nq {number_text(q)}" if np.isfinite(q) else "")


def about(result: xr.Dataset) -> str:
    """Return what intervals and q rest on."""
    level, n = 100 * result.attrs["level"], int(result.attrs["n_seeds"])
    return (
        f"{level:.0f} % intervals: Student t over {n} seeds, given the samples; q: false discovery rate (Benjamini-"
        f"Hochberg) of a t test over all cells of this result. With {n} seeds an exact sign-flip test cannot go below "
        f"p = {number_text(2 / 2**n)}."
    )


def tightness_table(result: xr.Dataset, title: str) -> Table:
    """Return by how much balance became tighter, by kind of network, sense and layer."""
    layers = [str(name) for name in result["population"].values]
    rows = []
    for setting in result["setting"].values:
        for layer_type in result["layer_type"].values:
            for sense in result["sense"].values:
                cells = result.sel(setting=setting, layer_type=layer_type, sense=sense)
                texts = []
                for layer in layers:
                    cell = cells.sel(population=layer)
                    texts.append("\n".join(filter(None, [verdict(cell), changed(cell, "tightness")])) or "–")
                rows.append((f"{type_name(layer_type)} ({setting}): {sense}", *texts))
    note = (
        f"Positive is tighter. {meanings(result)} (over time where the recording is long, else over samples). "
        f"tighter, looser: q < {CLEAR:g}; unchanged: the whole interval lies within {SMALL:g} of zero. " + about(result)
    )
    return Table(title, ("type of layer, sense", *layers), tuple(rows), note)


def verdict(cell: xr.Dataset) -> str:
    """Return tighter, looser or unchanged; nothing where neither is shown."""
    if bool(abs(cell["tightness_low"]) < SMALL) and bool(abs(cell["tightness_high"]) < SMALL):
        return "unchanged"
    if not float(cell["tightness_q"]) < CLEAR:
        return ""
    return "tighter" if float(cell["tightness"]) > 0 else "looser"


def reference_tables(result: xr.Dataset) -> Iterable[Table]:
    """Give the distances from circuits, one table per setting and comparable statistic."""
    if not result.sizes.get("reference"):
        return
    last = result.isel(epoch=-1) if "epoch" in result.dims else result
    references = [str(name) for name in last["reference"].values]
    for setting in last["setting"].values:
        for key in last["statistic"].values[last["comparable"].values]:
            one = last.sel(setting=setting, statistic=key)
            if not bool(one["distance"].notnull().any()):
                continue
            rows = [("its own value", *(cell_text(one.sel(reference=name), "reference_") for name in references))]
            for layer_type in one["layer_type"].values:
                for layer in one["population"].values:
                    cells = one.sel(layer_type=layer_type, population=layer)
                    if not np.isfinite(cells["value"]):
                        continue
                    texts = []
                    for name in references:
                        cell = cells.sel(reference=name)
                        q = float(cell["approach_q"])
                        gone = "" if not q < CLEAR else "\nnearer by" if float(cell["approach"]) > 0 else "\nfarther by"
                        moved = f"{gone} {number_text(abs(float(cell['approach'])))}" if gone else ""
                        texts.append(f"{DELTA} {value_text(cell, 'distance')}{moved}")
                    rows.append((f"{type_name(layer_type)}: {layer}, {value_text(cells)}", *texts))
            note = (
                f"{DELTA}: network minus circuit. nearer, farther: by how much training moved the network "
                f"(q < {CLEAR:g}, paired by seed, given the circuit's mean). Caution: {one['caution'].item()}. "
                + about(result)
            )
            label = f"{one['label'].item()} compared with models of cortex ({setting})"
            yield Table(label, ("network", *references), tuple(rows), note)


def tightness_findings(result: xr.Dataset) -> list[str]:
    """Say where training made balance tighter or looser, in which sense, the larger change first."""
    sentences = []
    for setting, layer_type in product(result["setting"].values, result["layer_type"].values):
        parts = []
        for sense in result["sense"].values:
            cells = result.sel(setting=setting, layer_type=layer_type, sense=sense)
            if not bool(cells["tightness"].notnull().any()):
                continue
            order = np.argsort(-np.abs(np.nan_to_num(cells["tightness"].values)), kind="stable")
            names = cells["population"].values[order]
            found = [verdict(cells.sel(population=name)) for name in names]
            held = {
                kind: [name for name, had in zip(names, found, strict=True) if had == kind]
                for kind in ("tighter", "looser", "unchanged")
            }
            texts = [f"{kind} in {layers(chosen)}" for kind, chosen in held.items() if chosen]
            parts.append(f"{sense}: {', '.join(texts) or 'no clear change'}")
        if parts:
            sentences.append(
                f"{type_name(layer_type)} ({setting}), change of balance by training (q < {CLEAR:g}): "
                f"{'; '.join(parts)}."
            )
    if not sentences:
        return []
    n, tests = int(result["tightness_n"].max()), int(np.isfinite(result["tightness_p"]).sum())
    return [
        *sentences,
        f"Tighter has three senses. {meanings(result)}.",
        f"q corrects for {tests} tests of these senses and rests on Student's t over {n} seeds, which takes their "
        f"changes for normal; signs alone cannot give p below {2 / 2**n:.2g} with {n} seeds.",
    ]


def meanings(result: xr.Dataset) -> str:
    """Return what every sense of tighter means."""
    return "; ".join(f"{sense}: {SENSES[str(sense)]}" for sense in result["sense"].values)


def approach_findings(result: xr.Dataset) -> list[str]:
    """Say which statistics training moved nearer to cortex or farther from it, and of how many."""
    sentences, n = [], 0
    comparable = [str(key) for key in result["statistic"].values[result["comparable"].values]]
    for setting in result["setting"].values:
        for layer_type in result["layer_type"].values:
            for key in comparable:
                cells = result.sel(setting=setting, layer_type=layer_type, statistic=key)
                if not bool(cells["approach"].notnull().any()):
                    continue
                n += 1
                clear, up = cells["approach_q"] < CLEAR, cells["approach"] > 0
                names = cells["population"]
                near, far = (names[(clear & way).any("reference").values].values for way in (up, ~up))
                moves = [
                    f"{layers(moved)} {words}"
                    for moved, words in ((near, "nearer to one or more"), (far, "farther from one or more"))
                    if moved.size
                ]
                if moves:
                    sentences.append(
                        f"{type_name(layer_type)} ({setting}), {cells['label'].item()}: training moves "
                        f"{' and '.join(moves)} of the populations of the models of cortex (q < {CLEAR:g})."
                    )
    if n:
        moved = len(sentences)
        sentences.append(
            f"Training clearly moved {moved} of {n} combinations of kind of network, setting and comparable statistic "
            "nearer to the models of cortex or farther from them."
        )
    return sentences
