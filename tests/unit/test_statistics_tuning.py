"""Co-tuning of excitation and inhibition to classes."""

import numpy as np
import pytest

import eiplatform.statistics as ei
from eiplatform.errors import NotApplicableError, TooShortError
from eiplatform.statistics import kernels
from eiplatform.store.schema import population_dataset


def recording(exc, inh, **coords):
    samples, steps, neurons = exc.shape
    return population_dataset(
        {"current_exc": exc, "current_inh": inh}, sample=np.arange(samples), time=np.arange(steps),
        neuron=np.arange(neurons), dt=1.0, time_units="step", current_units="1", n_neurons=neurons, role="E",
        sample_coords=coords or None,
    )  # fmt: skip


def labelled_samples(seed, per_class=30, n_classes=8, neurons=12):
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.repeat(np.arange(n_classes), per_class))
    tuning = rng.gamma(2.0, size=(n_classes, neurons))
    exc = 5 + tuning[label] + 0.2 * rng.normal(size=(len(label), neurons))
    return rng, label, tuning, exc


def test_cotuning_is_the_correlation_of_class_means():
    rng, label, tuning, exc = labelled_samples(16)
    inh = 20 + tuning[label] + 3 * rng.normal(size=exc.shape)  # noise within classes hides nothing but the means
    data = recording(exc[:, None], inh[:, None], label=label)
    means = [np.array([x[label == c].mean(axis=0) for c in range(8)]) for x in (exc, inh)]
    own = np.array([np.corrcoef(means[0][:, i], means[1][:, i])[0, 1] for i in range(12)])
    np.testing.assert_allclose(data.ei.ei_cotuning(), own, rtol=1e-9)
    cross = [
        np.mean([np.corrcoef(means[0][:, i], means[1][:, j])[0, 1] for j in range(12) if j != i]) for i in range(12)
    ]
    np.testing.assert_allclose(data.ei.ei_cotuning(pairs="cross"), cross, rtol=1e-9)
    np.testing.assert_allclose(data.ei.ei_cotuning(pairs="excess"), own - cross, rtol=1e-9)
    assert data.ei.ei_cotuning().attrs["n_classes"] == 8


def test_cotuning_under_weights_leaves_out_classes_that_were_not_drawn():
    _, label, tuning, exc = labelled_samples(17, per_class=5)
    inh = np.random.default_rng(1).gamma(2.0, size=exc.shape)
    kernel = kernels.ClassTuning(kernels.CurrentPair(exc, inh), label)
    weights = np.where(label < 6, 1.0, 0.0) * np.arange(1, len(label) + 1)
    means = [
        np.array([np.average(x[label == c], axis=0, weights=weights[label == c]) for c in range(6)]) for x in (exc, inh)
    ]
    want = [np.corrcoef(means[0][:, i], means[1][:, i])[0, 1] for i in range(12)]
    np.testing.assert_allclose(kernel.correlation(weights[None], "own")[0], want, rtol=1e-9)


def test_cotuning_needs_labels_and_classes():
    _, label, _, exc = labelled_samples(18, n_classes=4)
    data = recording(exc[:, None], exc[:, None], label=label)
    with pytest.raises(TooShortError, match="at least 5 classes"):
        data.ei.ei_cotuning()
    with pytest.raises(NotApplicableError, match="label of every sample"):
        recording(exc[:, None], exc[:, None]).ei.ei_cotuning()
    table = ei.summarise(recording(exc[:, None], exc[:, None]), n_bootstrap=5)
    assert "label of every sample" in table["note"].sel(statistic="ei_cotuning").item()


def test_shared_brightness_of_classes_is_cotuning_but_not_excess():
    """A boot is darker than a shirt for every neuron: own and cross are high, what is the neuron's own is nothing."""
    rng = np.random.default_rng(19)
    label = np.repeat(np.arange(10), 20)
    bright = rng.gamma(4.0, size=10)[label][:, None, None]
    exc, inh = (bright + 0.3 * rng.normal(size=(200, 1, 15)) for _ in range(2))
    data = recording(exc, inh, label=label)
    assert float(data.ei.ei_cotuning().mean()) > 0.95
    assert abs(float(data.ei.ei_cotuning(pairs="excess").mean())) < 0.02


def test_interval_of_cotuning_holds_the_truth():
    rng = np.random.default_rng(20)
    label = np.repeat(np.arange(50), 40)
    own = rng.normal(size=(2, 50, 100))
    tuning = own[0], 0.6 * own[0] + 0.8 * own[1]  # correlation 0.6 over classes
    exc, inh = (10 + part[label][:, None] + 0.1 * rng.normal(size=(2000, 1, 100)) for part in tuning)
    table = ei.summarise(recording(exc, inh, label=label), ["ei_cotuning", "ei_cotuning_cross"], n_bootstrap=200)
    low, high = table["low"].values[0], table["high"].values[0]
    assert low[0] < 0.6 < high[0] and high[0] - low[0] < 0.1
    assert low[1] < 0 < high[1]


@pytest.mark.parametrize(("per_class", "held"), [(14, False), (15, True)])
def test_cotuning_to_other_neurons_has_no_interval_with_few_samples_a_class(per_class, held):
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(5), per_class)
    exc = 20 + rng.normal(size=(5, 6))[label] + rng.normal(size=(len(label), 6))
    data = recording(exc[:, None], (0.5 * exc + rng.normal(size=exc.shape))[:, None], label=label)
    table = ei.summarise(data, ["ei_cotuning", "ei_cotuning_cross", "ei_cotuning_excess"], n_bootstrap=50).squeeze()
    assert np.isfinite(table["value"]).all()
    assert np.isfinite(table["low"]).values.tolist() == [True, held, held]
    assert [("no interval" in note) for note in table["note"].values.tolist()] == [False, not held, not held]
