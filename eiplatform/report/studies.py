"""Tables and sentences of the analyses that take several seeds: ``ei_versus_bn`` and ``balance_emergence``."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr

from eiplatform.analyses import defined
from eiplatform.analyses.ei_versus_bn import SENSES
from eiplatform.report.tables import Table, cell_text, number_text

__all__ = ["CIRCUITS", "circuit_tables", "circuit_told", "emergence_tables", "emergence_told"]

CIRCUITS = {"ei": "E-I circuits", "bn": "batch normalisation", "none": "neither"}
"""How circuits are called in tables; others by their own name."""
CLEAR = 0.05
"""False discovery rate below which a change counts as one."""
SMALL = 0.01
"""A change whose whole interval is smaller than this counts as none, however certain it is."""

_DELTA = "\N{GREEK CAPITAL LETTER DELTA}"


def _circuit(name: object) -> str:
    return CIRCUITS.get(str(name), str(name))


def _named(names: Iterable[object]) -> str:
    return ", ".join(str(name).removesuffix("/E") for name in names) or "no layer"


def _value(cell: xr.Dataset, name: str = "value") -> str:
    """Return a value with its interval."""
    return cell_text(cell, name, ("", "_low", "_high"))


def _changed(cell: xr.Dataset, name: str) -> str:
    """Return a change with its interval and false discovery rate; nothing where there is none."""
    if not np.isfinite(cell[name]):
        return ""
    text = f"{_DELTA} {_value(cell, name)}"
    q = float(cell[f"{name}_q"])
    return text + (f"\nq {number_text(q)}" if np.isfinite(q) else "")


def _about(result: xr.Dataset) -> str:
    level, n = 100 * result.attrs["level"], int(result.attrs["n_seeds"])
    return (
        f"{level:.0f} % intervals: Student t over {n} seeds, given the samples; q: false discovery rate (Benjamini-"
        f"Hochberg) of a t test over all cells of this result. With {n} seeds an exact sign-flip test cannot go below "
        f"p = {number_text(2 / 2**n)}."
    )


def circuit_tables(result: xr.Dataset) -> Iterable[Table]:
    """Yield the tables of ``ei_versus_bn``: values beside nulls, tightness, contrasts, distances from cortex."""
    layers = [str(name) for name in result["population"].values]
    for setting in result["setting"].values:
        for circuit in result["circuit"].values:
            one = result.sel(setting=setting, circuit=circuit)
            rows = []
            for key in defined(one, one["statistic"].values.tolist()):
                row = [str(one["label"].sel(statistic=key).item())]
                for layer in layers:
                    cell = one.sel(statistic=key, population=layer)
                    null = f"null {_value(cell, 'null')}"
                    row.append("\n".join(filter(None, [_value(cell), null, _changed(cell, "change")])))
                rows.append(tuple(row))
            yield Table(
                f"{_circuit(circuit)}, trained beside untrained ({setting})",
                ("statistic", *layers),
                tuple(rows),
                f"null: the same networks before training; {_DELTA}: change by training, paired by seed. "
                + _about(result),
            )
    yield _tightness_table(result, "By how much training tightened balance")
    yield from _contrast_tables(result, layers)
    yield from _reference_tables(result)


def _tightness_table(result: xr.Dataset, title: str) -> Table:
    layers = [str(name) for name in result["population"].values]
    rows = []
    for setting in result["setting"].values:
        for circuit in result["circuit"].values:
            for sense in result["sense"].values:
                cells = result.sel(setting=setting, circuit=circuit, sense=sense)
                texts = []
                for layer in layers:
                    cell = cells.sel(population=layer)
                    texts.append("\n".join(filter(None, [_verdict(cell), _changed(cell, "tightness")])) or "–")
                rows.append((f"{_circuit(circuit)} ({setting}): {sense}", *texts))
    note = (
        f"Positive is tighter. {_meanings(result)} (over time where the recording is long, else over samples). "
        f"tighter, looser: q < {CLEAR:g}; unchanged: the whole interval lies within {SMALL:g} of zero. "
        + _about(result)
    )
    return Table(title, ("circuit and sense", *layers), tuple(rows), note)


def _verdict(cell: xr.Dataset) -> str:
    """Return tighter, looser or unchanged; nothing where neither is shown."""
    if bool(abs(cell["tightness_low"]) < SMALL) and bool(abs(cell["tightness_high"]) < SMALL):
        return "unchanged"
    if not float(cell["tightness_q"]) < CLEAR:
        return ""
    return "tighter" if float(cell["tightness"]) > 0 else "looser"


def _contrast_tables(result: xr.Dataset, layers: list[str]) -> Iterable[Table]:
    if "contrast" not in result:
        return
    for pair in result["pair"].values:
        first, _, second = str(pair).partition(" - ")
        rows = []
        for setting in result["setting"].values:
            one = result.sel(setting=setting, pair=pair)
            for key in one["statistic"].values:
                cells = one.sel(statistic=key)
                if not bool(cells["contrast"].notnull().any()):
                    continue
                texts = []
                for layer in layers:
                    kinds = (cells.sel(population=layer, of=kind) for kind in ("trained", "change"))
                    texts.append("\n".join(filter(None, (_changed(cell, "contrast") for cell in kinds))) or "–")
                rows.append((f"{cells['label'].item()} ({setting})", *texts))
        note = "First the trained values, then what training changed; unpaired over seeds (Welch). " + _about(result)
        yield Table(f"{_circuit(first)} minus {_circuit(second)}", ("statistic", *layers), tuple(rows), note)


def _reference_tables(result: xr.Dataset) -> Iterable[Table]:
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
            for circuit in one["circuit"].values:
                for layer in one["population"].values:
                    cells = one.sel(circuit=circuit, population=layer)
                    if not np.isfinite(cells["value"]):
                        continue
                    texts = []
                    for name in references:
                        cell = cells.sel(reference=name)
                        q = float(cell["approach_q"])
                        gone = "" if not q < CLEAR else "\nnearer by" if float(cell["approach"]) > 0 else "\nfarther by"
                        moved = f"{gone} {number_text(abs(float(cell['approach'])))}" if gone else ""
                        texts.append(f"{_DELTA} {_value(cell, 'distance')}{moved}")
                    rows.append((f"{_circuit(circuit)}: {layer}, {_value(cells)}", *texts))
            note = (
                f"{_DELTA}: network minus circuit. nearer, farther: by how much training moved the network "
                f"(q < {CLEAR:g}, paired by seed, given the circuit's mean). Caution: {one['caution'].item()}. "
                + _about(result)
            )
            label = f"{one['label'].item()} beside models of cortex ({setting})"
            yield Table(label, ("network", *references), tuple(rows), note)


def emergence_tables(result: xr.Dataset) -> Iterable[Table]:
    """Yield the tables of ``balance_emergence``: every statistic over training, tightness, distances."""
    layers = [str(name) for name in result["population"].values]
    epochs = [f"{epoch:.3g}" for epoch in result["epoch"].values]
    for setting in result["setting"].values:
        for circuit in result["circuit"].values:
            one = result.sel(setting=setting, circuit=circuit)
            rows = []
            for key in defined(one, one["statistic"].values.tolist()):
                for layer in layers:
                    cell = one.sel(statistic=key, population=layer)
                    if not bool(cell["value"].notnull().any()):
                        continue
                    texts = [_value(cell.isel(epoch=index)) for index in range(len(epochs))]
                    final = _changed(cell.isel(epoch=-1), "change")
                    half = _value(cell, "half")
                    rows.append((f"{cell['label'].item()}, {layer}", *texts, final, half))
            if bool(one["accuracy"].notnull().any()):
                accuracy = [f"{100 * float(value):.1f} %" for value in one["accuracy"].values]
                rows.append(("accuracy on the recorded samples, mean of seeds", *accuracy, "", ""))
            yield Table(
                f"{_circuit(circuit)} over training ({setting})",
                ("statistic, layer", *(f"epoch {epoch}" for epoch in epochs), "change", "half after (epochs)"),
                tuple(rows),
                "half after: epochs until half of the final change was reached for the first time, where q < 0.05. "
                + _about(result),
            )
    yield _tightness_table(result.isel(epoch=-1), "By how much training tightened balance, at the end")
    yield from _reference_tables(result)


def circuit_told(result: xr.Dataset) -> list[str]:
    """Say what ``ei_versus_bn`` shows."""
    sentences = _tightness_told(result)
    for pair in result["pair"].values if "contrast" in result else []:
        first, _, second = str(pair).partition(" - ")
        for setting in result["setting"].values:
            one = result.sel(of="change", pair=pair, setting=setting)
            for key in defined(one, ["ei_ratio", "ei_correlation_time", "ei_correlation_samples"], "contrast"):
                cells = one.sel(statistic=key)
                clear = (cells["contrast_q"] < CLEAR).values
                names = cells["population"].values
                more, less = (
                    names[clear & (cells["contrast"] > 0).values],
                    names[clear & (cells["contrast"] < 0).values],
                )
                sentences.append(
                    f"{cells['label'].item()} ({setting}): training changes it more upwards with {_circuit(first)} "
                    f"than with {_circuit(second)} in {_named(more)}, more downwards in {_named(less)} "
                    f"(q < {CLEAR:g})."
                )
    return [*sentences, *_approach_told(result)]


def emergence_told(result: xr.Dataset) -> list[str]:
    """Say what ``balance_emergence`` shows."""
    last = result.isel(epoch=-1)
    sentences = _tightness_told(last)
    for setting in result["setting"].values:
        for circuit in result["circuit"].values:
            one = result.sel(setting=setting, circuit=circuit)
            for key in defined(one, ["ei_ratio", "ei_correlation_time", "ei_correlation_samples"], "half"):
                cells = one.sel(statistic=key)
                times = [
                    f"{_named([name])} {_value(cells.sel(population=name), 'half')}"
                    for name in cells["population"].values
                    if np.isfinite(cells["half"].sel(population=name))
                ]
                sentences.append(
                    f"{_circuit(circuit)} ({setting}): half of the final change of the {cells['label'].item()} is "
                    f"reached after this many epochs: {'; '.join(times)}."
                )
    return [*sentences, *_approach_told(last)]


def _tightness_told(result: xr.Dataset) -> list[str]:
    sentences = []
    for setting in result["setting"].values:
        for circuit in result["circuit"].values:
            parts = []
            for sense in result["sense"].values:
                cells = result.sel(setting=setting, circuit=circuit, sense=sense)
                if not bool(cells["tightness"].notnull().any()):
                    continue
                names = cells["population"].values
                found = [_verdict(cells.sel(population=name)) for name in names]
                told = [
                    f"{verdict} in {_named(name for name, had in zip(names, found, strict=True) if had == verdict)}"
                    for verdict in ("tighter", "looser", "unchanged")
                    if verdict in found
                ]
                parts.append(f"{sense}: {', '.join(told) or 'no clear change'}")
            if parts:
                sentences.append(f"{_circuit(circuit)} ({setting}), by training (q < {CLEAR:g}): {'; '.join(parts)}.")
    if not sentences:
        return []
    n = int(result["tightness_n"].max())
    rests = f"q rests on Student's t over {n} seeds, which takes their changes for normal"
    exact = f"signs alone cannot give p below {2 / 2**n:.2g} with {n} seeds"
    return [*sentences, f"Balance is called tighter in three senses. {_meanings(result)}.", f"{rests}; {exact}."]


def _meanings(result: xr.Dataset) -> str:
    return "; ".join(f"{sense}: {SENSES[str(sense)]}" for sense in result["sense"].values)


def _approach_told(result: xr.Dataset) -> list[str]:
    """Name what moved; one sentence says of how many that is."""
    sentences, n = [], 0
    comparable = [str(key) for key in result["statistic"].values[result["comparable"].values]]
    for setting in result["setting"].values:
        for circuit in result["circuit"].values:
            for key in comparable:
                cells = result.sel(setting=setting, circuit=circuit, statistic=key)
                if not bool(cells["approach"].notnull().any()):
                    continue
                n += 1
                clear, up = cells["approach_q"] < CLEAR, cells["approach"] > 0
                names = cells["population"]
                near, far = (names[(clear & way).any("reference").values].values for way in (up, ~up))
                if near.size or far.size:
                    sentences.append(
                        f"{_circuit(circuit)} ({setting}), {cells['label'].item()}: training moves {_named(near)} "
                        f"nearer to at least one population of the models of cortex, {_named(far)} farther from one "
                        f"(q < {CLEAR:g})."
                    )
    if n:
        moved = len(sentences)
        sentences.append(
            f"Of {n} comparable statistics (each of a circuit and setting), training moved {moved} clearly."
        )
    return sentences
