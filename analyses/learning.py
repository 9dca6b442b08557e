"""How did training go, and how well does the network do on unseen images?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import binomtest

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.headlines import Headline, plain
from eiplatform.analyses.parts.inputs import Training, excitatory
from eiplatform.analyses.parts.tables import Table
from eiplatform.files import read_json, sha256_of
from eiplatform.metrics import read_metrics
from eiplatform.statistics import summarise
from eiplatform.store.reader import open_recording
from eiplatform.store.series import is_series, iterations_per_epoch, steps_of
from eiplatform.untrusted import checked

__all__ = ["Learning"]


N_BOOTSTRAP = 200
"""Draws of the intervals of what was recorded while training."""


class _Dataset(BaseModel):
    title: str


class _Result(BaseModel):
    model_config = ConfigDict(strict=True)

    n_test: int = Field(ge=1)
    test_accuracy: float = Field(ge=0, le=1)
    best_epoch: int = Field(ge=0)
    dataset: _Dataset
    warnings: list[str]
    config_hash: str


class Learning(Analysis):
    """The metrics of a training."""

    question = "How did training go, and how well does the network do on unseen images?"
    place = 10

    def run(self, training: Training, *, level: float = 0.95) -> Result:
        """Read the metrics of a training run.

        Parameters
        ----------
        training : str or Path
            Directory made by ``eiplatform train``.
        level : float
            Nominal coverage of the interval of the test accuracy (Wilson, over samples).

        Returns
        -------
        xarray.Dataset
            ``loss``, ``train_accuracy``, ``validation_loss``, ``validation_accuracy`` (epoch), of
            which epoch 0 is the untrained network; ``rate`` and ``silent`` (epoch, layer);
            ``test_accuracy``, ``test_low``, ``test_high`` and ``best_epoch``.  Where the network was recorded while it
            was trained, ``ei_ratio`` and ``gain`` with ``_low`` and ``_high``, and ``saturated``, the share of neurons
            that fire at every step (moment, layer), at the epochs ``moment``.

        Raises
        ------
        StoreError
            If the training has not finished.
        """
        training = Path(training)
        result = read_json(training / "result.json")
        checked(_Result, result, training / "result.json", what="the result of the run is damaged")
        lines = read_metrics(training / "metrics.jsonl")
        layers, epochs = list(lines[0]["rates"]), [line["epoch"] for line in lines]

        def column(key: str) -> np.ndarray:
            return np.array([np.nan if line[key] is None else line[key] for line in lines], dtype=np.float64)

        names = ("loss", "train_accuracy", "validation_loss", "validation_accuracy")
        n_test, correct = int(result["n_test"]), round(result["test_accuracy"] * result["n_test"])
        interval = binomtest(correct, n_test).proportion_ci(level, method="wilson")
        recorded = _recorded(training / "recording", layers)
        classes = result["dataset"].get("n_classes")
        return self.result(
            xr.Dataset(
                {
                    **recorded,
                    **({"n_classes": int(classes)} if classes else {}),
                    **{name: ("epoch", column(name)) for name in names},
                    "rate": (("epoch", "layer"), [[line["rates"][layer] for layer in layers] for line in lines]),
                    "silent": (("epoch", "layer"), [[line["silent"][layer] for layer in layers] for line in lines]),
                    "test_accuracy": result["test_accuracy"],
                    "test_low": interval.low,
                    "test_high": interval.high,
                    "n_test": n_test,
                    "best_epoch": result["best_epoch"],
                },
                coords={"epoch": epochs, "layer": layers},
                attrs={
                    "level": level,
                    "dataset": result["dataset"]["title"],
                    "warnings": "; ".join(map(str, result["warnings"])),
                    "config_hash": result["config_hash"],
                    **_checkpoint(training),
                },
            )
        )

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give the table."""
        accuracy, low, high = (100 * float(result[name]) for name in ("test_accuracy", "test_low", "test_high"))
        row = (
            result.attrs["dataset"],
            f"{accuracy:.1f} % [{low:.1f}, {high:.1f}]",
            str(int(result["n_test"])),
            str(int(result["best_epoch"])),
        )
        note = (
            "Wilson interval over images; the network is that of the epoch best on validation (the later of "
            "equals); the "
            "test images had no part in training or in choosing it."
        )
        yield Table("Accuracy", ("data set", "test accuracy", "images", "epoch"), (row,), note)

    def headlines(self, result: xr.Dataset) -> Iterable[Headline]:
        """Say how good the network is."""
        return [replace(plain(finding), topic="task") for finding in self.findings(result)]

    def findings(self, result: xr.Dataset) -> Iterable[str]:
        """Say what came out."""
        accuracy, low, high = (100 * float(result[name]) for name in ("test_accuracy", "test_low", "test_high"))
        return [
            f"The network classifies {accuracy:.1f} % of {int(result['n_test'])} unseen images "
            f"(95 % interval {low:.1f} to {high:.1f} %)."
        ]


_FOLLOWED = ("ei_ratio", "gain", "saturated_fraction")


def _recorded(series: Path, layers: list[str]) -> dict[str, Any]:
    """Return balance, gain and saturated neurons of every layer at the moments that were recorded while training."""
    if not is_series(series):
        return {}
    per_epoch = iterations_per_epoch(series)
    steps = steps_of(series)
    found = {
        name + end: np.full((len(steps), len(layers)), np.nan) for name in _FOLLOWED for end in ("", "_low", "_high")
    }
    for place, part in enumerate(steps.values()):
        tree = open_recording(part)
        held = {name: data for name, data in excitatory(tree).items() if name.removesuffix("/E") in layers}
        if not held:
            continue
        table = summarise(tree, list(_FOLLOWED), populations=list(held), n_bootstrap=N_BOOTSTRAP)
        for population in held:
            one = table.sel(population=population)
            column = layers.index(population.removesuffix("/E"))
            for name in _FOLLOWED:
                for end, key in (("", "value"), ("_low", "low"), ("_high", "high")):
                    found[name + end][place, column] = float(one[key].sel(statistic=name))
    dims = ("moment", "layer")
    renamed = {name.replace("saturated_fraction", "saturated"): (dims, values) for name, values in found.items()}
    return {**renamed, "moment": [step / per_epoch for step in steps]}


def _checkpoint(training: Path) -> dict[str, list[str]]:
    """Return the attributes that name what a result of a training was made from; its checkpoint stands for it."""
    file = training / "best.safetensors"
    if not file.is_file():
        return {}
    return {"recordings": [f"training, {file.name}"], "recording_hashes": [sha256_of(file)[:16]]}
