"""The scorecard of all systems holds what was planted, and says of everything else why it is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import eiplatform
from eiplatform.analyses import Result
from eiplatform.analyses.parts.running import analyse
from eiplatform.analyses.systems import Systems, system_of
from eiplatform.errors import ConfigError, StatisticError
from eiplatform.figures import find_figure
from eiplatform.store.references import reference_file
from tests.conftest import write_network

CORTEX = [reference_file("brunel-2000-C"), reference_file("brunel-2000-B")]
KEYS = ["ei_ratio", "balance_index", "ei_correlation_time", "rate", "gain"]
FAST = {"statistics": KEYS, "n_bootstrap": 20}
RATIOS = {"ei": 1.1, "bn": 2.0}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """E-I networks recorded short and long, and networks with batch normalisation recorded short only."""
    place = tmp_path_factory.mktemp("systems")
    found = [
        write_network(
            place / f"{layer_type}-{k}", seed=10 * k, number=k, layer_type=layer_type, ratio=ratio, correct=k / 3
        )
        for layer_type, ratio in RATIOS.items()
        for k in (1, 2, 3)
    ]
    return found + [
        write_network(place / f"long-{k}", seed=7 * k, number=k, steps=60, ratio=1.1, samples=4) for k in (1, 2, 3)
    ]


@pytest.fixture(scope="module")
def result(paths: list[Path]) -> xr.Dataset:
    return Systems().run(paths, CORTEX, **FAST).data


def _ratio(path: Path, layer: str) -> float:
    """Return the E/I ratio with numpy alone: geometric mean over neurons."""
    data = eiplatform.open(path)[layer].ds
    exc, inh = (data[name].values.astype(float).mean(axis=(0, 1)) for name in ("current_exc", "current_inh"))
    return float(np.exp(np.log(exc / inh).mean()))


def test_planted_ratios_stand_at_their_system_and_layer(result: xr.Dataset, paths: list[Path]) -> None:
    assert result["system"].values.tolist() == ["E-I", "BN"]
    assert result["depth"].values.tolist() == ["1", "2", "readout", "hidden"]
    for index, name in enumerate(("E-I", "BN")):
        own = paths[3 * index : 3 * index + 3]
        layers = np.array([[_ratio(path, layer) for layer in ("fc1/E", "fc2/E")] for path in own])
        cells = result.sel(setting="short", system=name, statistic="ei_ratio")
        np.testing.assert_allclose(cells["value"].sel(depth=["1", "2"]), layers.mean(axis=0), rtol=1e-6)
        means = layers.mean(axis=1)
        hidden = cells.sel(depth="hidden")
        half = 4.302652729911275 * means.std(ddof=1) / np.sqrt(3)  # t of two degrees of freedom, from a table
        np.testing.assert_allclose(
            [hidden["value"], hidden["low"], hidden["high"]], means.mean() + np.array([0, -half, half]), rtol=1e-6
        )


def test_findings_say_which_way_systems_lean_and_how_they_differ(result: xr.Dataset) -> None:
    said = Result(result.assign_attrs(analysis="systems")).findings()
    leaning = next(text for text in said if text.startswith("Hidden layers, short"))
    assert "excitation outweighs inhibition in BN and E-I" in leaning and "2 systems" in leaning
    differ = next(text for text in said if text.startswith("Compared with E-I, short"))
    ratio = result["label"].sel(statistic="ei_ratio").item()
    assert f"the {ratio} is higher in BN (by 0.9" in differ and "corrected for" in differ
    assert any(text.startswith("BN: nothing was measured in long") for text in said)
    equal = result.assign(seed_value=result["seed_value"].sel(system="E-I").expand_dims(system=result["system"].values))
    again = Result(equal.assign_attrs(analysis="systems")).findings()
    assert any("no system was found to differ from E-I" in text for text in again)


def test_accuracy_is_the_share_of_samples_classified_right(result: xr.Dataset) -> None:
    one = result.sel(setting="short", system="BN")
    labelled = [round(60 * k / 3) / 60 for k in (1, 2, 3)]
    np.testing.assert_allclose(one["seed_accuracy"], labelled, atol=0.02)
    assert float(one["accuracy"]) == pytest.approx(float(one["seed_accuracy"].mean()))
    assert np.isnan(result["accuracy"].sel(setting="long")).all()  # no readout was recorded


def test_what_is_missing_is_named(result: xr.Dataset) -> None:
    missing = result["note"].where(result["value"].isnull()).values.ravel()
    assert all(text for text in missing if isinstance(text, str))
    absent = result.sel(setting="long", system="BN")
    assert bool(absent["value"].isnull().all()) and set(absent["note"].values.ravel()) == {
        "no long recording of this system"
    }
    assert bool(result["value"].sel(setting="long", system="E-I", statistic="ei_correlation_time", depth="1").notnull())
    assert bool(result["share"].sel(system="BN").isnull().all())
    assert set(result["regime_note"].sel(system="BN", depth=["1", "2"]).values) == {"no long recording with spikes"}


def test_shares_of_regimes_sum_to_one_per_family(result: xr.Dataset) -> None:
    own = result["share"].sel(system="E-I", depth=["1", "2"])
    for family in np.unique(result["family"]):
        total = own.sel(regime=(result["family"] == family).values).sum("regime", skipna=False)
        held = total.values[np.isfinite(total.values)]
        np.testing.assert_allclose(held, 1.0)
    np.testing.assert_allclose(result["tightness"].sel(system="E-I", depth=["1", "2", "hidden"]).sum("residual"), 1.0)
    assert (result["regime_n"].sel(system="E-I") <= 3).all()


def test_the_order_of_the_recordings_does_not_matter(result: xr.Dataset, paths: list[Path]) -> None:
    turned = Systems().run(paths[::-1], CORTEX, **FAST).data
    xr.testing.assert_identical(result.drop_attrs(), turned.drop_attrs())
    assert result.attrs == turned.attrs


def test_systems_are_told_by_their_configuration() -> None:
    def called(**network: object) -> str:
        return system_of({"network": {"layer": "none"} | network})

    assert [called(layer=name) for name in ("ei", "bn", "none", "dann")] == ["E-I", "BN", "plain", "DANN"]
    assert called(neuron={"model": "stl"}) == "STL" and called(neuron={"model": "backei"}) == "BackEISNN"
    assert called(neuron={"max_spikes": 3}) == called(neuron={"negative_spikes": True}) == "circulate-firing"
    assert called(layer="bn", architecture="feedback", feedback={"gradient": "ide"}) == "IDE"
    assert called(layer="ei", architecture="feedback", feedback={"gradient": "spide"}) == "SPIDE, E-I"


def test_what_cannot_stand_side_by_side_is_refused(paths: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="E-I, seed 1, short is given twice"):
        Systems().run([*paths, paths[0]], CORTEX, **FAST)
    with pytest.raises(StatisticError, match="no recording"):
        Systems().run([], CORTEX)
    hurt = write_network(tmp_path / "hurt", lesions=[{"pathway": "I->E subtractive", "layers": "*", "dose": 1.0}])
    with pytest.raises(ConfigError, match="lesioned"):
        Systems().run([hurt], CORTEX, **FAST)


def test_figure_and_tables_show_every_system(result: xr.Dataset, paths: list[Path]) -> None:
    same = analyse("systems", [*paths, *CORTEX], statistics=KEYS, n_bootstrap=20).data
    np.testing.assert_array_equal(same["value"], result["value"])
    table = find_figure("systems").table(result)
    rows = table[(table["group"] == "ei_ratio") & (table["depth"] == "hidden")]
    assert rows["system"].tolist() == ["E-I", "BN"]
    lost = table[table["value"].isna() & (table["group"] != "accuracy")]
    assert len(lost) and lost["note"].astype(bool).all()
    first = next(one for one in Result(result).tables() if "systems" in one.title)
    assert [row[0] for row in first.rows] == ["E-I", "BN", "brunel-2000-C: E", "brunel-2000-B: E"]


def test_one_seed_has_a_value_but_no_interval(paths: list[Path]) -> None:
    cells = Systems().run(paths[:1], CORTEX, **FAST).data.sel(setting="short", system="E-I", statistic="ei_ratio")
    assert float(cells["value"].sel(depth="1")) == pytest.approx(_ratio(paths[0], "fc1/E"), rel=1e-6)
    assert np.isnan(cells["low"]).all() and "one seed" in str(cells["note"].sel(depth="1").item())
