"""What is reduced while it is recorded equals what the raw recording gives, whatever the shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import eiplatform
from eiplatform.config import load_config
from eiplatform.datasets import Split, load
from eiplatform.errors import ConfigError, StatisticError, SumRuleError, UnknownNameError
from eiplatform.networks import Network
from eiplatform.recording.estimate import check_budget, estimate
from eiplatform.recording.network import record_network
from eiplatform.recording.reduce import Reduction
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store import reduced, validate
from eiplatform.training import initialise
from tests.examples import examples

CONFIG = load_config(None, ["network.hidden=[20, 16, 12]", "dataset.name=digits"])


@pytest.fixture(scope="module")
def network() -> Network:
    return initialise(CONFIG, 5)


@pytest.fixture(scope="module")
def images() -> Split:
    return load("digits").test.take(np.arange(30))


def record(network: Network, images: Split, path: Path, **spec: Any) -> xr.DataTree:
    settings = CONFIG.model_dump(mode="json")
    record_network(network, images, path, RecordingSpec(**spec), config=settings, label="toy")
    assert validate(path).problems == []
    return eiplatform.open(path)


ALL = {"keep": ("moments", "covariance", "histogram", "quantiles"), "steps": 7, "input": "bernoulli"}


@pytest.fixture(scope="module")
def pair(network: Network, images: Split, tmp_path_factory: pytest.TempPathFactory) -> tuple[xr.DataTree, xr.DataTree]:
    folder = tmp_path_factory.mktemp("pair")
    raw = record(network, images, folder / "raw", steps=7, input="bernoulli")
    return raw, record(network, images, folder / "kept", shard_samples=11, batch_samples=4, **ALL)


@pytest.mark.parametrize("population", ["fc1/E", "fc1/I", "fc3/E", "readout/E"])
def test_moments_and_covariances_are_those_of_the_raw_signals(
    pair: tuple[xr.DataTree, xr.DataTree], population: str
) -> None:
    raw, kept = (tree[population].to_dataset() for tree in pair)
    names = [str(name) for name in kept["signal"].values]
    assert set(names) == {key for key, v in raw.data_vars.items() if v.dims == ("sample", "time", "neuron")}
    values = {name: raw[name].values.astype(float).reshape(-1, raw.sizes["neuron"]) for name in names}
    assert int(kept["n"]) == 30 * 7
    for name in names:
        np.testing.assert_allclose(kept["mean"].sel(signal=name), values[name].mean(0), rtol=1e-6, atol=1e-9)
        scale = values[name].std(0).max() * 1e-6 + 1e-12
        np.testing.assert_allclose(np.sqrt(reduced.variance(kept, name)), values[name].std(0), rtol=1e-6, atol=scale)
    if "current_inh" in names:
        offline = [
            np.corrcoef(e, i)[0, 1] for e, i in zip(values["current_exc"].T, values["current_inh"].T, strict=True)
        ]
        np.testing.assert_allclose(reduced.correlation(kept, "current_exc", "current_inh"), offline, rtol=1e-5)


def test_histograms_are_those_of_numpy_and_lose_nothing(pair: tuple[xr.DataTree, xr.DataTree]) -> None:
    raw, kept = (tree["fc2/E"].to_dataset() for tree in pair)
    for name in ("current_exc", "gain", "spikes"):
        edges = kept["histogram_edges"].sel(signal=name).values
        counts = kept["histogram"].sel(signal=name).values
        offline, _ = np.histogram(raw[name].values.astype(np.float64), edges)
        np.testing.assert_array_equal(counts[1:-1], offline)
        assert counts.sum() == raw[name].size


def test_quantiles_are_within_one_per_cent(pair: tuple[xr.DataTree, xr.DataTree]) -> None:
    raw, kept = (tree["fc2/E"].to_dataset() for tree in pair)
    levels = [0.0, 0.01, 0.25, 0.5, 0.9, 1.0]
    for name in ("current_exc", "current_net", "voltage"):
        found = reduced.quantile(kept, name, levels).values
        exact = np.quantile(raw[name].values.astype(np.float64), levels, method="lower")
        np.testing.assert_allclose(found, exact, rtol=0.0101, atol=1e-9)


def test_shards_and_batches_change_nothing_but_rounding(network: Network, images: Split, tmp_path: Path) -> None:
    one = record(network, images, tmp_path / "one", shard_samples=30, **ALL)["fc2/E"].to_dataset()
    many = record(network, images, tmp_path / "many", shard_samples=7, batch_samples=2, **ALL)["fc2/E"].to_dataset()
    assert int(one["n"]) == int(many["n"])
    scale = np.sqrt(one["comoment"].max())
    np.testing.assert_allclose(one["comoment"], many["comoment"], rtol=0, atol=1e-6 * float(scale**2))
    np.testing.assert_array_equal(one["sketch"].sum("bucket"), many["sketch"].sum("bucket"))


@examples(40)
@given(
    st.integers(0, 10_000),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.sampled_from([0.0, 1.0, 1e3]),
)
def test_any_split_merges_to_the_whole(seed: int, sizes: list[int], offset: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    whole = torch.randn(3, sum(sizes), 4, generator=generator, dtype=torch.float64) + offset
    parts = []
    for part in whole.split(sizes, dim=1):
        state = Reduction(["gain"], 4, {"moments", "quantiles"}, {})
        state.add({"gain": part})
        parts.append(state.dataset())
    merged = reduced.merge(parts)
    values = whole.flatten(0, 1).numpy()
    np.testing.assert_allclose(merged["mean"].values[0], values.mean(0), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(merged["m2"].values[0], ((values - values.mean(0)) ** 2).sum(0), rtol=1e-7)
    assert merged["sketch"].values.sum() == values.size


def test_one_value_held_for_all_steps_counts_that_often() -> None:
    held = torch.tensor([[[1.0], [3.0]]]).expand(5, 2, 1)
    apart = held.contiguous()
    found = []
    for signal in (held, apart):
        state = Reduction(["drive"], 1, {"moments", "quantiles"}, {})
        state.add({"drive": signal})
        found.append(state.dataset())
    xr.testing.assert_allclose(*found)
    assert int(found[0]["n"]) == 10 and float(found[0]["m2"][0, 0]) == pytest.approx(10.0)


def test_raw_and_reduced_side_by_side(network: Network, images: Split, tmp_path: Path) -> None:
    tree = record(network, images, tmp_path / "r", keep=("raw", "moments"), neurons=5, shard_samples=8)
    data = tree["fc1/E"].to_dataset()
    assert data["current_exc"].shape == (30, 4, 5)
    np.testing.assert_allclose(
        data["mean"].sel(signal="current_exc"), data["current_exc"].mean(("sample", "time")), rtol=1e-6
    )


def test_spikes_only(network: Network, images: Split, tmp_path: Path) -> None:
    tree = record(network, images, tmp_path / "r", keep="spikes-only", shard_samples=9)
    assert [node.path for node in tree.leaves] == ["/fc1/E", "/fc2/E", "/fc3/E"]
    everything = record(network, images, tmp_path / "all")
    for name in ("fc1/E", "fc3/E"):
        data = tree[name].to_dataset()
        assert {key for key, v in data.data_vars.items() if "time" in v.dims} == {"spikes"}
        np.testing.assert_array_equal(data["spikes"].values, everything[name].ds["spikes"].values)
        np.testing.assert_array_equal(
            data["spikes"][3:20, 1, 2:9:3], everything[name].ds["spikes"].values[3:20, 1, 2:9:3]
        )
        np.testing.assert_array_equal(data["spikes"][5, :, 11], everything[name].ds["spikes"].values[5, :, 11])


def test_float16_halves_the_bytes_and_is_checked(network: Network, images: Split, tmp_path: Path) -> None:
    half = record(network, images, tmp_path / "half", dtype="float16")["fc2/E"].to_dataset()
    whole = record(network, images, tmp_path / "whole")["fc2/E"].to_dataset()
    assert half["current_exc"].dtype == np.float32 and half.attrs["stored_as"] == "float16"
    np.testing.assert_allclose(half["gain"], whole["gain"], rtol=1e-3)
    sizes = [sum(f.stat().st_size for f in (tmp_path / name / "shards").glob("*.h5")) for name in ("half", "whole")]
    assert sizes[0] < 0.7 * sizes[1]


def test_float16_that_would_overflow_is_refused(network: Network, images: Split, tmp_path: Path) -> None:
    bright = Split(images.images * np.float32(1e6), images.labels, images.ids)
    with pytest.raises(SumRuleError, match="more than float16 can hold.*dtype: float32"):
        record(network, bright, tmp_path / "r", dtype="float16", populations="fc1/E", signals="current_exc")


def test_a_reduced_recording_says_what_it_lacks(pair: tuple[xr.DataTree, xr.DataTree], tmp_path: Path) -> None:
    raw, kept = pair
    with pytest.raises(StatisticError, match="keep: covariance"):
        reduced.correlation(raw["fc1/E"].to_dataset(), "current_exc", "current_inh")
    with pytest.raises(UnknownNameError, match="did you mean 'gain'"):
        reduced.quantile(kept["fc1/E"].to_dataset(), "gian", 0.5)
    with pytest.raises(StatisticError, match="0 to 1"):
        reduced.quantile(kept["fc1/E"].to_dataset(), "gain", 50)


# --- the selection -------------------------------------------------------------------------


def test_regular_expressions_ids_and_classes(network: Network, images: Split, tmp_path: Path) -> None:
    every = load("digits").test
    tree = record(
        network, every, tmp_path / "r", populations="re:fc[12]/E", neurons=(3, 1), samples={"per_class": 2}, steps=2
    )
    assert [node.path for node in tree.leaves] == ["/fc1/E", "/fc2/E"]
    data = tree["fc1/E"].ds
    assert data["neuron"].values.tolist() == [1, 3]
    assert np.bincount(data["label"].values).tolist() == [2] * 10
    some = record(network, images, tmp_path / "ids", samples=tuple(images.ids[[4, 2]].tolist()), populations="fc1/E")
    np.testing.assert_array_equal(some["fc1/E"].ds["sample"].values, images.ids[[2, 4]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"populations": "re:fc["}, "not a regular expression"),
        ({"populations": "re:fc"}, "no population matches 're:fc'"),  # a whole name must match
        ({"neurons": (3, 99)}, r"neurons \[99\] do not exist.*0 to 19"),
        ({"samples": 31}, "31 were asked for.*1 to 30"),
        ({"samples": (123456,)}, r"ids .123456. do not exist.*of 30 from 9 to 194"),
        ({"samples": (9, 194, 9)}, r"ids .9. are named more than once"),
        ({"samples": {"per_class": 4}}, "4 of every class.*at most"),
        ({"histogram": {"ranges": {"gian": (0, 1)}}}, "did you mean 'gain'"),
    ],
)
def test_what_does_not_exist_is_refused(
    network: Network, images: Split, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        record(network, images, tmp_path / "r", **change)
    assert not (tmp_path / "r").exists()


def test_per_channel_takes_one_neuron_of_each(tmp_path: Path) -> None:
    spec = RecordingSpec(neurons="per-channel")
    chosen = spec.choose_neurons("conv1/E", (6, 4, 4))
    assert (chosen // 16).tolist() == list(range(6)) and len(set((chosen % 16).tolist())) > 1
    assert spec.choose_neurons("fc1/E", (5,)).tolist() == list(range(5))


def test_poisson_input_has_the_mean_and_variance_of_its_rate() -> None:
    image = np.full((1, 8, 8), 0.6, np.float32)
    spikes = RecordingSpec(input="poisson").drive(image, np.array([3]), 400)
    assert spikes.mean() == pytest.approx(0.6, abs=4 * (0.6 / spikes.size) ** 0.5)
    assert spikes.var() == pytest.approx(0.6, abs=0.03)
    assert spikes.max() > 1


# --- before it runs ------------------------------------------------------------------------


def test_over_the_budget_the_cheaper_spec_that_is_named_fits(network: Network, images: Split, tmp_path: Path) -> None:
    spec = RecordingSpec(steps=40, shard_samples=10)
    expected = estimate(network, images, spec)
    with pytest.raises(ConfigError, match="is the budget.*would fit.*float16.*keep: moments") as refused:
        check_budget(expected, network, images, spec, tmp_path, int(0.6 * expected.bytes))
    neurons = int(str(refused.value).split("neurons: ")[1].split(" ")[0])
    smaller = estimate(network, images, spec.model_copy(update={"neurons": neurons}))
    assert smaller.bytes <= 0.6 * expected.bytes
    check_budget(expected, network, images, spec, tmp_path, expected.bytes)


@pytest.mark.parametrize(
    "spec", [{}, {"neurons": 4, "steps": 50}, {"keep": "moments"}, {"keep": "spikes-only"}, {"dtype": "float16"}]
)
def test_bytes_are_predicted(network: Network, images: Split, tmp_path: Path, spec: dict[str, Any]) -> None:
    expected = estimate(network, images, RecordingSpec(shard_samples=9, **spec))
    record(network, images, tmp_path / "r", shard_samples=9, **spec)
    written = sum(file.stat().st_size for file in (tmp_path / "r" / "shards").glob("*.h5"))
    assert abs(expected.bytes - written) < 0.05 * written


def test_what_cannot_be_analysed_is_said_so(network: Network, images: Split, tmp_path: Path) -> None:
    from eiplatform.statistics import summarise

    tree = record(network, images, tmp_path / "r", keep="moments")
    with pytest.raises(StatisticError, match="reduced while it was recorded.*keep: raw"):
        summarise(tree)
    told = eiplatform.info(tmp_path / "r").populations["fc1/E"]
    spikes = record(network, images, tmp_path / "s", keep="spikes-only")["fc1/E"].ds["spikes"].values
    assert told.rate == f"{spikes.mean():.3f} per step"
