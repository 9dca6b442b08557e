"""A small made-up population for examples and templates."""

from __future__ import annotations

import numpy as np
import xarray as xr

from eiplatform.store.schema import population_dataset

__all__ = ["example_population"]


def example_population(samples: int = 40, steps: int = 140, neurons: int = 12, *, seed: int = 0) -> xr.Dataset:
    """Return noise that looks like a layer of a trained network: every signal that a statistic needs.

    Inhibition follows excitation one step later, half as large; samples differ in brightness and belong to 8 classes.

    Returns
    -------
    xarray.Dataset, dims (sample, time, neuron)

    Examples
    --------
    >>> example_population(neurons=3).sizes["neuron"]
    3
    """
    rng, shape = np.random.default_rng(seed), (samples, steps, neurons)
    bright = rng.gamma(8.0, 1 / 8, (samples, 1, 1))
    exc = bright * (rng.gamma(2.0, 0.5, (samples, steps, 1)) + rng.gamma(2.0, 0.5, shape))
    inh = 0.5 * np.roll(exc, 1, axis=1) + 0.1 * rng.gamma(2.0, 0.5, shape)
    gain = rng.gamma(20.0, 0.05, shape) / (1 + exc.mean(axis=2, keepdims=True))
    drive, voltage = gain * (exc - inh), np.zeros(shape)
    for step in range(1, steps):
        voltage[:, step] = 0.5 * voltage[:, step - 1] + drive[:, step]
    return population_dataset(
        {
            "current_exc": exc,
            "current_inh": inh,
            "current_net": exc - inh,
            "gain": gain,
            "drive": drive,
            "voltage": voltage,
            "spikes": voltage > 0.7,
        },
        sample=np.arange(samples),
        time=np.arange(steps),
        neuron=np.arange(neurons),
        dt=1.0,
        time_units="step",
        current_units="1",
        n_neurons=neurons,
        role="E",
        sample_coords={"label": np.arange(samples) % 8},
        attrs={"threshold": 1.0, "membrane_decay": 0.5, "reset": "soft"},
    )
