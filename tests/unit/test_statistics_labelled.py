"""Labelled functions, accessor, registry: attributes, counts, errors, documentation."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import eiplatform.statistics as ei
from eiplatform.errors import StatisticError, TooShortError, UnknownNameError
from eiplatform.statistics.population import Population
from eiplatform.statistics.stubs import own
from eiplatform.store.events import bare, tie
from eiplatform.store.schema import SIGNALS, population_dataset

DOCS = Path(__file__).parents[2] / "docs" / "statistics"


def network(n_samples=40, n_steps=4, n_neurons=6, *, seed=0, role="E", **signals):
    rng = np.random.default_rng(seed)
    shape = (n_samples, n_steps, n_neurons)
    made = signals or {
        "current_exc": rng.gamma(3.0, size=shape).astype(np.float32),
        "current_inh": rng.gamma(2.0, size=shape).astype(np.float32),
        "gain": rng.gamma(5.0, 0.2, size=shape).astype(np.float32),
        "voltage": rng.normal(size=shape).astype(np.float32),
        "spikes": rng.random(shape) < 0.3,
        "drive": rng.normal(0.4, 0.2, size=shape).astype(np.float32),
    }
    return population_dataset(
        made, sample=100 + np.arange(n_samples), time=np.arange(n_steps), neuron=10 + np.arange(n_neurons),
        dt=1.0, time_units="step", current_units="1", n_neurons=64, role=role,
        sample_coords={"label": np.arange(n_samples) % 7},
        attrs={"threshold": 1.0, "membrane_decay": 0.5, "reset": "soft"},
    )  # fmt: skip


def circuit(n_samples=3, n_time=200, n_recorded=5, n_neurons=20, *, seed=0, n_spikes=6000, ids=(7, 8, 9)):
    rng = np.random.default_rng(seed)
    exc = rng.gamma(3.0, size=(n_samples, n_time, n_recorded))
    events = {
        "spike_time": rng.uniform(0, n_time, n_spikes),
        "spike_neuron": rng.integers(0, n_neurons - 1, n_spikes),  # the last neuron is silent
        "spike_sample": rng.choice(ids, n_spikes),
    }
    return population_dataset(
        {"current_exc": exc, "current_inh": 0.8 * exc}, sample=np.array(ids), time=np.arange(n_time) * 1.0,
        neuron=np.arange(n_recorded), dt=1.0, time_units="ms", current_units="mV", n_neurons=n_neurons, role="E",
        events=events, attrs={"duration": float(n_time)},
    )  # fmt: skip


def test_balance_identity_and_attributes():
    data = network()
    ratio, index = data.ei.ei_ratio(), data.ei.balance_index()
    np.testing.assert_allclose(index, 1 - 1 / ratio, rtol=1e-12)
    mean_exc = data["current_exc"].astype(float).mean(("sample", "time"))
    np.testing.assert_allclose(ratio, mean_exc / data["current_inh"].astype(float).mean(("sample", "time")))
    np.testing.assert_array_equal(ratio["neuron"], data["neuron"])
    for values in (ratio, index):
        assert values.attrs["n"] == 6 and values.attrs["n_excluded"] == 0
        assert values.attrs["units"] == "1" and values.attrs["over"] == "sample and time"
        assert values.attrs["exclusion"] and values.attrs["reference"]


def test_neurons_without_current_are_nan_and_counted():
    data = network()
    data["current_exc"][:, :, 2] = 0.0
    for values in (data.ei.ei_ratio(), data.ei.balance_index(), data.ei.ei_correlation(over="sample")):
        assert np.isnan(values[2]) and np.isfinite(values[[0, 1, 3, 4, 5]]).all()
        assert (values.attrs["n"], values.attrs["n_excluded"]) == (5, 1)


def test_rate_units_and_silent_neurons():
    data, trials = network(), circuit()
    np.testing.assert_allclose(data.ei.rate(), data["spikes"].mean(("sample", "time")))
    assert data.ei.rate().attrs["units"] == "spikes/step"
    rate = trials.ei.rate()
    assert rate.attrs["units"] == "Hz" and rate.sizes["neuron"] == 20  # all neurons, not the 5 recorded
    assert rate[19] == 0.0 and rate.attrs["n_excluded"] == 0
    assert float(rate.mean()) == pytest.approx(6000 / 3 / 20 / 0.2)
    assert np.isnan(trials.ei.cv_isi()[19]) and trials.ei.cv_isi().attrs["n_excluded"] == 1


def test_selecting_samples_selects_their_spikes():
    data = circuit()
    first = data.isel(sample=[1])
    events = data["spike_neuron"].values[data["spike_sample"].values == 8]
    np.testing.assert_allclose(first.ei.rate(), np.bincount(events, minlength=20) / 0.2)


def test_events_find_their_sample_whatever_the_order_of_ids():
    data = circuit(ids=(9, 7, 8))
    expected = [(data["spike_sample"].values == name).sum() for name in (9, 7, 8)]
    assert len(set(expected)) == 3
    np.testing.assert_array_equal(Population(data).trains.counts.sum(axis=1), expected)


def test_renumbered_samples_keep_their_spikes_and_foreign_ones_are_refused():
    data = circuit()
    np.testing.assert_array_equal(data.assign_coords(sample=[0, 1, 2]).ei.rate(), data.ei.rate())
    with pytest.raises(StatisticError, match="spikes of unknown samples"):
        tie(bare(data).assign_coords(sample=[0, 1, 2])).ei.rate()
    with pytest.raises(StatisticError, match="was not opened by eiplatform") as refused:
        bare(data).ei.rate()  # as xarray alone opens it
    assert "tie" in refused.value.remedy


def test_own_cross_excess_and_over():
    data = circuit(n_time=300)
    own, cross, excess = (data.ei.ei_correlation(over="time", pairs=p) for p in ("own", "cross", "excess"))
    np.testing.assert_allclose(own, 1.0, atol=1e-9)  # inhibition is 0.8 x excitation
    np.testing.assert_allclose(excess, own - cross, atol=1e-12)
    assert own.name == "ei_correlation_time" and own.attrs["interval"] == "1 ms"
    with pytest.raises(UnknownNameError, match="did you mean 'sample'"):
        data.ei.ei_correlation(over="samples")


def test_correlation_over_samples_averages_time_first():
    data = network(n_samples=50)
    got = data.ei.ei_correlation(over="sample")
    exc, inh = (data[name].astype(float).mean("time").values for name in ("current_exc", "current_inh"))
    np.testing.assert_allclose(got, [np.corrcoef(exc[:, n], inh[:, n])[0, 1] for n in range(6)], rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "enough"),
    [
        (lambda d: d.ei.ei_correlation(over="time"), "at least 50\\."),
        (lambda d: d.ei.cv_isi(), "at least 50"),
        (lambda d: d.ei.lv(), "at least 50"),
        (lambda d: d.ei.fano_factor(), "at least 100\\."),
        (lambda d: d.ei.fano_factor(window=7), "at least 70\\."),
        (lambda d: d.isel(sample=slice(29)).ei.ei_correlation(), "at least 30 samples"),
        (lambda d: d.isel(sample=slice(29)).ei.fano_factor(over="sample"), "at least 30 samples"),
    ],
)
def test_too_short_says_how_long_is_enough(call, enough):
    with pytest.raises(TooShortError, match=enough):
        call(network())


def test_just_long_enough_is_enough():
    data = network(n_samples=30, n_steps=50)
    assert np.isfinite(data.ei.ei_correlation(over="time")).all()
    assert np.isfinite(data.ei.ei_correlation(over="sample")).all()
    assert np.isfinite(data.ei.fano_factor(window=5)).all()
    assert circuit(n_time=500).ei.fano_factor().attrs["window"] == "50 ms"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("signal", ["current_exc", "current_inh", "gain"])
def test_nan_in_a_signal_is_an_error_that_names_it(signal, bad):
    data = network()
    data[signal][3, 2, 1] = bad
    with pytest.raises(StatisticError, match=f"'{signal}' has 1 values that are NaN"):
        data.ei.gain() if signal == "gain" else data.ei.balance_index()
    with pytest.raises(StatisticError, match=f"E: signal '{signal}'"):
        data.ei.summary(n_bootstrap=2)


def test_missing_signal_names_what_the_population_has():
    shape = (3, 4, 2)
    graded = network(3, 4, 2, role="I", current_exc=np.ones(shape), activity=np.ones(shape))
    with pytest.raises(StatisticError, match=r"needs current_inh.*signals here: current_exc, activity"):
        graded.ei.balance_index()
    with pytest.raises(StatisticError, match="does not spike"):
        graded.ei.rate()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (xr.Dataset(), "not a population"),
        (network().isel(sample=0), r"dimension sample is missing.*isel\(sample=\[0\]\)"),
    ],
)
def test_what_is_no_population_is_refused(data, message):
    with pytest.raises(StatisticError, match=message):
        data.ei.rate()


def test_order_of_dimensions_does_not_matter():
    data = network(n_samples=50)
    for key in ("balance_index", "ei_correlation_samples", "rate", "gain_cv"):
        got = ei.per_neuron(data.transpose("neuron", "time", "sample"), key)
        np.testing.assert_allclose(got, ei.per_neuron(data, key), rtol=1e-6)


def test_gaps_in_time_are_refused():
    data = network(n_steps=120).isel(time=np.r_[0:50, 60:120])
    with pytest.raises(StatisticError, match="evenly spaced"):
        data.ei.ei_correlation(over="time")


def test_spikes_of_every_second_step_have_a_rate_but_no_intervals():
    rng = np.random.default_rng(0)
    data = population_dataset(
        {"spikes": rng.random((2, 120, 3)) < 0.5}, sample=np.arange(2), time=np.arange(0, 240, 2), neuron=np.arange(3),
        dt=2.0, time_units="step", current_units="1", n_neurons=3, role="E",
    )  # fmt: skip
    np.testing.assert_allclose(data.ei.rate(), data["spikes"].mean(("sample", "time")))
    for call in (data.ei.cv_isi, data.ei.lv, data.ei.fano_factor):
        with pytest.raises(StatisticError, match="every 2 steps"):
            call()


def test_gain_and_its_distribution():
    data = network(n_samples=20)
    gain = data["gain"].astype(float)
    np.testing.assert_allclose(data.ei.gain(), gain.mean(("sample", "time")))
    np.testing.assert_allclose(
        data.ei.gain(measure="cv"), gain.std(("sample", "time")) / gain.mean(("sample", "time")), rtol=1e-9
    )
    found = data.ei.gain_distribution(quantiles=(0.5,))
    assert float(found["mean"]) == pytest.approx(float(gain.mean()))
    assert float(found["cv"]) == pytest.approx(float(gain.std() / gain.mean()))
    assert float(found["quantile"].item()) == pytest.approx(float(np.median(gain)))
    assert float(found["sd_neurons"]) == pytest.approx(float(gain.mean(("sample", "time")).std()))
    assert float(found["sd_samples"]) == pytest.approx(float(gain.mean(("neuron", "time")).std()))
    with pytest.raises(StatisticError, match="0 to 1"):
        data.ei.gain_distribution(quantiles=(95,))
    with pytest.raises(UnknownNameError, match="measure of the gain"):
        data.ei.gain(measure="median")


@pytest.mark.parametrize(
    "call",
    [
        lambda d: d.ei.fano_factor(window=0),
        lambda d: d.ei.fano_factor(window=2.5),
        lambda d: d.ei.fano_factor(over="sample", window=5),
        lambda d: d.ei.cv_isi(min_spikes=2),
    ],
)
def test_impossible_options_are_refused(call):
    with pytest.raises(StatisticError, match="valid:"):
        call(network(n_steps=120))


def test_registry_and_per_neuron_agree_with_the_functions():
    data = network(n_samples=40, n_steps=130, n_neurons=101)
    for key, entry in ei.STATISTICS.items():
        assert entry.key == key and set(entry.needs) <= set(SIGNALS)
        assert entry.comparable_reason and entry.reference
        values = ei.per_neuron(data, key)
        assert values.name == key and values.dims == (("neuron",) if entry.level == "neuron" else ())
        assert values.attrs["units"] == entry.units("step")
        assert values.attrs["long_name"] == entry.label
    assert ei.per_neuron(circuit(n_time=500), "rate").attrs["units"] == ei.STATISTICS["rate"].units("ms")
    np.testing.assert_array_equal(ei.per_neuron(data, "fano_factor_samples"), ei.fano_factor(data, over="sample"))
    with pytest.raises(UnknownNameError, match="did you mean 'balance_index'"):
        ei.per_neuron(data, "balance_indx")


def accessor_methods():
    return [cls.name for cls in own()] + ["summary"]


@pytest.mark.parametrize("name", accessor_methods())
def test_every_accessor_method_has_a_page_with_all_parts(name):
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# `{name}`")
    for part in ("## Formula", "## Assumptions", "## When it misleads", "## Paper", "## Example"):
        assert part in text, part
    assert f".ei.{name}(" in text


def test_pages_are_the_accessors_and_the_registry_points_to_them():
    assert {page.stem for page in DOCS.glob("*.md")} - {"index"} == set(accessor_methods())
    assert {entry.name for entry in ei.STATISTICS.values()} <= set(accessor_methods())
    for entry in ei.STATISTICS.values():
        assert (DOCS.parents[1] / entry.page).is_file()
        assert f"`{entry.key}`" in (DOCS / f"{entry.name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", accessor_methods())
def test_examples_of_the_pages_run(name):
    code = re.findall(r"```python\n(.*?)```", (DOCS / f"{name}.md").read_text(encoding="utf-8"), flags=re.S)
    assert code
    for block in code:
        exec(compile(block, f"{name}.md", "exec"), {})


def test_statistics_need_neither_torch_nor_brian2():
    code = "import sys, eiplatform.statistics; print({'torch', 'brian2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
