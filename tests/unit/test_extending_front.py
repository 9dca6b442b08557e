"""The templates of docs/extending for data sets and circuits: one file in a project, used in every way."""

from __future__ import annotations

from pathlib import Path

import pytest

import eiplatform as ei
from eiplatform.cli import main
from tests.unit.extending import project, template

__all__ = ["project"]

pytestmark = pytest.mark.new_interpreters  # that one finds the circuits of the project is what is tested


def test_a_data_set_is_one_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template("dataset.md", project)
    settings = ["dataset.name=bars", "network.hidden=[12]", "training.epochs=2", "training.warmup_epochs=0"]
    assert main(["train", "digits-mlp", "--set", *settings, "--out", "run"]) == 0
    assert main(["record", "run", "--out", "recording", "--samples", "10"]) == 0
    assert ei.open("recording").attrs["source"]["data"]["name"] == "bars"
    run = ei.load("run")
    assert run.network.n_classes == 2 and run.config.dataset.name == "bars"
    assert ei.record(run, "test", samples=5, quiet=True)["fc1/E"].sizes["sample"] == 5
    assert "CC0" in str(ei.describe("bars")) and "bars" in ei.list("datasets")


def test_a_circuit_is_one_file(project: Path) -> None:
    template("circuit.md", project)
    assert "my-circuit" in ei.list("circuits") and "w_inh = 67.0" in str(ei.describe("my-circuit"))
    tree = ei.simulate("my-circuit", n_exc=80, n_inh=20, duration_ms=20, warmup_ms=0, device="numpy", quiet=True)
    assert tree["E"].ds["current_exc"].dims == ("sample", "time", "neuron")
    command = ["simulate", "my-circuit", "--device", "numpy", "--duration-ms", "10", "--warmup-ms", "0", "--out", "try"]
    assert main([*command, "--set", "n_exc=80", "n_inh=20"]) == 0
    assert ei.open("try").attrs["source"]["name"] == "my-circuit"


def test_a_configuration_of_the_project_has_a_name(project: Path) -> None:
    (project / "configs").mkdir()
    (project / "configs" / "tiny.yml").write_text("# a tiny network\nnetwork: {hidden: [5]}\n")
    assert ei.list("configs")["tiny"] == "a tiny network"
    from eiplatform.front.training import config_of

    assert config_of("tiny", {"seed": 4}).network.hidden == (5,)
