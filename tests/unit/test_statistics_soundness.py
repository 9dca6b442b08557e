"""Silence, firing at every step, shared inhibition: known answers, and what is said beside other statistics."""

import numpy as np
import pytest

import eiplatform.statistics as ei
from eiplatform.errors import NotApplicableError
from eiplatform.recording.wiring import spread_over_sources
from eiplatform.statistics.cautions import CAUTIONS, cautions, kinds_of, over_seeds, ranged
from eiplatform.statistics.population import Population
from eiplatform.store.schema import population_dataset
from tests.unit.test_statistics_labelled import circuit


def recording(**signals):
    samples, steps, neurons = next(iter(signals.values())).shape
    return population_dataset(
        signals, sample=np.arange(samples), time=np.arange(steps), neuron=np.arange(neurons), dt=1.0,
        time_units="step", current_units="1", n_neurons=neurons, role="E", attrs={"inhibitory_weight_cv": 0.003},
    )  # fmt: skip


def spiking(seed=0, samples=12, steps=5, neurons=7):
    rng = np.random.default_rng(seed)
    spikes = rng.random((samples, steps, neurons)) < 0.4
    spikes[:, :, 0] = False
    spikes[:4, :, 1] = True
    return spikes


def test_shares_are_plain_counts():
    spikes = spiking()
    data = recording(spikes=spikes)
    np.testing.assert_allclose(data.ei.silent_share(), (spikes.sum(axis=1) == 0).mean(axis=0))
    np.testing.assert_allclose(data.ei.always_on(), spikes.all(axis=1).mean(axis=0))
    on = sum(spikes[s, :, n].sum() for s in range(12) for n in range(7) if spikes[s, :, n].all())
    assert float(data.ei.always_on(measure="spikes")) == pytest.approx(on / spikes.sum())
    assert np.isnan(recording(spikes=np.zeros_like(spikes)).ei.always_on(measure="spikes"))
    assert data.ei.silent_share()[0] == 1.0


def test_spikes_with_signs_do_not_cancel():
    spikes = spiking(5, samples=40, steps=60).astype(np.int8)
    spikes[:, ::2, 2], spikes[:, 1::2, 2] = 1, -1  # fires at every step, and its sum is 0
    signed = recording(spikes=spikes)
    plain = recording(spikes=np.abs(spikes))
    for measure in ("silent_share", "dead_fraction", "always_on"):
        np.testing.assert_array_equal(getattr(signed.ei, measure)(), getattr(plain.ei, measure)())
    assert [float(found[2]) for found in (signed.ei.silent_share(), signed.ei.dead_fraction())] == [0, 0]
    assert float(signed.ei.always_on()[2]) == pytest.approx(1)
    assert float(signed.ei.always_on(measure="spikes")) == float(plain.ei.always_on(measure="spikes"))
    table = signed.ei.summary(n_bootstrap=2)
    refused = table["statistic"].values[table["value"].isnull().values[0]].tolist()
    assert {"rate", "cv_isi", "fano_factor", "fano_factor_samples", "rate_gini", "saturated_fraction"} <= set(refused)
    assert {"sparseness_population", "sparseness_lifetime", "count_correlation_samples"} <= set(refused)
    assert "signs" in str(table["note"].sel(statistic="rate").item())


def test_weights_are_repetitions():
    spikes, rows = spiking(1), np.array([0, 0, 3, 5, 5, 5])
    weights = np.bincount(rows, minlength=12)[None].astype(float)
    for key in ("silent_share", "always_on_pairs", "always_on_spikes"):
        whole = ei.STATISTICS[key].estimate(Population(recording(spikes=spikes)))
        drawn = ei.STATISTICS[key].estimate(Population(recording(spikes=spikes[rows])))
        np.testing.assert_allclose(whole.kernel.values(weights)[0], drawn.kernel.per_neuron(), rtol=1e-12)


def test_circuits_have_no_steps():
    with pytest.raises(NotApplicableError):
        circuit().ei.always_on()
    assert 0 < float(circuit().ei.silent_share().mean()) < 0.2


