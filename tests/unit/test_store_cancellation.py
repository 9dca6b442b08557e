"""A right recording of large currents that almost cancel is taken; a wrong drive beside them is not."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from eiplatform.errors import SumRuleError
from eiplatform.store.schema import population_dataset
from eiplatform.store.sumrules import check_sum_rules


def _layer(wrong: float) -> xr.Dataset:
    """Return float32 signals whose drive was formed before rounding, off by a part `wrong` of the gained currents."""
    rng = np.random.default_rng(0)
    inh = rng.uniform(1, 2, (20, 4, 6))
    exc = inh + rng.normal(0, 1e-3, inh.shape)
    gain, bias = np.full_like(inh, 20.0), np.zeros(6)
    signals = {
        "current_exc": exc,
        "current_inh": inh,
        "current_net": exc.astype(np.float32) - inh.astype(np.float32),
        "gain": gain,
        "drive": gain * (exc - inh) + wrong * gain * (exc + inh),
    }
    return population_dataset(
        {name: values.astype(np.float32) for name, values in signals.items()},
        sample=np.arange(20),
        time=np.arange(4),
        neuron=np.arange(6),
        dt=1.0,
        time_units="step",
        current_units="1",
        n_neurons=6,
        role="E",
        parameters={"bias": bias.astype(np.float32)},
    )


def test_rounding_of_large_currents_is_no_lie() -> None:
    check_sum_rules(_layer(0.0), "fc1/E")
    with pytest.raises(SumRuleError, match="drive = gain x current_net"):
        check_sum_rules(_layer(5e-5), "fc1/E")
