"""The templates of docs/extending for layers and neurons: one file in a project, used from training to lesions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import eiplatform
from eiplatform.cli import main
from eiplatform.config import load_config
from eiplatform.errors import ConfigError
from eiplatform.interventions.intervention import intervention_from
from eiplatform.networks import build_network
from eiplatform.networks.neuron import neuron_models
from tests.unit.extending import project, template

__all__ = ["project"]

SMALL = ("network.hidden=[20, 12]", "training.epochs=2", "training.warmup_epochs=0", "training.threads=1")


def train_and_record(*settings: str) -> None:
    overrides = [argument for setting in (*SMALL, *settings) for argument in ("--set", setting)]
    assert main(["train", *overrides, "--out", "run"]) == 0
    assert main(["record", "run", "--out", "recording", "--samples", "20"]) == 0


def test_a_layer_is_one_file(project: Path) -> None:
    name = template("layer.md", project)
    train_and_record(f"network.layer={name}")
    layer = build_network(load_config(None, [f"network.layer={name}"]), (1, 8, 8), 10).named_layers()["fc1"]
    with torch.no_grad():
        layer.draw(0.1, 1.0, torch.Generator().manual_seed(1))  # type: ignore[operator]
        assert layer.weight_inh_out.sum(1).eq(1).all() and layer.weight_inh_out.max() == 1  # type: ignore[operator, union-attr]
    tree = eiplatform.open("recording")
    assert tree["fc1/E"].ds["current_inh"].max() > 0
    lesion = [
        "lesion",
        "run",
        "--out",
        "lesions",
        "--pathway",
        "I->E divisive",
        "--doses",
        "0",
        "0.5",
        "--samples",
        "20",
    ]
    assert main(lesion) == 0
    half = eiplatform.open("lesions/dose-0.5")["fc1/E"].ds
    intact = eiplatform.open("lesions/dose-0.0")["fc1/E"].ds
    assert float(half["gain"].mean()) > 1.5 * float(intact["gain"].mean())


def test_a_neuron_model_is_one_file(project: Path) -> None:
    name = template("neuron.md", project)
    train_and_record(f"network.neuron.model={name}")
    thresholds = eiplatform.open("recording")["fc1/E"].ds["threshold"].values
    assert np.log(thresholds).std() == pytest.approx(0.3, rel=0.5) and np.unique(thresholds).size == thresholds.size


def test_a_name_that_is_no_file_is_refused_with_those_that_are(project: Path) -> None:
    name = template("neuron.md", project)
    assert name in neuron_models()
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["network.neuron.model=heterogenous"])
    assert name in str(caught.value)


def test_an_intervention_is_one_file(project: Path) -> None:
    template("intervention.md", project)
    one = intervention_from({"kind": "Saturate", "target": "I->E subtractive", "ceiling": 0.5})
    assert "Saturate" in eiplatform.list("interventions")
    run = eiplatform.train(
        "digits-mlp", training={"epochs": 1, "warmup_epochs": 0}, network={"hidden": [12]}, quiet=True
    )
    intact = eiplatform.record(run.network, "test", samples=20, quiet=True)["fc1/E"].ds["current_inh"]
    with run.network.intervene(one):
        tree = eiplatform.record(run.network, "test", samples=20, quiet=True)
    np.testing.assert_allclose(tree["fc1/E"].ds["current_inh"], intact.clip(max=0.5), rtol=1e-6)
    assert tree.attrs["source"]["lesions"][0]["check"]["variance"]
