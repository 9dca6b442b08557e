"""Fresh runs of circuits with seeds of their own, beside the summaries that ship."""

from pathlib import Path

import pytest

from eiplatform.microcircuits import simulate
from eiplatform.reference import CASES, shipped, summarise_run
from tests.reference.test_potjans_simulation import inside

SECONDS = 2.0


@pytest.mark.parametrize("name", ["chance-2002", "feedforward-inhibition", "vogels-abbott-2005-cuba"])
def test_a_fresh_run_falls_into_the_shipped_band(name, monkeypatch, tmp_path):
    monkeypatch.setenv("EIPLATFORM_CACHE", str(tmp_path))
    case, band = CASES[name], shipped(name)
    assert (band.attrs["n_seeds"], band.attrs["duration_ms"]) == (10, 10_000)
    options = {"seeds": (71,), "duration_ms": 1e3 * SECONDS, "warmup_ms": case.warmup_ms}
    ((_, populations),) = simulate(case.circuit, parameters=case.parameters, **options)
    run = summarise_run(populations)
    # LV is left out: in a shorter run fewer neurons have the spikes that it needs.
    for variable in ("rate", "current_exc", "current_inh", "balance"):
        far = inside(run, band, variable, seconds=SECONDS)
        assert not (far > 4.5).any(), variable
    # Half as much again is outside, somewhere at least.
    assert (inside(run * 1.5, band, "rate", seconds=SECONDS) > 4.5).any()


def test_what_ships_is_a_case_with_several_seeds():
    files = sorted((Path(__file__).parents[2] / "data" / "reference").glob("*.nc"))
    assert len(files) >= 9
    for file in files:
        summary = shipped(file.stem)  # raises for what is no case
        rate = summary["rate"].transpose("over_seeds", "population")
        assert summary.attrs["n_seeds"] >= 3
        assert bool((rate.sel(over_seeds="low") < rate.sel(over_seeds="high")).all())
