"""Summaries of whole recordings, of seeds, and against a null."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import eiplatform.statistics as ei
from eiplatform.errors import StatisticError, UnknownNameError
from eiplatform.store.schema import population_dataset


def population(seed=0, *, scale=0.5, n_samples=40, n_steps=4, n_neurons=8, role="E", graded=False):
    rng = np.random.default_rng(seed)
    shape = (n_samples, n_steps, n_neurons)
    exc = rng.gamma(3.0, size=shape)
    signals = {"current_exc": exc, "current_inh": scale * exc * rng.gamma(20, 0.05, size=shape)}
    signals["gain"], signals["spikes"] = rng.gamma(5.0, 0.2, size=shape), rng.random(shape) < 0.3
    signals["voltage"] = rng.normal(size=shape)
    if graded:
        signals = {"current_exc": exc, "activity": exc}
    return population_dataset(
        signals, sample=np.arange(n_samples), time=np.arange(n_steps), neuron=np.arange(n_neurons), dt=1.0,
        time_units="step", current_units="1", n_neurons=n_neurons, role=role,
    )  # fmt: skip


def recording(seed=0, **options):
    tree = xr.DataTree.from_dict(
        {
            "fc1/E": population(seed, **options),
            "fc1/I": population(seed + 100, role="I", graded=True, n_neurons=3),
            "readout/E": population(seed + 200, n_neurons=4).drop_vars(["gain", "spikes", "voltage"]),
        }
    )
    tree.attrs = {"id": "abc", "complete": True, "problems": ""}
    return tree


def test_table_holds_every_population_and_says_why_a_value_is_missing():
    table = ei.summarise(recording(), n_bootstrap=50)
    assert table["population"].values.tolist() == ["fc1/E", "fc1/I", "readout/E"]
    assert table["statistic"].values.tolist() == list(ei.STATISTICS)
    assert table.attrs["level"] == 0.95 and table.attrs["n_bootstrap"] == 50 and table.attrs["recording_id"] == "abc"
    missing = np.isnan(table["low"])  # a value without an interval says why too
    assert ((table["note"] != "") == missing).all() and missing.where(np.isnan(table["value"]), True).all()
    note = lambda name, key: table["note"].sel(population=name, statistic=key).item()  # noqa: E731
    assert note("fc1/I", "balance_index") == "not recorded: current_inh"
    assert note("readout/E", "rate") == "not recorded: spikes"
    assert "at least 50" in note("fc1/E", "cv_isi")
    present = table.sel(population="fc1/E", statistic="balance_index")
    assert present["low"] < present["value"] < present["high"]
    assert table["units"].sel(population="fc1/E", statistic="rate") == "spikes/step"
    assert table["role"].values.tolist() == ["E", "I", "E"]


def test_values_are_means_of_the_per_neuron_values():
    tree = recording()
    table = ei.summarise(tree, n_bootstrap=10)
    for key in ("balance_index", "ei_correlation_samples_excess", "rate", "gain_cv"):
        expected = float(ei.per_neuron(tree["fc1/E"].ds, key).mean())
        assert float(table["value"].sel(population="fc1/E", statistic=key)) == pytest.approx(expected, rel=1e-12)
    ratio = ei.per_neuron(tree["fc1/E"].ds, "ei_ratio")
    got = float(table["value"].sel(population="fc1/E", statistic="ei_ratio"))
    assert got == pytest.approx(float(np.exp(np.log(ratio).mean())), rel=1e-12)


def test_statistics_that_no_population_supports_are_left_out_unless_asked_for():
    data = population().drop_vars(["gain", "spikes"])
    assert "gain" not in ei.summarise(data, n_bootstrap=5)["statistic"]
    asked = ei.summarise(data, ["gain"], n_bootstrap=5)
    assert asked["note"].item() == "not recorded: gain"


def test_intervals_depend_on_the_seed_but_not_on_company():
    tree = recording()
    every = ei.summarise(tree, n_bootstrap=60, seed=3)
    alone = ei.summarise(tree, "rate", n_bootstrap=60, seed=3, populations="fc1/E")
    for name in ("value", "low", "high"):
        assert alone[name].item() == every[name].sel(population="fc1/E", statistic="rate").item()
    xr.testing.assert_identical(ei.summarise(tree, n_bootstrap=60, seed=3), every)
    other = ei.summarise(tree, ["rate"], n_bootstrap=60, seed=4, populations=["fc1/E"])
    assert other["value"].item() == alone["value"].item() and other["low"].item() != alone["low"].item()


def test_silent_population_is_an_explicit_nan_with_its_count():
    data = population(n_steps=120)
    data["spikes"][:] = False
    table = data.ei.summary(["rate", "cv_isi", "fano_factor"], n_bootstrap=20)
    assert table["value"].sel(statistic="rate").item() == 0.0
    for key in ("cv_isi", "fano_factor"):
        cell = table.sel(statistic=key)
        assert np.isnan(cell["value"].item()) and "no neuron left" in cell["note"].item()
        assert cell["n_used"].item() == 0 and cell["n_excluded"].item() == 8


def test_one_sample_is_noted():
    data = population(n_samples=1, n_steps=200)
    cell = data.ei.summary(["balance_index"], n_bootstrap=50).squeeze()
    assert cell["low"] < cell["value"] < cell["high"]
    assert "neurons only" in cell["note"].item()


def test_without_draws_the_values_are_the_same_and_have_no_interval():
    with_draws, without = (ei.summarise(recording(), n_bootstrap=draws) for draws in (20, 0))
    np.testing.assert_array_equal(with_draws["value"], without["value"])
    assert np.isfinite(with_draws["low"]).any() and not np.isfinite(without["low"]).any()
    seeds = [recording(k) for k in range(3)]
    one, other = (ei.summarise_seeds(seeds, n_bootstrap=draws) for draws in (20, 0))
    for name in ("value", "low", "high", "sd", "caution", "n_seeds"):
        np.testing.assert_array_equal(one[name], other[name])
    with pytest.raises(StatisticError, match="n_bootstrap is 0"):
        ei.summarise_seeds(seeds, interval="bootstrap", n_bootstrap=0)


def test_mistakes_are_named():
    with pytest.raises(UnknownNameError, match="did you mean 'fc1/E'"):
        ei.summarise(recording(), populations=["fc1/e"])
    with pytest.raises(UnknownNameError, match="did you mean 'ei_ratio'"):
        ei.summarise(recording(), ["ei_ration"])
    with pytest.raises(StatisticError, match="no population here"):
        ei.summarise(xr.DataTree())
    broken = recording()
    broken["fc1/E"].ds["current_exc"].values[0, 0, 0] = np.nan
    with pytest.raises(StatisticError, match="fc1/E: signal 'current_exc'"):
        ei.summarise(broken, n_bootstrap=5)


def test_partial_recording_is_said_in_the_summary():
    tree = recording()
    tree.attrs |= {"complete": False, "problems": "shard 00001.h5 is missing"}
    assert ei.summarise(tree, ["rate"], n_bootstrap=5).attrs["recording_problems"] == "shard 00001.h5 is missing"


def test_summary_survives_a_file(tmp_path):
    table = ei.summarise(recording(), n_bootstrap=20)
    table.to_netcdf(tmp_path / "summary.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "summary.nc", engine="h5netcdf") as read:
        np.testing.assert_array_equal(read["value"], table["value"])
        assert read["note"].values.tolist() == table["note"].values.tolist()


def test_seeds_are_combined_with_student_t():
    trees = [recording(seed, scale=0.4 + 0.05 * seed) for seed in range(5)]
    null = ei.summarise_seeds(trees, ["balance_index", "gain"], n_bootstrap=10)
    values = np.array([float(ei.per_neuron(tree["fc1/E"].ds, "balance_index").mean()) for tree in trees])
    cell = null.sel(population="fc1/E", statistic="balance_index")
    assert cell["value"].item() == pytest.approx(values.mean())
    assert cell["sd"].item() == pytest.approx(values.std(ddof=1))
    assert (cell["minimum"].item(), cell["maximum"].item()) == pytest.approx((values.min(), values.max()))
    low, high = stats.t.interval(0.95, 4, loc=values.mean(), scale=values.std(ddof=1) / np.sqrt(5))
    assert (cell["low"].item(), cell["high"].item()) == pytest.approx((low, high))
    np.testing.assert_allclose(cell["seed_value"], values)
    assert cell["n_seeds"].item() == 5
    absent = null.sel(population="readout/E", statistic="gain")
    assert absent["n_seeds"].item() == 0 and absent["note"].item() == "not recorded: gain"


def test_an_interval_over_seeds_stays_within_what_the_statistic_can_be():
    trees = [recording(seed, scale=scale) for seed, scale in enumerate((0.05, 1.0))]
    ratio = ei.summarise_seeds(trees, ["ei_ratio"], n_bootstrap=10).sel(population="fc1/E").squeeze()
    half = stats.t.ppf(0.975, 1) * ratio["sd"].item() / np.sqrt(2)
    assert ratio["value"].item() < half  # two seeds, far apart: Student t alone would go below 0
    assert ratio["low"].item() == 0 and ratio["high"].item() == pytest.approx(ratio["value"].item() + half)


def test_seeds_from_summaries_equal_seeds_from_recordings():
    trees = [recording(seed) for seed in range(3)]
    tables = [ei.summarise(tree, n_bootstrap=40, keep_draws=True) for tree in trees]
    for interval in ("t", "bootstrap"):
        direct = ei.summarise_seeds(trees, ["rate", "ei_ratio"], n_bootstrap=40, interval=interval)
        xr.testing.assert_identical(
            ei.summarise_seeds(tables, ["rate", "ei_ratio"], n_bootstrap=40, interval=interval), direct
        )
        assert (direct["low"].sel(population="fc1/E") < direct["value"].sel(population="fc1/E")).all()


def test_bootstrap_over_seeds_sees_the_spread_of_seeds():
    trees = [recording(seed, scale=0.2 + 0.05 * seed) for seed in range(12)]
    cell = ei.summarise_seeds(trees, ["balance_index"], interval="bootstrap", n_bootstrap=400).sel(population="fc1/E")
    width = (cell["high"] - cell["low"]).item()
    assert width == pytest.approx(2 * 1.96 * cell["seed_value"].std("seed").item() / np.sqrt(12), rel=0.25)


def test_one_seed_has_no_interval_over_seeds():
    cell = ei.summarise_seeds([recording()], ["rate"], n_bootstrap=5).sel(population="fc1/E").squeeze()
    assert np.isfinite(cell["value"]) and np.isnan(cell["low"]) and "one seed" in cell["note"].item()


def test_mistakes_with_seeds_are_named():
    with pytest.raises(StatisticError, match="no seed"):
        ei.summarise_seeds([])
    with pytest.raises(StatisticError, match="keep_draws=True"):
        ei.summarise_seeds([ei.summarise(recording(), n_bootstrap=5)], interval="bootstrap")
    with pytest.raises(StatisticError, match="differ in their populations"):
        ei.summarise_seeds([recording(), population()], ["rate"], n_bootstrap=5)
    with pytest.raises(UnknownNameError, match="interval"):
        ei.summarise_seeds([recording()], interval="normal")
    twice = ei.summarise(recording(), n_bootstrap=5)
    with pytest.raises(StatisticError, match="more than one seed"):
        ei.summarise_seeds([twice, twice])
    with pytest.raises(StatisticError, match="not of several seeds"):
        ei.against_null(twice, [twice])


def test_one_draw_has_no_interval():
    one, two = (ei.summarise(recording(), ["rate"], n_bootstrap=n) for n in (1, 2))
    assert np.isfinite(one["value"]).any() and np.isnan(one["low"]).all() and np.isnan(one["high"]).all()
    np.testing.assert_array_equal(two["low"] < two["high"], np.isfinite(one["value"]))


def test_z_against_the_null():
    trees = [recording(seed, scale=0.5) for seed in range(4)]
    null = ei.summarise_seeds(trees, n_bootstrap=5)
    trained = ei.summarise(recording(50, scale=0.9), n_bootstrap=5)
    found = ei.against_null(trained, null)
    cell = found.sel(population="fc1/E", statistic="balance_index")
    seeds = null["seed_value"].sel(population="fc1/E", statistic="balance_index").values
    value = trained["value"].sel(population="fc1/E", statistic="balance_index").item()
    z = (value - seeds.mean()) / (seeds.std(ddof=1) * np.sqrt(1.25))
    assert cell["z"].item() == pytest.approx(z) and z < -5
    assert cell["p"].item() == pytest.approx(2 * stats.t.sf(abs(z), 3))
    assert cell["difference"].item() == pytest.approx(value - seeds.mean())
    assert found["note"].sel(population="fc1/I", statistic="rate").item() == "not recorded: spikes"


def test_z_is_calibrated():
    """One more seed of the null itself is as far as Student's t says."""
    rng = np.random.default_rng(0)
    template = ei.summarise(population(), ["rate"], n_bootstrap=2)
    many = template.isel(population=np.zeros(300, dtype=int)).assign_coords(population=[f"p{k}" for k in range(300)])
    tables = [many.assign(value=(many["value"].dims, rng.normal(size=many["value"].shape))) for _ in range(5)]
    values = ei.against_null(tables[0], ei.summarise_seeds(tables[1:]))["p"].values.ravel()
    assert len(values) == 300 and stats.kstest(values, "uniform").pvalue > 0.01


