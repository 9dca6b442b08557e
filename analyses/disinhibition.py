"""How much inhibition may be lost before a network runs away?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.lesions import accuracy
from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.crossing import apart, crossing
from eiplatform.analyses.parts.inputs import Recordings, excitatory, label_of, opened
from eiplatform.analyses.parts.system_names import system_of
from eiplatform.analyses.parts.tables import Table, interval_text, number_text
from eiplatform.errors import StatisticError
from eiplatform.statistics.kernels.intervals import student

__all__ = ["BAND", "MULTIPLES", "Disinhibition"]

BAND = (0.1, 0.2)
"""Loss of GABA-A function at which activity in slices of rat cortex spreads twice as far, or becomes epileptiform."""
SOURCE = "Chagnac-Amitai & Connors 1989, J Neurophysiol 61:747"
MULTIPLES = (1.5, 2.0, 5.0, 10.0)
"""Multiples of the intact rate whose doses are always given: the verdict depends on the choice."""
OCTAVES = 6.0
"""Rates beyond 64 times the intact one, and below a 64th, count as that, wherever a run-away ends."""


class Disinhibition(Analysis):
    """Dose-response curves of inhibition lost, of any number of systems, on one axis."""

    question = "How much inhibition may be lost before a network runs away?"
    place = 125

    def run(self, recordings: Recordings, *, times: float = 2.0, level: float = 0.95) -> Result:
        """Compare how the rates of systems rise when they lose inhibition.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree
            Each made under one lesion of a pathway from I (``Scale``), dose 0 among those of every system: from
            ``eiplatform lesion``, ``eiplatform simulate --protocol lesion`` or ``--intervene``.  Recordings of one
            label (of networks: of one configuration but for the seed) and pathway are a system.
        times : float
            The critical dose is the smallest at which the rate of E exceeds this multiple of the intact one.
        level : float
            Nominal coverage of the intervals (Student t over seeds).

        Returns
        -------
        xarray.Dataset
            ``rate`` (system, seed, dose) of the E neurons, in Hz or spikes per step; ``relative``, ``relative_low``,
            ``relative_high`` (system, dose), geometric means over seeds of the rate over the intact one;
            ``critical``, ``critical_low``, ``critical_high`` (system, multiple), on a straight line in the logarithm
            between the doses tried, NaN where a seed does not get there; ``tried_below``, ``tried_above``, the doses
            tried on both sides, over all seeds; ``crossed``, the share of seeds that get there; ``closed_form``
            (system), where a theory has the run-away, and ``theory`` (system, dose), the relative rate that a circuit's
            theory gives; ``accuracy``, ``accuracy_low``, ``accuracy_high`` (system, dose) of networks;
            ``distance``, ``distance_low``, ``distance_high`` (system, other), the mean distance of two curves in
            doublings over the doses that both have, with the range over pairs of seeds.

        Raises
        ------
        StatisticError
            If a recording is of no such lesion, a system lacks dose 0, is silent, or differs in more than the dose.
        """
        if not times > 1:
            raise StatisticError(f"{times} times the intact rate", where="times", valid="above 1")
        systems, skipped = _grouped(opened(recordings))
        multiples = sorted({*MULTIPLES, float(times)})
        held = {name: _System(name, parts) for name, parts in systems.items()}
        doses = np.array(sorted({dose for one in held.values() for dose in one.doses}))
        rows = [one.rows(doses, multiples, level) for one in held.values()]
        data = xr.concat(rows, xr.Variable("system", list(held)), join="outer")
        data = data.assign(_distances([one.curves() for one in held.values()], list(held)))
        data.attrs = {
            "times": float(times),
            "level": level,
            "band": list(BAND),
            "band_source": SOURCE,
            "octaves": OCTAVES,
            "skipped_controls": skipped,
        }
        return self.result(data, [tree for parts in systems.values() for tree, _, _ in parts])

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give critical doses, and distances between curves."""
        multiples = [float(value) for value in result["multiple"].values]
        rows = []
        for name in result["system"].values:
            one = result.sel(system=name)
            cells = [_critical_text(one.sel(multiple=multiple)) for multiple in multiples]
            intact = number_text(float(one["rate"].sel(dose=0.0).mean()))
            closed = number_text(100 * float(one["closed_form"])) if np.isfinite(one["closed_form"]) else ""
            rows.append((str(name), str(int(one["n_seeds"])), f"{intact} {one['unit'].item()}", *cells, closed))
        heads = tuple(f"{multiple:g} times the rate, % lost" for multiple in multiples)
        note = (
            "Smallest loss at which the rate of E exceeds that multiple of the intact one "
            f"[{100 * result.attrs['level']:.0f} % interval over seeds, Student t; with one seed none]; in round "
            "brackets the doses tried on both sides. Closed form: where a theory says that no stable state is left. "
            "The pathway stands after the name; I->E+I: the synapses onto I are lost too. "
            f"Slices of rat cortex: {100 * BAND[0]:g} to {100 * BAND[1]:g} % ({SOURCE})."
        )
        columns = ("system", "seeds", "intact", *heads, "closed form, %")
        yield Table("Loss of inhibition that multiplies the rate", columns, tuple(rows), note)
        if result.sizes["system"] > 1:
            names = [str(name) for name in result["system"].values]
            parts = ("distance", "distance_low", "distance_high")
            distances = []
            for name in names:
                ends = [[float(result[part].sel(system=name, other=other)) for part in parts] for other in names]
                cells = ["" if other == name else interval_text(*each) for other, each in zip(names, ends, strict=True)]
                distances.append((name, *cells))
            note = (
                "Mean absolute difference of log2(rate / intact rate) over the doses that both have, in doublings "
                f"[range over pairs of seeds]; rates beyond {2 ** result.attrs['octaves']:g} times the intact one "
                "count as that."
            )
            yield Table("Distance between dose-response curves", ("system", *names), tuple(distances), note)

    def findings(self, result: xr.Dataset) -> Iterable[str]:
        """Say where each system runs away, which lie in the band of slices, and what the answer depends on."""
        times = result.attrs["times"]
        cells = result.sel(multiple=times)
        low, high = (100 * value for value in BAND)
        inside = []
        for name in result["system"].values:
            one = cells.sel(system=name)
            tried = 100 * float(one["largest_dose"])
            if not np.isfinite(one["critical"]):
                share = float(one["crossed"])
                seeds = "no seed" if share == 0 else f"only {100 * share:.0f} % of the seeds"
                yield f"{name}: up to {tried:g} % lost, E exceeds {times:g} times its intact rate in {seeds}."
                continue
            value = 100 * float(one["critical"])
            inside += [str(name)] if low <= value <= high else []
            yield f"{name}: E exceeds {times:g} times its intact rate at {_critical_text(one)} % lost."
        found = cells["critical"].dropna("system")
        if found.size > 1:
            least, most = (found.isel(system=int(pick)) for pick in (found.values.argmin(), found.values.argmax()))
            names = ", ".join(inside) if inside else "none"
            yield (
                f"The critical loss ranges from {100 * float(least):.2g} % ({least['system'].item()}) to "
                f"{100 * float(most):.2g} % ({most['system'].item()}); within the {low:g} to {high:g} % of slices lie "
                f"{len(inside)} of {found.size} systems: {names}."
            )


