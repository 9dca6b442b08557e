"""Fresh runs of circuits with seeds of their own, beside the summaries that ship."""

from pathlib import Path

import pytest
import xarray as xr

from eiplatform.microcircuits import simulate
from eiplatform.reference import CASES, shipped, summarise_run
from tests.reference.test_potjans_simulation import inside

# Seconds of a fresh run.  Brunel's states share a program; Potjans-Diesmann is in test_potjans_simulation.
QUICK = {
    "brunel-2000-B": 0.6,
    "brunel-2000-C": 1.0,
    "brunel-2000-D": 2.0,
    "chance-2002": 2.0,
    "feedforward-inhibition": 2.0,
    "isn": 1.0,
    "van-vreeswijk-sompolinsky": 1.0,
    "vogels-abbott-2005-coba": 1.0,
    "vogels-abbott-2005-cuba": 2.0,
}


@pytest.mark.parametrize("name", QUICK)
def test_a_fresh_run_falls_into_the_shipped_band(name):
    case, band, seconds = CASES[name], shipped(name), QUICK[name]
    assert (band.attrs["n_seeds"], band.attrs["duration_ms"]) == (10, 10_000)
    if name.endswith("coba"):  # in some seeds it falls silent: the band is that of the others
        band = alive(band)
    options = {"seeds": (71,), "duration_ms": 1e3 * seconds, "warmup_ms": case.warmup_ms}
    ((_, populations),) = simulate(case.circuit, parameters=case.parameters, **options)
    run = summarise_run(populations)
    # LV is left out: in a shorter run fewer neurons have the spikes that it needs.
    for variable in ("rate", "current_exc", "current_inh", "balance_index"):
        far = inside(run, band, variable, seconds=seconds)
        assert not (far > 4.5).any(), variable
    # Twice as much is outside, somewhere at least.
    assert (inside(run * 2, band, "rate", seconds=seconds) > 4.5).any()


def alive(band):
    """Return mean and standard deviation over the seeds that fired."""
    fired = band["rate_seeds"].max("population") > 0
    assert 5 <= int(fired.sum()) < 10
    parts = {}
    for variable in ("rate", "current_exc", "current_inh", "balance_index"):
        values = band[f"{variable}_seeds"].where(fired)
        parts[variable] = xr.concat([values.mean("seed"), values.std("seed", ddof=1)], dim="over_seeds")
    return xr.Dataset(parts, attrs=band.attrs).assign_coords(over_seeds=["mean", "std"])


def test_what_ships_is_a_case_with_several_seeds():
    files = sorted((Path(__file__).parents[2] / "data" / "reference").glob("*.nc"))
    assert len(files) >= 10
    for file in files:
        summary = shipped(file.stem)  # raises for what is no case
        rate = summary["rate"].transpose("over_seeds", "population")
        assert summary.attrs["n_seeds"] >= (3 if file.stem == "potjans-diesmann-2014-100" else 10)
        assert summary.attrs["duration_ms"] == 10_000
        assert bool((rate.sel(over_seeds="low") < rate.sel(over_seeds="high")).all())
