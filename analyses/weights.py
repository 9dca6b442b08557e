"""How are the weights of a network distributed, and how close to log-normal?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.inputs import Training
from eiplatform.analyses.parts.tables import Table, number_text
from eiplatform.errors import MissingDependencyError, StoreError
from eiplatform.files import sha256_of

__all__ = ["PATHWAYS", "Weights"]

PATHWAYS = {
    "weight_exc": "input->E",
    "weight_inh_in": "input->I",
    "weight_inh_out": "I->E subtractive",
    "weight_inh_div": "I->E divisive",
}
"""Names of weights in a checkpoint, as pathways; of a signed weight both halves are pathways of their own."""
BINS = 40
STATES = ("trained", "untrained")


class Weights(Analysis):
    """Histograms of the logarithm of every pathway's weights, trained and untrained, and how far from log-normal."""

    question = "How are the weights of a network distributed, and how close to log-normal?"
    place = 15

    def run(self, training: Training) -> Result:
        """Read the weights of a training, before and after.

        Parameters
        ----------
        training : str or Path
            Directory made by ``eiplatform train``.

        Returns
        -------
        xarray.Dataset, dims (row, state, bin)
            One row per layer and pathway.  ``density`` of the natural logarithm of the positive weights, in bins with
            ``left`` and ``right`` (row, bin); ``mean`` and ``sd`` of that logarithm, ``n`` weights, ``zeros``, the
            share that is zero, and ``distance``, the largest difference of the distribution from the normal with this
            mean and sd (row, state).

        Raises
        ------
        StoreError
            If the checkpoint is missing.
        """
        files = {"trained": Path(training) / "best.safetensors", "untrained": Path(training) / "untrained.safetensors"}
        if not files["trained"].is_file():
            raise StoreError("no trained network here", where=str(files["trained"]))
        held = {state: _tensors(file) for state, file in files.items() if file.is_file()}
        rows = []
        for name in held["trained"]:
            values = {state: tensors[name] for state, tensors in held.items() if name in tensors}
            rows += _rows(name, values)
        if not rows:
            raise StoreError("this network has no weights with a name that is known", where=str(files["trained"]))
        dims = {"density": ("row", "state", "bin")} | dict.fromkeys(("left", "right"), ("row", "bin"))
        dims |= dict.fromkeys(("mean", "sd", "n", "zeros", "distance"), ("row", "state"))
        data = xr.Dataset(
            {name: (dims.get(name, ("row",)), np.array([row[name] for row in rows])) for name in rows[0]},
            coords={"state": list(STATES)},
        )
        named = [f"{Path(training).name}, {file.name}" for file in files.values() if file.is_file()]
        hashes = [sha256_of(file)[:16] for file in files.values() if file.is_file()]
        return self.result(data.assign_attrs(recordings=named, recording_hashes=hashes))

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give mean and spread of the logarithm, zeros, and the distance from log-normal."""
        rows = []
        for index in range(result.sizes["row"]):
            one = result.isel(row=index)
            cells = []
            for state in STATES:
                held = one.sel(state=state)
                spread, distance = (number_text(float(held[name])) for name in ("sd", "distance"))
                cells.append(f"{spread} (distance {distance}; zero {100 * float(held['zeros']):.0f} %)")
            rows.append((str(one["layer"].item()), str(one["pathway"].item()), *cells))
        note = (
            "sd of ln(weight) of the weights above zero; distance: largest difference of the distribution from normal."
        )
        yield Table("Weights", ("layer", "pathway", "trained", "untrained"), tuple(rows), note)


def _tensors(file: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        raise MissingDependencyError(
            "safetensors is not installed", where="weights", remedy="pip install 'eiplatform[train]'"
        ) from error
    return {
        name: values
        for name, values in load_file(file).items()
        if name.rpartition(".")[2].startswith("weight") and values.ndim > 1
    }


def _rows(name: str, values: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    layer, _, kind = name.removeprefix("layers.").rpartition(".")
    halves = {"": 1.0}
    if any((one < 0).any() for one in values.values()):
        halves = {" (+)": 1.0, " (-)": -1.0}
    rows = []
    for sign, factor in halves.items():
        signed = {state: factor * one.ravel().astype(float) for state, one in values.items()}
        logs = {state: np.log(one[one > 0]) for state, one in signed.items()}
        if any(len(one) < 2 for one in logs.values()):
            continue
        whole = np.concatenate(list(logs.values()))
        low, high = np.quantile(whole, [0.001, 0.999])
        edges = np.linspace(low, high if high > low else low + 1e-6, BINS + 1)
        row: dict[str, Any] = {"layer": layer, "pathway": PATHWAYS.get(kind, kind) + sign}
        row |= {"left": edges[:-1], "right": edges[1:], "density": np.full((len(STATES), BINS), np.nan)}
        row |= {key: np.full(len(STATES), np.nan) for key in ("mean", "sd", "n", "zeros", "distance")}
        for index, state in enumerate(STATES):
            if state in logs:
                one = logs[state]
                row["density"][index] = np.histogram(one, edges)[0] / (len(one) * (edges[1] - edges[0]))
                row["mean"][index], row["sd"][index], row["n"][index] = one.mean(), one.std(), signed[state].size
                row["zeros"][index] = float((signed[state] == 0).mean())
                row["distance"][index] = _from_normal(one)
        rows.append(row)
    return rows


def _from_normal(values: np.ndarray) -> float:
    """Return the largest difference of a distribution from the normal of its mean and standard deviation."""
    from scipy.special import ndtr

    if not values.std() > 0:
        return float("nan")
    ordered = ndtr((np.sort(values) - values.mean()) / values.std())
    steps = np.arange(len(values) + 1) / len(values)
    return float(max(np.abs(ordered - steps[:-1]).max(), np.abs(ordered - steps[1:]).max()))
