"""Making the summaries that ship: what is kept of a long case."""

from functools import partial

import pytest
import xarray as xr

from eiplatform import reference
from eiplatform.errors import StoreError
from eiplatform.microcircuits import simulate

TINY = {"n_exc": 80, "n_inh": 20, "c_exc": 20, "c_inh": 5, "c_ext": 20, "j_mv": 1.0, "g": 4.0, "dt_ms": 0.5}


@pytest.mark.usefixtures("simulated_once")
def test_a_case_that_was_stopped_goes_on_after_the_seeds_that_are_kept(monkeypatch, tmp_path):
    asked = []

    def run(circuit, *, seeds, **options):
        asked.append(list(seeds))
        return simulate(circuit, seeds=seeds, device="numpy", **options)

    monkeypatch.setattr(reference, "simulate", run)
    case = partial(reference.Case, "brunel-2000", duration_ms=600.0, warmup_ms=0.0, parameters=TINY)
    keep, name = tmp_path / "keep", "brunel-2000-C"
    whole = reference.write(name, case(seeds=3), tmp_path / "whole", keep=keep).read_bytes()
    (keep / f"{name}-2.nc").unlink()
    resumed = reference.write(name, case(seeds=3), tmp_path / "resumed", keep=keep)
    assert asked == [[1, 2, 3], [2]]
    with (
        reference.read_reference(resumed) as again,
        reference.read_reference(tmp_path / "whole" / f"{name}.nc") as once,
    ):
        assert again.identical(once)
        assert again.attrs["n_seeds"] == 3
        assert again.frequency.attrs["units"] == "Hz"
        assert float(again.rate.sel(over_seeds="std").min()) > 0
    assert len(whole) > 10_000
    with pytest.raises(StoreError, match="other parameters.*--keep"):
        reference.write(name, case(parameters={**TINY, "g": 5.0}, seeds=3), tmp_path / "other", keep=keep)


def test_a_rate_over_two_seeds_ends_at_0_and_a_mean_current_does_not():
    runs = [xr.Dataset({name: ("population", [value]) for name in ("rate", "current_net")}) for value in (0.1, 5.0)]
    found = reference.over_seeds(runs).isel(population=0)
    assert found.rate.sel(over_seeds="low") == 0
    assert found.current_net.sel(over_seeds="low") < 0
    assert found.rate.sel(over_seeds="high") == found.current_net.sel(over_seeds="high")
