"""How did training go, and how well does the network do on unseen images?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import binomtest

from eiplatform.files import read_json, sha256_of
from eiplatform.metrics import read_metrics
from eiplatform.untrusted import checked

__all__ = ["run"]


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


def run(training: str | Path, *, level: float = 0.95) -> xr.Dataset:
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
        ``test_accuracy``, ``test_low``, ``test_high`` and ``best_epoch``.

    Raises
    ------
    StoreError
        If there is no finished training run.
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
    return xr.Dataset(
        {
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
            "analysis": "learning",
            "level": level,
            "dataset": result["dataset"]["title"],
            "warnings": "; ".join(map(str, result["warnings"])),
            "config_hash": result["config_hash"],
            **_checkpoint(training),
        },
    )


def _checkpoint(training: Path) -> dict[str, list[str]]:
    """Return the attributes that name what a result of a training was made from; its checkpoint stands for it."""
    file = training / "best.safetensors"
    if not file.is_file():
        return {}
    return {"recordings": [f"training, {file.name}"], "recording_hashes": [sha256_of(file)[:16]]}