def _critical_text(cell: xr.Dataset) -> str:
    if not np.isfinite(cell["critical"]):
        some = f" in {float(cell['crossed']):.0%} of seeds" if cell["crossed"] else ""
        return f"not up to {100 * float(cell['largest_dose']):g}" if not some else f"only{some}"
    text = interval_text(*(100 * float(cell[name]) for name in ("critical", "critical_low", "critical_high")))
    return f"{text} ({100 * float(cell['tried_below']):g} to {100 * float(cell['tried_above']):g})"


_Part = tuple[xr.DataTree, Mapping[str, Any], float]


def _grouped(trees: Sequence[xr.DataTree]) -> tuple[dict[str, list[_Part]], int]:
    """Return (recording, lesion, dose) by system, in the order given, and how many controls were left out."""
    systems: dict[str, list[_Part]] = {}
    skipped = 0
    for tree in trees:
        source, place = tree.attrs["source"], str(tree.attrs["path"])
        lesions = source.get("lesions") or []
        if len(lesions) != 1 or lesions[0].get("kind", "Scale") != "Scale":
            raise StatisticError(
                "this recording was not made under one lesion of a pathway",
                where=place,
                remedy="record it with 'eiplatform lesion', or 'eiplatform simulate --protocol lesion'",
            )
        (lesion,) = lesions
        if "steps" in lesion.get("spec", {}):
            raise StatisticError(
                "the lesion lasts for some of the steps alone", where=place, valid="the whole recording"
            )
        if "control" in lesion:
            skipped += 1
            continue
        if not lesion["pathway"].partition("->")[0].endswith("I"):
            raise StatisticError(
                f"'{lesion['pathway']}' carries no inhibition", where=place, valid="a pathway from I, e.g. 'I->E'"
            )
        label = _label(tree)
        layers = "" if lesion["layers"] == "*" else f" in {lesion['layers']}"
        systems.setdefault(f"{label}, {lesion['pathway']}{layers}", []).append((tree, lesion, float(lesion["dose"])))
    if not systems:
        raise StatisticError("no recording of a lesion is given", where="recordings")
    return systems, skipped


