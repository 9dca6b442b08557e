"""Recording changes nothing, keeps exactly what was asked for, and refuses what does not exist."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import eiplatform
from eiplatform.config import Config, load_config
from eiplatform.datasets import Split
from eiplatform.errors import ConfigError, UnknownNameError
from eiplatform.networks import Network
from eiplatform.recording.estimate import estimate
from eiplatform.recording.network import record_network
from eiplatform.recording.spec import RecordingSpec, load_spec
from eiplatform.store import validate
from eiplatform.training import initialise

CONFIG = load_config(None, ["network.hidden=[20, 16, 12]", "dataset.name=digits"])


@pytest.fixture(scope="module")
def network() -> Network:
    return initialise(CONFIG, 5)


@pytest.fixture(scope="module")
def images() -> Split:
    from eiplatform.datasets import load

    return load("digits").test.take(np.arange(30))


def _record(network: Network, images: Split, path: Path, spec: RecordingSpec, **options: object) -> Path:
    settings = CONFIG.model_dump(mode="json")
    return record_network(network, images, path, spec, config=settings, label="toy", **options)


def test_recorded_numbers_are_those_of_the_unrecorded_forward_pass(
    network: Network, images: Split, tmp_path: Path
) -> None:
    with torch.inference_mode():
        plain = network.run(torch.from_numpy(images.images[:30])).logits
    path = _record(network, images, tmp_path / "r", RecordingSpec(shard_samples=30))
    net = eiplatform.open(path)["readout/E"].ds["current_net"].values
    # the logits are the mean over time of the readout's net current, bit for bit
    np.testing.assert_array_equal(torch.from_numpy(net).transpose(0, 1).mean(0).numpy(), plain.numpy())


def test_everything_is_recorded_and_sound(network: Network, images: Split, tmp_path: Path) -> None:
    path = _record(network, images, tmp_path / "r", RecordingSpec(shard_samples=7))
    assert validate(path).problems == []
    tree = eiplatform.open(path)
    names = [node.path.lstrip("/") for node in tree.leaves]
    assert names == [f"{layer}/{role}" for layer in ("fc1", "fc2", "fc3", "readout") for role in "EI"]
    data = tree["fc2/E"].to_dataset()
    assert data.sizes == {"sample": 30, "time": 4, "neuron": 16}
    np.testing.assert_array_equal(data["sample"].values, images.ids)
    np.testing.assert_array_equal(data["label"].values, images.labels)
    assert set(data.data_vars) >= {"current_exc", "current_inh", "gain", "spikes", "bias", "gain_exc"}


def test_recorded_spikes_drive_the_next_layer(network: Network, images: Split, tmp_path: Path) -> None:
    """The store alone reproduces the excitatory current of fc2 from the spikes of fc1 and the weights."""
    tree = eiplatform.open(_record(network, images, tmp_path / "r", RecordingSpec()))
    spikes = tree["fc1/E"].ds["spikes"].values.astype(np.float64)
    weights = network.named_layers()["fc2"].weight_exc.detach().double().numpy()
    np.testing.assert_allclose(spikes @ weights.T, tree["fc2/E"].ds["current_exc"].values, rtol=1e-5, atol=1e-6)


def test_other_images_give_other_currents(network: Network, images: Split, tmp_path: Path) -> None:
    spec = RecordingSpec(populations=("fc1/E",), signals=("current_exc",))
    dark = Split(images.images * np.float32(0.5), images.labels, images.ids)
    bright = eiplatform.open(_record(network, images, tmp_path / "a", spec))["fc1/E"].ds["current_exc"].values
    dim = eiplatform.open(_record(network, dark, tmp_path / "b", spec))["fc1/E"].ds["current_exc"].values
    np.testing.assert_allclose(dim, bright / 2, rtol=1e-5)


def test_subsets_are_those_of_the_whole(network: Network, images: Split, tmp_path: Path) -> None:
    whole = eiplatform.open(_record(network, images, tmp_path / "a", RecordingSpec(steps=9, shard_samples=30)))
    spec = RecordingSpec(
        populations=("fc*/E",),
        signals=("spikes", "current_*"),
        neurons=5,
        samples=8,
        steps=9,
        warmup=2,
        every=3,
        seed=3,
    )
    part = eiplatform.open(_record(network, images, tmp_path / "b", spec))
    assert [node.path for node in part.leaves] == ["/fc1/E", "/fc2/E", "/fc3/E"]
    for name in ("fc1/E", "fc3/E"):
        data = part[name].to_dataset()
        assert data.sizes == {"sample": 8, "time": 3, "neuron": 5}
        assert data["time"].values.tolist() == [2, 5, 8] and data.attrs["dt"] == 3.0
        assert data.attrs["n_neurons"] == whole[name].sizes["neuron"]
        chosen = whole[name].ds.sel(sample=data["sample"], time=data["time"], neuron=data["neuron"])
        for signal in ("spikes", "current_exc", "current_net"):
            # a smaller batch may sum in another order: equal to rounding
            np.testing.assert_allclose(data[signal].values, chosen[signal].values, rtol=1e-5, atol=1e-6)


def test_bernoulli_input_has_the_intensity_as_its_rate(images: Split) -> None:
    spec = RecordingSpec(input="bernoulli", seed=1)
    spikes = spec.drive(images.images[:3], images.ids[:3], 4000)
    assert spikes.shape == (4000, 3, 1, 8, 8) and set(np.unique(spikes)) == {0.0, 1.0}
    error = np.abs(spikes.mean(0) - images.images[:3])
    assert error.max() < 5 * np.sqrt(0.25 / 4000)
    again = spec.drive(images.images[1:2], images.ids[1:2], 4000)
    np.testing.assert_array_equal(again[:, 0], spikes[:, 1])  # whatever stands beside it


def test_bernoulli_recording_is_sound(network: Network, images: Split, tmp_path: Path) -> None:
    spec = RecordingSpec(input="bernoulli", steps=12, samples=4)
    path = _record(network, images, tmp_path / "r", spec)
    assert validate(path).problems == []
    assert float(eiplatform.open(path)["fc1/E"].ds["current_exc"].std("time").min()) > 0


def test_estimate_counts_the_bytes_that_are_written(network: Network, images: Split, tmp_path: Path) -> None:
    spec = RecordingSpec(neurons=8, steps=50)
    expected = estimate(network, images, spec)
    path = _record(network, images, tmp_path / "r", spec)
    written = sum(file.stat().st_size for file in (path / "shards").glob("*.h5"))
    assert abs(expected.bytes - written) < 0.02 * written
    assert (expected.samples, expected.steps) == (30, 50)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"populations": ("fc9/E",)}, "no population matches 'fc9/E'"),
        ({"populations": ("fc1/E", "conv*")}, "no population matches 'conv[*]'"),
        ({"signals": ("gian",)}, "no signal matches 'gian' – did you mean 'gain'"),
        ({"populations": ("readout/E",), "signals": ("gain",)}, "no signal matches 'gain'"),
    ],
)
def test_names_that_match_nothing_raise_before_anything_is_written(
    network: Network, images: Split, tmp_path: Path, change: dict[str, tuple[str, ...]], message: str
) -> None:
    with pytest.raises(UnknownNameError, match=message):
        _record(network, images, tmp_path / "r", RecordingSpec(**change))
    assert not (tmp_path / "r").exists()


def test_impossible_specs_are_refused(network: Network, images: Split, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a warm-up of 9 leaves nothing of 4 steps"):
        _record(network, images, tmp_path / "r", RecordingSpec(warmup=9))
    with pytest.raises(ConfigError, match="unknown key 'neuron'.*did you mean 'neurons'"):
        load_spec(None, neuron=3)
    with pytest.raises(ConfigError, match="neurons"):
        load_spec(None, neurons=0)
    spec_file = tmp_path / "spec.yml"
    spec_file.write_text("steps: 20\nsignals: [gain]\n")
    assert load_spec(spec_file, neurons=4) == RecordingSpec(steps=20, signals=("gain",), neurons=4)
    assert not (tmp_path / "r").exists()


def test_a_recording_that_does_not_fit_in_memory_is_refused(network: Network, images: Split, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"needs about .* TB of memory, .* fewer neurons, signals or steps"):
        _record(network, images, tmp_path / "r", RecordingSpec(steps=10**8))
    assert not (tmp_path / "r").exists()


def test_training_mode_is_restored(network: Network, images: Split, tmp_path: Path) -> None:
    network.train()
    _record(network, images, tmp_path / "r", RecordingSpec(samples=2))
    assert network.training
    assert isinstance(CONFIG, Config)