@pytest.mark.parametrize("strength", [0.0, 0.1, 1.0])
def test_private_inhibition_has_its_closed_form(strength):
    rng = np.random.default_rng(2)
    shared, own = rng.normal(size=(200, 20, 1)), rng.normal(size=(200, 20, 12))
    scale = rng.gamma(9.0, size=12)
    inh = scale * (30 + shared + strength * own)
    found = recording(current_inh=inh).ei.private_inhibition()
    flat = inh.reshape(-1, 12)
    others = [np.delete(flat, n, axis=1).mean(axis=1) for n in range(12)]
    want = [1 - np.corrcoef(flat[:, n], others[n])[0, 1] ** 2 for n in range(12)]
    np.testing.assert_allclose(found, want, atol=1e-9)
    weights = np.array([(np.delete(scale, n) ** 2).sum() / np.delete(scale, n).sum() ** 2 for n in range(12)])
    closed = 1 - 1 / ((1 + strength**2) * (1 + strength**2 * weights))
    np.testing.assert_allclose(found, closed, atol=0.05)


def test_constant_inhibition_is_excluded():
    inh = np.random.default_rng(0).gamma(2.0, size=(5, 6, 4))
    inh[:, :, 2] = 1.0
    found = recording(current_inh=inh).ei.private_inhibition()
    assert np.isnan(found[2]) and found.attrs["n_excluded"] == 1
    with pytest.raises(NotApplicableError):
        recording(current_inh=inh[:, :, :1]).ei.private_inhibition()


def test_cautions_stand_beside_what_depends_on_them_and_nowhere_else():
    rng = np.random.default_rng(3)
    exc, shared = rng.gamma(3.0, size=(40, 5, 7)), rng.gamma(3.0, size=(40, 5, 1))
    spikes = np.repeat(spiking(4), 4, axis=0)[:40]
    alike = recording(current_exc=exc, current_inh=shared * np.arange(1, 8), spikes=spikes)
    other = recording(current_exc=exc, current_inh=0.5 * exc + shared, spikes=np.ones_like(spikes))
    assert "CV of their weights I->E 0.003" in alike.ei.ei_correlation(pairs="excess").attrs["caution"]
    assert "caution" not in alike.ei.ei_correlation().attrs and "caution" not in alike.ei.ei_ratio().attrs
    assert "caution" not in other.ei.ei_correlation(pairs="excess").attrs
    assert other.ei.rate().attrs["caution"].startswith("100 % of the spikes come from neurons that fire at every step")
    table = alike.ei.summary(n_bootstrap=5)
    for key in table["statistic"].values.tolist():
        said = str(table["caution"].sel(statistic=key).item())
        assert said == cautions(Population(alike), ei.STATISTICS[key]) or not said
        assert ("homogeneous" in said) <= ei.STATISTICS[key].private
        assert ("silent" in said) <= ("spikes" in ei.STATISTICS[key].needs)


def test_limits_decide():
    for caution in CAUTIONS:
        assert caution.holds(caution.limit + 0.001) == caution.above
        assert caution.holds(caution.limit - 0.001) != caution.above
        assert not caution.holds(float("nan"))


def test_spread_of_weights_over_sources():
    assert spread_over_sources(np.full((4, 3), 0.7)) == pytest.approx(0.0, abs=1e-12)
    assert spread_over_sources([[1.0, 3.0], [0.0, 0.0]]) == pytest.approx(0.5)
    assert np.isnan(spread_over_sources(np.ones((4, 1))))


def test_seeds_say_in_how_many_and_how_much():
    few = [recording(spikes=spiking(seed)) for seed in range(3)]
    few.append(recording(spikes=np.ones_like(spiking())))  # never silent, always on
    tables = [data.ei.summary("rate", n_bootstrap=2) for data in few]
    shares = [100 * float(data.ei.always_on(measure="spikes")) for data in few]
    said = str(ei.summarise_seeds(tables)["caution"].item())
    assert f"{min(shares):.3g} to 100 % of the spikes" in said and "in 4 of 4" not in said
    silent = [100 * float(data.ei.silent_share().mean()) for data in few]
    n_silent = sum(share > 25 for share in silent)
    assert (f"in {n_silent} of 4 seeds" in said) == (0 < n_silent < 4)


def test_numbers_of_one_kind_become_a_range():
    assert ranged(["2 % (CV 0.03)", "less than 0.01 % (CV 1e-05)"]) == "less than 0.01 to 2 % (CV 1e-05 to 0.03)"
    assert over_seeds(["", ""]) == "" and over_seeds(["3 % a", ""]) == "in 1 of 2 seeds, 3 % a"
    assert over_seeds(["3 to 5 % a", "4 to 9 % a"]) == "3 to 9 % a"
    assert list(kinds_of("2 % a; in 1 of 2 seeds, 3 % b")) == ["# % a", "in # of # seeds, # % b"]