def _label(tree: xr.DataTree) -> str:
    """Return the name of a system; in a protocol the label is the condition."""
    source, config = tree.attrs["source"], tree.attrs["config"]
    if source["kind"] != "network":
        return str(source["name"]) if "protocol" in source else label_of(tree)
    data = config.get("dataset", {}).get("name")
    return f"trained {system_of(config)}" + (f" ({data})" if data else "")


class _System:
    """The recordings of one system, as rates by seed and dose."""

    def __init__(self, name: str, parts: Sequence[_Part]) -> None:
        self.name = name
        self.network = parts[0][0].attrs["source"]["kind"] == "network"
        self.rates: dict[int, dict[float, float]] = {}
        self.accuracies: dict[int, dict[float, float]] = {}
        self._closed, self._theory = np.nan, dict[float, float]()
        bases = []
        for tree, lesion, dose in parts:
            bases.append(_base(tree, lesion, network=self.network))
            if bases[-1] != bases[0]:
                differ = sorted(key for key in bases[0] if bases[0][key] != bases[-1].get(key))
                raise StatisticError(
                    f"the recordings differ in more than dose and seed: {', '.join(differ)}", where=name,
                    remedy="give them labels of their own",
                )  # fmt: skip
            for seed, rate in self._measured(tree).items():
                if dose in self.rates.setdefault(seed, {}):
                    raise StatisticError(f"two recordings are of dose {dose:g}, seed {seed}", where=name)
                self.rates[seed][dose] = rate
            if self.network and "readout/E" in excitatory(tree):
                seed = int(tree.attrs["config"]["seed"])
                self.accuracies.setdefault(seed, {})[dose] = accuracy(tree["readout/E"].to_dataset())[0]
            self._read_theory(tree, lesion, dose)
        for seed, curve in self.rates.items():
            if 0.0 not in curve or len(curve) < 2:
                raise StatisticError(
                    f"seed {seed} " + ("has one dose" if 0.0 in curve else "lacks the intact network (dose 0)"),
                    where=name,
                    valid="dose 0 and at least one above it",
                )  # fmt: skip
            if curve[0.0] == 0:
                raise StatisticError(f"the intact network is silent (seed {seed}): no rate is a multiple", where=name)
        self.doses = sorted({dose for curve in self.rates.values() for dose in curve})

    def _measured(self, tree: xr.DataTree) -> dict[int, float]:
        """Return the rate over all E neurons, by seed."""
        found: dict[int, float] = {}
        populations = {n: data for n, data in excitatory(tree).items() if not n.startswith("readout/")}
        total = sum(int(data.attrs["n_neurons"]) for data in populations.values())
        for data in populations.values():
            share = int(data.attrs["n_neurons"]) / total
            for seed, rate in self._of_population(data, tree).items():
                found[seed] = found.get(seed, 0.0) + share * rate
        return found

    def _of_population(self, data: xr.Dataset, tree: xr.DataTree) -> dict[int, float]:
        if self.network:
            signal = next((name for name in ("spikes", "activity") if name in data), None)
            if signal is None:
                raise StatisticError("neither spikes nor rates were recorded", where=self.name)
            return {int(tree.attrs["config"]["seed"]): float(data[signal].mean())}
        seeds = [int(seed) for seed in data["sample"].values]
        if "activity" in data:
            return {seed: float(data["activity"].sel(sample=seed).mean()) for seed in seeds}
        seconds = float(data.attrs["duration"]) * 1e-3 * int(data.attrs["n_neurons"])
        sample = data["spike_sample"].values
        return {seed: int((sample == seed).sum()) / seconds for seed in seeds}

    def _read_theory(self, tree: xr.DataTree, lesion: Mapping[str, Any], dose: float) -> None:
        theory = tree.attrs["source"].get("theory", {})
        if dose == 0 and lesion["pathway"] == "I->E":
            self._closed = float(theory.get("critical_lesion_inh_to_exc", np.nan))
        rate = theory.get("E/rate", theory.get("rate") if set(tree.children) == {"E", "I"} else None)
        if rate is not None:
            self._theory[dose] = float(rate)

    def curves(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return doses and log2 of the relative rate, clipped, of every seed."""
        found = []
        for curve in self.rates.values():
            doses = np.array(sorted(curve))
            with np.errstate(divide="ignore"):
                octaves = np.log2([curve[dose] / curve[0.0] for dose in doses])
            found.append((doses, np.clip(octaves, -OCTAVES, OCTAVES)))
        return found

    def rows(self, doses: np.ndarray, multiples: Sequence[float], level: float) -> xr.Dataset:
        """Return everything about this system."""
        seeds, curves = list(self.rates), self.curves()
        octaves = np.full((len(seeds), len(doses)), np.nan)
        rate = np.full_like(octaves, np.nan)
        for row, (seed, (held, values)) in enumerate(zip(seeds, curves, strict=True)):
            at = np.searchsorted(doses, held)
            octaves[row, at], rate[row, at] = values, [self.rates[seed][dose] for dose in held]
        over = student(octaves, level)
        found = [[crossing(*curve, np.log2(multiple)) for multiple in multiples] for curve in curves]
        values, below, above = np.moveaxis(np.array(found, float), -1, 0)  # seed, multiple
        everywhere = np.isfinite(values).all(0)
        critical = student(np.where(everywhere, values, np.nan), level)
        ends = {"below": np.fmin.reduce(below), "above": np.fmax.reduce(above)}
        right = np.full_like(octaves, np.nan)
        for row, seed in enumerate(seeds):
            for dose, value in self.accuracies.get(seed, {}).items():
                right[row, np.searchsorted(doses, dose)] = value
        accurate = student(right, level)
        intact = self._theory.get(0.0, np.nan)
        theory = [self._theory.get(dose, np.nan) / intact for dose in doses]
        data = {
            "rate": (("seed", "dose"), rate),
            "relative": ("dose", 2**over.mean),
            "relative_low": ("dose", 2**over.low),
            "relative_high": ("dose", 2**over.high),
            "critical": ("multiple", critical.mean),
            "critical_low": ("multiple", np.maximum(critical.low, 0)),
            "critical_high": ("multiple", critical.high),
            "crossed": ("multiple", np.isfinite(values).mean(0)),
            **{f"tried_{end}": ("multiple", np.where(everywhere, each, np.nan)) for end, each in ends.items()},
            "accuracy": ("dose", accurate.mean),
            "accuracy_low": ("dose", accurate.low),
            "accuracy_high": ("dose", accurate.high),
            "theory": ("dose", theory),
            "closed_form": self._closed,
            "n_seeds": len(seeds),
            "largest_dose": max(self.doses),
            "kind": "network" if self.network else "circuit",
            "unit": "spikes/step" if self.network else "Hz",
            "removed": self.name.rpartition(", ")[2],
        }
        return xr.Dataset(data, coords={"seed": seeds, "dose": doses, "multiple": list(multiples)})


def _base(tree: xr.DataTree, lesion: Mapping[str, Any], *, network: bool) -> dict[str, Any]:
    """Return the configuration without dose and seed."""
    config = dict(tree.attrs["config"])
    if network:
        return {key: value for key, value in config.items() if key != "seed"}
    return config | {name: float(before) for name, (before, _) in lesion.get("parameters", {}).items()}


def _distances(curves: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]], names: Sequence[str]) -> dict[str, Any]:
    """Return distances between systems, mean and range over pairs of seeds."""
    n = len(curves)
    found = np.zeros((3, n, n))
    for i, mine in enumerate(curves):
        for j, other in enumerate(curves):
            if i != j:
                pairs = [apart(*one, *another) for one in mine for another in other]
                found[:, i, j] = np.mean(pairs), min(pairs), max(pairs)
    dims = ("system", "other")
    coords = {"system": list(names), "other": list(names)}
    parts = zip(("distance", "distance_low", "distance_high"), found, strict=True)
    return {name: xr.DataArray(values, coords, dims) for name, values in parts}
