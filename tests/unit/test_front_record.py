"""Recording in Python: in memory and on disk alike; names, wildcards, own data, foreign modules, interventions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import eiplatform as ei
from eiplatform.errors import ConfigError, UnknownNameError
from eiplatform.store import validate

SMALL: dict[str, Any] = {"network": {"hidden": [12, 8]}, "training": {"epochs": 1, "warmup_epochs": 0}, "quiet": True}


@pytest.fixture(scope="module")
def run() -> ei.Run:
    return ei.train("digits-mlp", seed=3, **SMALL)


def same(first: Any, second: Any) -> None:
    """Assert that two recordings hold the same, in values, types, labels and attributes."""
    populations = [node.path for node in first.leaves]
    assert populations == [node.path for node in second.leaves]
    for name in populations:
        one, other = (tree[name].to_dataset().load() for tree in (first, second))
        xr.testing.assert_identical(one, other)
        assert {key: value.dtype for key, value in one.variables.items()} == {
            key: value.dtype for key, value in other.variables.items()
        }
        assert {key: type(value) for key, value in one.attrs.items()} == {
            key: type(value) for key, value in other.attrs.items()
        }
    for key in ("source", "config", "complete", "problems", "schema_version"):
        assert first.attrs[key] == second.attrs[key], key


SPECS: dict[str, dict[str, Any]] = {
    "all": {"samples": 6},
    "long": {"samples": 5, "steps": 40, "warmup": 5, "input": "bernoulli", "neurons": 4, "every": 2},
    "several shards": {"samples": 7, "shard_samples": 3, "batch_samples": 2},
    "half precision": {"samples": 4, "dtype": "float16", "signals": "current_*"},
    "reduced": {"samples": 7, "shard_samples": 3, "keep": ["moments", "covariance", "histogram", "quantiles"]},
}


@pytest.mark.parametrize("name", SPECS)
def test_the_same_numbers_in_memory_and_on_disk(run: ei.Run, tmp_path: Path, name: str) -> None:
    held = ei.record(run, "test", label="x", quiet=True, **SPECS[name])
    stored = ei.record(run, "test", label="x", quiet=True, path=tmp_path / "x", **SPECS[name])
    same(held, stored)
    if name == "all":
        same(ei.open(held.save(tmp_path / "saved")), stored)
        assert not validate(tmp_path / "saved").problems


@pytest.mark.usefixtures("simulated_once")
def test_a_circuit_is_the_same_in_memory_and_on_disk(tmp_path: Path) -> None:
    options: dict[str, Any] = {"scale": 0.02, "seeds": 2, "duration_ms": 40, "warmup_ms": 10, "device": "numpy"}
    held = ei.simulate("brunel-2000", **options, neurons=5, quiet=True)
    stored = ei.simulate("brunel-2000", **options, neurons=5, quiet=True, path=tmp_path / "x")
    same(held, stored)
    assert held["E"].ds.ei.rate().equals(stored["E"].ds.ei.rate())


def test_the_network_carries_its_configuration(run: ei.Run) -> None:
    tree = ei.record(run.network, "validation", samples=3, layers="fc*", signals=["spikes"], quiet=True)
    assert tree.attrs["config"]["seed"] == 3 and tree.attrs["source"]["split"] == "validation"
    assert [node.path for node in tree.leaves] == ["/fc1/E", "/fc2/E"]
    assert run.network.config == run.config == ei.load(run.path).config


def test_what_is_asked_wrongly_is_said(run: ei.Run) -> None:
    with pytest.raises(UnknownNameError) as unknown:
        ei.record(run, "tset", quiet=True)
    assert unknown.value.valid == "train, validation, test"
    with pytest.raises(UnknownNameError):
        ei.record(run, layers="conv*", quiet=True)
    with pytest.raises(ConfigError) as extra:
        ei.record(run, sampels=3, quiet=True)
    assert "samples" in str(extra.value)
    with pytest.raises(ConfigError):
        ei.record(run, overwrite=True, quiet=True)
    with pytest.raises(ConfigError) as disk:
        ei.record(torch.nn.Linear(3, 2), "test", quiet=True)
    assert disk.value.where == "data"


def test_a_recording_that_does_not_fit_is_refused(run: ei.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eiplatform.store.memory_writer.available_memory", lambda: 10_000)
    with pytest.raises(ConfigError) as error:
        ei.record(run, "test", quiet=True)
    assert error.value.alternatives[0] == "pass path=... to write it to disk"


def test_nulls_are_recorded_in_memory_and_on_disk(run: ei.Run, tmp_path: Path) -> None:
    held = ei.record(run, null="reinit:2", samples=3, label="x", quiet=True)
    stored = ei.record(run, null="reinit:2", samples=3, label="x", quiet=True, path=tmp_path / "nulls")
    for one, other in zip(held, stored, strict=True):
        same(one, other)
    assert [tree.attrs["source"]["null"]["index"] for tree in held] == [1, 2]


def test_own_arrays_are_trained_on_and_recorded(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    images = np.clip(rng.random((60, 6, 6)) * 0.3 + labels[:, None, None] * 0.3, 0, 1).astype(np.float32)
    run = ei.train(data=(images, labels), **SMALL, **{"training.batch_size": 16})
    assert (
        run.config.dataset.name,
        run.network.n_classes,
        len(ei.record(run, "test", quiet=True)["fc1/E"].sample),
    ) == (
        *("own-data", 3),
        12,
    )
    np.savez(tmp_path / "own.npz", images=images, labels=labels)
    again = ei.train(data=tmp_path / "own.npz", **SMALL, **{"training.batch_size": 16})
    same(ei.record(run, "test", quiet=True, label="x"), ei.record(again.network, "test", quiet=True, label="x"))
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(images)[:, None], torch.from_numpy(labels))
    third = ei.train(data=pairs, **SMALL, **{"training.batch_size": 16})
    same(ei.record(run, "test", quiet=True, label="x"), ei.record(third, "test", quiet=True, label="x"))
    shown = ei.record(run, images[:4], quiet=True)
    assert "label" not in shown["fc1/E"].ds.coords and shown["fc1/E"].sizes["sample"] == 4
    assert len(ei.record(run, null="reinit:2", samples=3, quiet=True)) == 2
    saved = run.save(tmp_path / "kept")
    assert ei.load(saved.path).config == run.config


@pytest.mark.parametrize(
    ("images", "labels", "what"),
    [
        (np.zeros((4, 3, 3)) - 1, np.arange(4) % 2, "-1"),
        (np.zeros((4, 3, 3)), np.arange(3), "(3,)"),
        (np.zeros(4), np.arange(4), "(4,)"),
        (np.zeros((4, 3, 3), np.int64), np.arange(4) % 2, "int64"),
        (np.zeros((4, 3, 3)), np.full(4, 0.5), "float64"),
        (np.zeros((4, 3, 3)), np.array([5, 6, 5, 6]), "label 0, 1, 2, 3, 4"),
        (np.zeros((4, 3, 3)), np.array([0, 2, 0, 2]), "label 1"),
        (np.zeros((4, 3, 3)), np.array([0, 10**12, 0, 10**12]), "label 1, 2, 3, 4, 5, ..."),
        (np.zeros((4, 3, 3), complex), np.arange(4) % 2, "complex128"),
        (np.full((4, 3, 3), None), np.arange(4) % 2, "object"),
        (np.full((4, 3, 3), "a"), np.arange(4) % 2, "<U1"),
        (np.full((4, 3, 3), np.nan), np.arange(4) % 2, "4 of 4 images are not finite"),
    ],
)
def test_own_data_that_do_not_fit_are_refused(images: np.ndarray, labels: np.ndarray, what: str) -> None:
    with pytest.raises(ConfigError) as error:
        ei.train(data=(images, labels), **SMALL)
    assert error.value.where == "data" and what in error.value.what


@pytest.mark.parametrize("foreign", [False, True])
def test_images_that_are_not_finite_are_refused_by_their_place(run: ei.Run, foreign: bool) -> None:
    images = np.zeros((5, 1, 8, 8), np.float32)
    images[3, 0, 2, 1] = np.nan
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3)) if foreign else run
    with pytest.raises(ConfigError) as error:
        ei.record(network, images, quiet=True)
    assert error.value.where == "data" and "[3, 0, 2, 1]" in error.value.what and error.value.valid == "finite values"


@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("kind", [complex, object, str])
def test_images_that_are_not_real_numbers_are_refused(run: ei.Run, foreign: bool, kind: type) -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3)) if foreign else run
    with pytest.raises(ConfigError) as error:
        ei.record(network, np.zeros((5, 1, 8, 8)).astype(kind), quiet=True)
    assert error.value.where == "data" and error.value.valid


def test_a_training_needs_a_name_or_data() -> None:
    for settings in ({}, {"seed": 3}, {"training": {"epochs": 1}}):
        with pytest.raises(ConfigError) as error:
            ei.train(**settings)  # type: ignore[arg-type]
        assert error.value.where == "train" and all(name in str(error.value.valid) for name in ei.list("configs"))
    run = ei.train(dataset={"name": "digits"}, **SMALL)
    assert (run.config.dataset.name, run.network.n_classes) == ("digits", 10)


def test_settings_come_nested_or_dotted() -> None:
    from eiplatform.front.training import config_of

    nested = config_of("digits-mlp", {"training": {"epochs": 30}, "network": {"hidden": [5]}, "seed": 9})
    dotted = config_of("digits-mlp", {"training.epochs": 30, "network.hidden": [5], "seed": 9})
    assert nested == dotted == config_of(nested, {}) and nested.network.hidden == (5,)
    with pytest.raises(UnknownNameError) as near:
        config_of("digits-mpl", {})
    assert "digits-mlp" in near.value.what
    with pytest.raises(ConfigError):
        config_of("digits-mlp", {"training": {"epoch": 3}})


def test_a_foreign_module_adapts_itself() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(9, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
    images = torch.randn(5, 9)  # of either sign
    tree = ei.record(net, (images, np.arange(5) % 2), quiet=True)
    expected = net[0](images).detach().numpy()
    data = tree["0"].ds
    bias = data["bias"].values
    np.testing.assert_allclose(data["current_net"].values[:, 0] + bias, expected, rtol=1e-5, atol=1e-6)
    assert data["label"].values.tolist() == [0, 1, 0, 1, 0] and tree.attrs["config"] == {}


def test_interventions_are_undone_bit_for_bit(run: ei.Run) -> None:
    network = run.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    intact = ei.record(network, samples=4, label="x", quiet=True)
    with network.intervene(ei.Scale("I->E subtractive", 0.5, layers="fc*"), ei.Scale("I->E subtractive", 0.5)):
        hurt = ei.record(network, samples=4, label="x", quiet=True)
        with pytest.raises(RuntimeError), ei.intervene(run, ei.Silence("fc1/I", [1])):
            assert len(network.interventions) == 3
            raise RuntimeError
        assert len(network.interventions) == 2
    same(ei.record(network, samples=4, label="x", quiet=True), intact)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert hurt["fc1/E"].ds["current_exc"].equals(intact["fc1/E"].ds["current_exc"])
    ratio = hurt["fc1/E"].ds["current_inh"] / intact["fc1/E"].ds["current_inh"]
    np.testing.assert_allclose(ratio.values[np.isfinite(ratio.values)], 0.25, rtol=1e-5)
    assert [lesion["dose"] for lesion in hurt.attrs["source"]["lesions"]] == [0.5, 0.5]


def test_silenced_neurons_inhibit_nobody(run: ei.Run) -> None:
    with run.network.intervene(ei.Silence("fc1/I", [2])):
        tree = ei.record(run.network, samples=4, quiet=True)
    assert not tree["fc1/I"].ds["activity"].sel(neuron=2).any()
    weights = run.network.named_layers()["fc1"].weight_inh_out.detach().numpy().copy()
    weights[:, 2] = 0
    expected = tree["fc1/I"].ds["activity"].values @ weights.T
    np.testing.assert_allclose(tree["fc1/E"].ds["current_inh"].values, expected, rtol=1e-4, atol=1e-6)


def test_an_intervention_that_changes_nothing_is_an_error(run: ei.Run) -> None:
    def attempt(*interventions: Any) -> None:
        with run.network.intervene(*interventions):
            pass

    for given in ((), (ei.Silence("fc1/I", []),)):
        with pytest.raises(ConfigError):
            attempt(*given)
    with pytest.raises(ConfigError):
        attempt(ei.Silence("fc1/I", [2]), ei.Silence("fc1/I", range(3)))  # nobody is left
    with run.network.intervene(ei.Silence("fc1/I", [2])), pytest.raises(ConfigError):
        attempt(ei.Silence("fc1/I", [2]))
    with pytest.raises(UnknownNameError):
        attempt(ei.Scale("I->E subtractiv", 0.5))
    with pytest.raises(UnknownNameError):
        attempt(ei.Scale("I->E subtractive", 0.5, layers="conv*"))
    with pytest.raises(ConfigError) as error:
        attempt(ei.Silence("fc1/I", [99]))
    assert error.value.valid == "0 to 2"


@pytest.mark.parametrize("thing", [3, "runs/a", None])
def test_what_is_no_network_is_refused(thing: object) -> None:
    with pytest.raises(ConfigError) as caught:
        ei.record(thing, "test")  # type: ignore[call-overload]
    assert type(thing).__name__ in str(caught.value) and caught.value.valid


@pytest.mark.parametrize("given", [("Scale",), (3,), ()])
def test_what_is_no_intervention_is_refused_before_anything_runs(given: tuple[Any, ...]) -> None:
    network = ei.train("digits-mlp", training={"epochs": 1, "warmup_epochs": 0}, network={"hidden": [4]}).network
    with pytest.raises(ConfigError) as caught:
        network.intervene(*given)
    assert caught.value.where == "intervene" and caught.value.valid
    with pytest.raises(ConfigError) as caught:
        ei.intervene(torch.nn.Linear(3, 4), ei.Scale("input->E", 0.5))
    assert "Linear" in str(caught.value)


def test_a_misspelt_argument_of_simulate_is_suggested() -> None:
    with pytest.raises(UnknownNameError) as caught:
        ei.simulate("brunel-2000", durationms=50)
    assert "did you mean 'duration_ms'" in str(caught.value)
    assert all(name in str(caught.value.valid) for name in ("duration_ms", "seeds", "scale"))