def test_null_without_spread_or_with_too_few_seeds_has_no_z():
    same = ei.summarise_seeds([recording() for _ in range(3)], ["rate"], n_bootstrap=5)
    trained = ei.summarise(recording(9), ["rate"], n_bootstrap=5)
    cell = ei.against_null(trained, same).sel(population="fc1/E").squeeze()
    assert np.isnan(cell["z"]) and "does not vary" in cell["note"].item() and np.isfinite(cell["difference"])
    two = ei.summarise_seeds([recording(1), recording(2)], ["rate"], n_bootstrap=5)
    cell = ei.against_null(trained, two).sel(population="fc1/E").squeeze()
    assert np.isnan(cell["z"]) and "at least 3" in cell["note"].item()
    with pytest.raises(StatisticError, match="lacks the statistic"):
        ei.against_null(ei.summarise(recording(), ["gain"], n_bootstrap=5), same)
    with pytest.raises(StatisticError, match="not of several seeds"):
        ei.against_null(trained, trained)


def test_a_recording_of_every_second_step_is_summarised_but_for_what_needs_them_all():
    rng = np.random.default_rng(0)
    data = population_dataset(
        {"spikes": rng.random((3, 60, 5)) < 0.3}, sample=np.arange(3), time=2 * np.arange(60), neuron=np.arange(5),
        dt=2.0, time_units="step", current_units="1", n_neurons=5, role="E",
    )  # fmt: skip
    table = ei.summarise(data, ["rate", "cv_isi"], n_bootstrap=20).isel(population=0)
    rate, irregularity = (table.sel(statistic=key) for key in ("rate", "cv_isi"))
    assert float(rate["value"]) == pytest.approx(data["spikes"].values.mean())
    assert np.isnan(irregularity["value"]) and "every 2 steps" in irregularity["note"].item()
