"""Nulls: what each keeps and what it breaks, and how honest z and rank are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from scipy import stats

import eiplatform
import eiplatform.statistics as ei
from eiplatform.analyses.balance import Balance
from eiplatform.analyses.parts.running import analyse
from eiplatform.cli import main
from eiplatform.config import load_config
from eiplatform.datasets import Split
from eiplatform.errors import ConfigError, StatisticError, UnknownNameError
from eiplatform.networks import build_network, initialise_network, save
from eiplatform.recording.network import record_network
from eiplatform.recording.nulls import Null, ShuffledInputs, parse_null, record_nulls, shuffled_weights, within_sign
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store.schema import population_dataset
from tests.conftest import circuit_population, write_network


def population(seed: int = 0, *, samples: int = 40, steps: int = 80, neurons: int = 9, own: float = 1.0) -> xr.Dataset:
    """Return E and I that share a fluctuation of all neurons and, by `own`, one of each neuron."""
    rng = np.random.default_rng(seed)
    shape = (samples, steps, neurons)
    common, detail = rng.normal(size=(samples, steps, 1)), own * rng.normal(size=shape)
    exc = 10 + common + detail + 0.3 * rng.normal(size=shape)
    inh = 8 + common + detail + 0.3 * rng.normal(size=shape)
    currents = {"current_exc": exc, "current_inh": inh, "current_net": exc - inh}
    return population_dataset(
        {**currents, "gain": inh, "spikes": rng.random(shape) < 0.3},
        sample=np.arange(samples) + 5, time=np.arange(steps), neuron=np.arange(neurons), dt=1.0, time_units="step",
        current_units="1", n_neurons=neurons, role="E",
    )  # fmt: skip


def test_time_shift_moves_every_train_by_its_own_offset_and_keeps_its_values() -> None:
    data = population()
    made = ei.surrogate(data, "shift-time", seed=3)
    before, after = data["current_inh"].values, made["current_inh"].values
    np.testing.assert_array_equal(np.sort(after, axis=1), np.sort(before, axis=1))
    offsets = set()
    for sample in range(4):
        for neuron in range(9):
            moved = [
                k for k in range(80) if np.array_equal(np.roll(before[sample, :, neuron], k), after[sample, :, neuron])
            ]
            assert len(moved) == 1 and 8 <= moved[0] <= 72
            offsets.add(moved[0])
    assert len(offsets) > 20
    np.testing.assert_array_equal(made["current_exc"], data["current_exc"])
    np.testing.assert_allclose(made["current_net"], made["current_exc"] - made["current_inh"])
    assert set(made.data_vars) == {"current_exc", "current_inh", "current_net"}
    assert made.attrs["surrogate"] == "shift-time" and made.attrs["role"] == "E"


def test_another_neuron_gives_its_inhibition_in_all_samples() -> None:
    data = population()
    made = ei.surrogate(data, "shuffle-neurons", seed=1)["current_inh"].values
    before = data["current_inh"].values
    source = [int(np.flatnonzero((before == made[:, :, [i]]).all(axis=(0, 1)))[0]) for i in range(9)]
    assert sorted(source) == list(range(9)) and all(i != j for i, j in enumerate(source))


def test_poisson_keeps_rates_and_breaks_structure() -> None:
    data = population(samples=60, steps=200)
    regular = np.zeros((60, 200, 9), bool)
    regular[:, ::4] = True
    data["spikes"] = data["spikes"].dims, regular
    made = ei.surrogate(data, "poisson", seed=1)
    assert list(made.data_vars) == ["spikes"] and made["spikes"].dtype == bool
    assert float(made["spikes"].mean()) == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / regular.size))
    assert float(data.ei.cv_isi().mean()) == 0.0
    assert float(made.ei.cv_isi().mean()) == pytest.approx(np.sqrt(0.75), abs=0.03)
    assert float(made.ei.fano_factor().mean()) == pytest.approx(0.75, abs=0.05)


def test_poisson_events_match_every_rate() -> None:
    data = circuit_population(3, n_all=40, duration=5000.0)
    made = ei.surrogate(data, "poisson", seed=2)
    before, after = (np.bincount(d["spike_neuron"], minlength=40) for d in (data, made))
    assert abs(after.sum() - before.sum()) < 5 * np.sqrt(before.sum())
    chi = ((after - before) ** 2 / before).sum()
    assert 0.01 < stats.chi2(40).sf(chi) < 0.999 and set(made["spike_sample"].values) == {3}
    assert stats.kstest(made["spike_time"].values / 5000.0, "uniform").pvalue > 1e-3
    assert float(made.ei.lv().mean()) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("kind", ["shift-time", "shuffle-neurons", "poisson"])
def test_a_surrogate_depends_on_seed_and_sample_alone(kind: str) -> None:
    data, name = population(), "spikes" if kind == "poisson" else "current_inh"
    made = ei.surrogate(data, kind, seed=4)[name]
    np.testing.assert_array_equal(ei.surrogate(data, kind, seed=4)[name], made)
    assert not np.array_equal(ei.surrogate(data, kind, seed=5)[name], made)
    some = ei.surrogate(data.isel(sample=[3, 7, 8]), kind, seed=4)[name]
    np.testing.assert_array_equal(some, made.values[[3, 7, 8]])
    np.testing.assert_array_equal(made[2:9:3, 4, 1:5], made.values[2:9:3, 4, 1:5])
    np.testing.assert_array_equal(made[-1], made.values[-1])


def test_each_surrogate_is_the_null_of_its_question() -> None:
    """Detail of neurons survives neither; synchrony survives the shuffling of neurons alone."""
    value = {own: ei.summarise(population(own=own), KEYS, n_bootstrap=5) for own in (0.0, 1.0)}
    z = {
        (own, kind): ei.against_null(value[own], ei.null_from(population(own=own), kind, 19, KEYS))
        for own in value
        for kind in ("shift-time", "shuffle-neurons")
    }
    own, cross = KEYS
    assert z[0.0, "shift-time"]["z"].sel(statistic=own).item() > 20
    assert abs(z[0.0, "shuffle-neurons"]["z"].sel(statistic=own).item()) < 4
    assert z[1.0, "shuffle-neurons"]["z"].sel(statistic=own).item() > 20
    assert z[1.0, "shuffle-neurons"]["null"].sel(statistic=own).item() == pytest.approx(
        value[1.0]["value"].sel(statistic=cross).item(), abs=0.02
    )  # correlation with another neuron's inhibition


KEYS = ["ei_correlation_time", "ei_correlation_time_cross"]


def test_statistics_of_other_signals_are_not_mixed_in() -> None:
    null = ei.null_from(population(), "shift-time", 3, ["rate", "gain", "ei_ratio"])
    assert null["note"].sel(statistic="rate").item() == "not recorded: spikes"
    found = ei.against_null(
        ei.summarise(population(), ["rate", "ei_ratio"], n_bootstrap=5), null.sel(statistic=["rate", "ei_ratio"])
    )
    assert np.isnan(found["z"].sel(statistic="rate").item())
    assert "does not vary" in found["note"].sel(statistic="ei_ratio").item()  # a shift keeps the means


def test_mistakes_with_surrogates_are_named() -> None:
    data = population()
    with pytest.raises(UnknownNameError, match="did you mean 'shift-time'"):
        ei.surrogate(data, "shift-tme")
    with pytest.raises(StatisticError, match="needs spikes"):
        ei.surrogate(data.drop_vars("spikes"), "poisson")
    with pytest.raises(StatisticError, match="more than one neuron"):
        ei.surrogate(data.isel(neuron=[0]), "shuffle-neurons")
    with pytest.raises(StatisticError, match="0 surrogates"):
        ei.null_from(data, "poisson", 0)


def template(values: list[float]) -> list[xr.Dataset]:
    table = ei.summarise(population(samples=2, steps=4), ["rate"], n_bootstrap=2)
    return [table.assign(value=table["value"] * 0 + value) for value in values]


def test_rank_counts_the_value_itself_and_few_nulls_are_told() -> None:
    tables = template([5.0, *range(4)])
    found = ei.against_null(tables[0], ei.summarise_seeds(tables[1:])).squeeze()
    assert found["n_below"].item() == 4 and found["p_rank"].item() == pytest.approx(2 / 5)
    assert {"4", "0.4"} <= set(re.findall(r"[0-9.]*[0-9]", found["note"].item()))
    tables = template([9.5, *range(19)])
    found = ei.against_null(tables[0], ei.summarise_seeds(tables[1:])).squeeze()
    assert found["n_below"].item() == 10 and found["p_rank"].item() == 1.0 and "0.1" in found["note"].item()
    tables = template([9.5, *range(39)])
    found = ei.against_null(tables[0], ei.summarise_seeds(tables[1:])).squeeze()
    assert found["note"].item() == "" and found["q"].item() == pytest.approx(found["p"].item())
    tied = template([1.0, 1.0, 1.0, 2.0])
    assert ei.against_null(tied[0], ei.summarise_seeds(tied[1:]))["p_rank"].item() == 1.0


def test_rank_is_never_below_its_level_under_the_null() -> None:
    """One more draw of the null itself: P(p_rank <= alpha) <= alpha, for a skewed null too."""
    rng = np.random.default_rng(0)
    template_value, template_null = template([0.0])[0], ei.summarise_seeds(template([0.0, 1.0, 2.0]))
    found = []
    for _ in range(200):
        values = rng.exponential(size=20) ** 2
        seeds = xr.DataArray(values[1:, None, None], dims=("seed", "population", "statistic"))
        null = template_null.drop_vars("seed_value").assign(
            value=template_null["value"] * 0 + values[1:].mean(), sd=template_null["sd"] * 0 + values[1:].std(ddof=1),
            n_seeds=template_null["n_seeds"] * 0 + 19, seed_value=seeds,
        )  # fmt: skip
        found.append(
            ei.against_null(template_value.assign(value=template_value["value"] + values[0]), null)["p_rank"].item()
        )
    share = np.mean(np.array(found) <= 0.2)
    assert abs(share - 0.2) < 3 * np.sqrt(0.16 / 200)


# Nulls for which the network runs again.


def network(seed: int, *overrides: str, shape: tuple[int, ...] = (1, 8, 8)):
    config = load_config(None, ["network.hidden=[40,30]", "dataset.name=digits", *overrides])
    net = build_network(config, shape, 10)
    x = torch.rand(64, *shape, generator=torch.Generator().manual_seed(0))
    initialise_network(net, x, torch.Generator().manual_seed(seed))
    return net.eval(), config


def images(n: int = 60, *, seed: int = 0, brightness: bool = True) -> Split:
    """Return independent pixels, whose images differ in brightness or not."""
    rng = np.random.default_rng(seed)
    bright = rng.uniform(0.1, 1.0, (n, 1, 1, 1)) if brightness else 0.55
    return Split((bright * rng.random((n, 1, 8, 8))).astype(np.float32), rng.integers(10, size=n), np.arange(n))


@pytest.mark.parametrize("layer_type", ["ei", "bn", "none"])
def test_shuffled_weights_keep_signs_and_values_and_come_back(layer_type: str) -> None:
    net, _ = network(1, f"network.layer={layer_type}")
    before = {name: values.clone() for name, values in net.state_dict().items()}
    with shuffled_weights(net, 7):
        for name, values in net.state_dict().items():
            old = before[name]
            assert torch.equal(values < 0, old < 0)
            assert torch.equal(values.flatten().sort().values, old.flatten().sort().values)
            assert torch.equal(values, old) == (values.ndim < 2 or name.endswith("weight_inh_out")), name
    assert all(torch.equal(values, before[name]) for name, values in net.state_dict().items())


def test_weights_come_back_after_an_error() -> None:
    net, _ = network(1)
    before = net.named_layers()["fc1"].weight_exc.detach().clone()
    with pytest.raises(RuntimeError), shuffled_weights(net, 1):
        raise RuntimeError
    assert torch.equal(net.named_layers()["fc1"].weight_exc, before)
    torch.testing.assert_close(
        within_sign(torch.tensor([-3.0, 0.0]), np.random.default_rng(0)), torch.tensor([-3.0, 0.0])
    )


def test_shuffled_inputs_keep_brightness_and_do_not_depend_on_company() -> None:
    data = images(20)
    made = ShuffledInputs(data, 3)
    np.testing.assert_array_equal(np.sort(made.images.reshape(20, -1)), np.sort(data.images.reshape(20, -1)))
    assert (made.images != data.images).any(axis=(1, 2, 3)).all()
    index = np.array([7, 2])
    np.testing.assert_array_equal(made.take(index).images, made.images[index])
    np.testing.assert_array_equal(made.take(index).take(np.array([1])).images, made.images[[2]])
    events = Split(
        np.random.default_rng(0).integers(0, 9, (3, 5, 2, 4, 4)), np.zeros(3), np.arange(3), 9, sequence=True
    )
    moved = ShuffledInputs(events, 1)
    np.testing.assert_allclose(moved.images.sum(axis=(2, 3, 4)), events.images.sum(axis=(2, 3, 4)), rtol=1e-6)
    summed = lambda split: np.sort(split.images.sum(axis=1).reshape(3, -1))  # noqa: E731
    np.testing.assert_allclose(summed(moved), summed(events), rtol=1e-6)  # frames alike


def test_nulls_are_recorded_and_told_apart(tmp_path: Path) -> None:
    net, config = network(1)
    data, spec = images(32), RecordingSpec(signals=("current_exc", "current_inh"), shard_samples=16)
    settings = config.model_dump(mode="json")
    trained = record_network(net, data, tmp_path / "trained", spec, config=settings, label="trained")
    before = {name: values.clone() for name, values in net.state_dict().items()}
    found = {
        kind: record_nulls(net, data, tmp_path / kind, Null(kind, 3), spec, config=config, label="trained")
        for kind in ("reinit", "shuffle-weights", "shuffle-inputs")
    }
    assert all(torch.equal(values, before[name]) for name, values in net.state_dict().items())
    for kind, paths in found.items():
        assert [path.name for path in paths] == [f"{kind}-{k}" for k in (1, 2, 3)]
        trees = [eiplatform.open(path) for path in paths]
        assert [tree.attrs["source"]["null"]["kind"] for tree in trees] == [kind] * 3
        assert len({tree.attrs["source"]["weights"] for tree in trees}) == (1 if kind == "shuffle-inputs" else 3)
        values = [tree["fc1/E"].ds["current_exc"].values for tree in (eiplatform.open(trained), *trees)]
        assert len({array.tobytes() for array in values}) == 4
        result = analyse("balance", [trained], [tmp_path / kind], n_bootstrap=5).data
        assert result.attrs["null"] == kind and result.attrs["n_nulls"] == 3
        assert np.isfinite(result["z"].sel(statistic="ei_ratio")).all()
        assert "z rests on 3 nulls" in str(result["null_note"].sel(statistic="ei_ratio").values[0])
    with pytest.raises(StatisticError, match="nulls of several kinds: reinit, shuffle-inputs"):
        Balance().run(trained, [*found["reinit"], *found["shuffle-inputs"]], n_bootstrap=5)


def test_brightness_inflates_the_correlation_and_the_common_mode_explains_it(tmp_path: Path) -> None:
    """Untrained networks: own near 1, residual near 0, and near what independent images give."""
    keys = ["ei_correlation_samples", "ei_correlation_samples_partial"]
    spec = RecordingSpec(populations=("fc1/E",), signals=("current_exc", "current_inh"), shard_samples=200)
    found = {}
    for brightness in (True, False):
        values = []
        for seed in range(3):
            net, config = network(seed, "network.hidden=[60]")
            path = tmp_path / f"{brightness}-{seed}"
            data = images(200, brightness=brightness)
            record_network(net, data, path, spec, config=config.model_dump(mode="json"), label="untrained")
            table = ei.summarise(eiplatform.open(path), keys, n_bootstrap=5).squeeze()
            values.append(table["value"].values)
        found[brightness] = np.array(values)
    assert (found[True][:, 0] > 0.92).all()  # nothing was trained
    n_inh = 15
    assert found[False][:, 0] == pytest.approx(1 / np.sqrt(2 * (1 + 1 / n_inh)), abs=0.06)
    assert np.abs(found[True][:, 1]).max() < 0.1 and np.abs(found[False][:, 1]).max() < 0.1


def test_the_command_records_nulls_and_analyses_against_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, config = network(1, "network.hidden=[12]")
    save(tmp_path / "net.safetensors", net, config)
    options = ["--samples", "30", "--signals", "current_exc", "current_inh"]
    checkpoint = str(tmp_path / "net.safetensors")
    assert main(["record", checkpoint, "--out", str(tmp_path / "rec"), *options]) == 0
    nulls = str(tmp_path / "nulls")
    assert main(["record", checkpoint, "--out", nulls, "--null", "shuffle-inputs:3", *options]) == 0
    labels = [eiplatform.info(path).label for path in (tmp_path / "rec", tmp_path / "nulls" / "shuffle-inputs-1")]
    assert labels == ["rec", "network, shuffle-inputs 1"]
    out = str(tmp_path / "b.nc")
    assert main(["analyse", "balance", str(tmp_path / "rec"), "--null", nulls, "--out", out, "--bootstrap", "9"]) == 0
    assert "3 sets of the same images with shuffled pixels" in capsys.readouterr().out
    more = ["--out", out, "--overwrite", "--bootstrap", "9", "--surrogates", "shuffle-neurons:3", "--interval", "bca"]
    assert main(["analyse", "balance", str(tmp_path / "rec"), *more]) == 0
    assert "surrogates with inhibition of another neuron" in capsys.readouterr().out
    for arguments, says in (
        (["record", checkpoint, "--out", nulls, "--null", "reinit:"], "lacks a count"),
        (["record", checkpoint, "--out", nulls, "--null", "reinit:3", "--resume"], "--resume goes with one recording"),
        (["record", checkpoint, "--out", nulls, "--null", "rinit:3"], "did you mean 'reinit'"),
        (["analyse", "traces", str(tmp_path / "rec"), *more[:-2]], "takes no --surrogates"),
    ):
        assert main(arguments) == 2
        assert says in capsys.readouterr().err.replace("\n", " ")


def test_only_one_kind_of_null_at_a_time(tmp_path: Path) -> None:
    paths = [write_network(tmp_path / str(seed), seed=seed) for seed in range(4)]
    result = (
        Balance()
        .run(paths[0], surrogates="shuffle-neurons:3", n_bootstrap=5, statistics=["ei_correlation_samples"])
        .data
    )
    assert result.attrs["null"] == "shuffle-neurons" and result["n_seeds"].values.ravel().tolist() == [3, 3, 0]
    with pytest.raises(StatisticError, match="several kinds"):
        Balance().run(paths[0], paths[1:], surrogates="shuffle-neurons:3", n_bootstrap=5)
    with pytest.raises(StatisticError, match="count"):
        Balance().run(paths[0], surrogates="poisson:0", n_bootstrap=5)
    with pytest.raises(ConfigError, match="count"):
        parse_null("reinit:0")
