"""The analyses over seeds find what was planted, and nothing where nothing was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import eiplatform
from eiplatform.analyses import Result
from eiplatform.analyses.balance_emergence import BalanceEmergence
from eiplatform.analyses.ei_versus_bn import EIVersusBN
from eiplatform.analyses.parts.running import analyse
from eiplatform.errors import ConfigError, StatisticError
from eiplatform.store.references import reference_file
from tests.conftest import write_network, write_series

KEYS = ["ei_ratio", "balance_index", "ei_correlation_samples", "ei_correlation_samples_excess"]
CORTEX = [reference_file("brunel-2000-C"), reference_file("potjans-diesmann-2014-10")]
Results = tuple[xr.Dataset, dict[str, list[Path]]]


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """E-I networks whose E/I ratio rises from 1.1 to 1.5, and plain ones that do not change."""
    place = tmp_path_factory.mktemp("kinds")
    found: dict[str, list[Path]] = {"trained": [], "untrained": []}
    for layer_type, after in (("ei", 1.5), ("none", 1.1)):
        for number in (1, 2, 3, 4):
            for index, (state, ratio) in enumerate((("trained", after), ("untrained", 1.1))):
                path = place / f"{state}-{layer_type}-{number}"
                seed = 100 * number + 10 * index + len(layer_type)
                found[state].append(write_network(path, seed=seed, number=number, ratio=ratio, layer_type=layer_type))
    return EIVersusBN().run(found["trained"], found["untrained"], CORTEX, statistics=KEYS).data, found


def _ratio(path: Path, layer: str) -> float:
    """Return the E/I ratio with numpy alone: geometric mean over neurons."""
    data = eiplatform.open(path)[layer].ds
    exc, inh = (data[name].values.astype(float).mean(axis=(0, 1)) for name in ("current_exc", "current_inh"))
    return float(np.exp(np.log(exc / inh).mean()))


def test_the_planted_change_is_found_where_it_is(kinds: Results) -> None:
    result, paths = kinds
    after, before = ([_ratio(path, "fc1/E") for path in paths[state][:4]] for state in ("trained", "untrained"))
    one = result.sel(layer_type="ei", population="fc1/E", statistic="ei_ratio").isel(setting=0)
    assert float(one["change"]) == pytest.approx(np.mean(np.subtract(after, before)), rel=1e-6)
    assert float(one["change_low"]) < 0.4 < float(one["change_high"]) and float(one["change_q"]) < 0.01
    assert float(one["z"]) > 5 and float(one["change_p_exact"]) == 2 / 2**4
    plain = result.sel(layer_type="none", statistic=["ei_ratio", "balance_index"])
    assert bool(((plain["change_low"] < 0) & (plain["change_high"] > 0)).sel(population=["fc1/E", "fc2/E"]).all())
    contrast = result.sel(of="change", pair="ei - none", population="fc2/E", statistic="ei_ratio").isel(setting=0)
    assert float(contrast["contrast_low"]) > 0.3 and float(contrast["contrast_p_exact"]) == pytest.approx(2 / 70)


def test_a_larger_ratio_is_a_looser_residual(kinds: Results) -> None:
    cells = kinds[0].sel(layer_type="ei", sense="residual", population=["fc1/E", "fc2/E"]).isel(setting=0)
    beta = kinds[0].sel(layer_type="ei", statistic="balance_index", population=["fc1/E", "fc2/E"]).isel(setting=0)
    assert bool((cells["tightness_high"] < 0).all())
    np.testing.assert_allclose(cells["tightness"], -beta["change"], rtol=1e-9)  # both positive throughout
    assert np.isnan(kinds[0]["tightness"].sel(sense="tracking")).all()  # its statistic was not asked for


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """Networks that ran long enough for what can be compared with a circuit."""
    place = tmp_path_factory.mktemp("long")
    found: dict[str, list[Path]] = {"trained": [], "untrained": []}
    for number in (1, 2, 3):
        for index, state in enumerate(found):
            path = place / f"{state}-{number}"
            found[state].append(write_network(path, seed=10 * number + index, number=number, steps=60))
    keys = ["ei_correlation_time", "ei_ratio"]
    return EIVersusBN().run(found["trained"], found["untrained"], CORTEX, statistics=keys).data


def test_distances_are_from_the_shipped_values(long: xr.Dataset) -> None:
    one = long.sel(layer_type="ei", population="fc1/E", statistic="ei_correlation_time", reference="brunel-2000: E")
    one = one.isel(setting=0)
    assert float(one["distance"]) == pytest.approx(float(one["value"]) - float(one["reference_value"]))
    assert float(one["distance_low"]) < float(one["distance"]) < float(one["distance_high"])
    nearer = np.abs(one["seed_null"] - one["reference_value"]) - np.abs(one["seed_value"] - one["reference_value"])
    assert float(one["approach"]) == pytest.approx(float(nearer.mean()))


@pytest.mark.parametrize("key", ["ei_correlation_samples", "ei_ratio"])
def test_what_cannot_be_compared_has_no_distance(kinds: Results, key: str) -> None:
    one = kinds[0].sel(statistic=key)
    assert not bool(one["comparable"]) and bool(one["distance"].isnull().all())


def test_exchanging_trained_and_untrained_turns_every_sign(kinds: Results) -> None:
    result, paths = kinds
    turned = EIVersusBN().run(paths["untrained"], paths["trained"], CORTEX, statistics=KEYS).data
    for name in ("change", "approach", "tightness"):
        np.testing.assert_allclose(turned[name], -result[name], atol=1e-12)
        np.testing.assert_allclose(turned[f"{name}_q"], result[f"{name}_q"])


def test_seeds_under_other_labels_show_nothing(tmp_path: Path) -> None:
    """Where 'trained' and 'untrained' are drawn alike, the rate of p < 0.05 is about that."""
    trees: dict[str, list[Path]] = {"a": [], "b": []}
    for number in range(4):
        for index, name in enumerate(trees):
            trees[name].append(write_network(tmp_path / f"{name}{number}", seed=31 + 7 * number + index, number=number))
    result = EIVersusBN().run(trees["a"], trees["b"]).data
    shown = result["change_q"].values
    assert np.nansum(shown < 0.05) <= 1 and np.isfinite(shown).sum() >= 10


def test_nulls_must_be_of_the_same_networks_and_samples(kinds: Results, tmp_path: Path) -> None:
    _, paths = kinds
    with pytest.raises(ConfigError, match="no null for layers of type none, seed 1"):
        EIVersusBN().run(paths["trained"], paths["untrained"][:4], statistics=KEYS)
    with pytest.raises(StatisticError, match="stands for itself as a null"):
        EIVersusBN().run(paths["trained"], paths["trained"], statistics=KEYS)
    other = write_network(tmp_path / "other", seed=5, number=1, samples=36)
    with pytest.raises(StatisticError, match="the null saw other samples"):
        EIVersusBN().run(paths["trained"][:2], [other, paths["untrained"][1]], statistics=KEYS)
    with pytest.raises(StatisticError, match="one seed gives no interval"):
        EIVersusBN().run(paths["trained"][:1], paths["untrained"][:1], statistics=KEYS)
    with pytest.raises(ConfigError, match="is given twice"):
        EIVersusBN().run([*paths["trained"], _again(tmp_path)], paths["untrained"], statistics=KEYS)


def _again(place: Path) -> Path:
    return write_network(place / "again", seed=77, number=1)


@pytest.fixture(scope="module")
def emergence(tmp_path_factory: pytest.TempPathFactory) -> tuple[xr.Dataset, list[Path]]:
    """Series in which the E/I ratio rises by 0.4 in the first epoch and stays."""
    place = tmp_path_factory.mktemp("series")
    ratios = {0: 1.1, 2: 1.3, 4: 1.5, 8: 1.5}
    series = [write_series(place / f"s{number}", number=number, ratios=ratios) for number in (1, 2, 3)]
    return BalanceEmergence().run(series, CORTEX, statistics=KEYS).data, series


def test_the_planted_course_is_found(emergence: tuple[xr.Dataset, list[Path]]) -> None:
    result, paths = emergence
    assert result["epoch"].values.tolist() == [0.0, 0.5, 1.0, 2.0]
    one = result.sel(population="fc1/E", statistic="ei_ratio").isel(setting=0, layer_type=0)
    known = [[_ratio(path / f"step-{step:08d}", "fc1/E") for step in (0, 2, 4, 8)] for path in paths]
    np.testing.assert_allclose(one["seed_value"], known, rtol=1e-6)
    # Inhibition is the same at all moments, so the change is exactly that of the ratio.
    np.testing.assert_allclose(one["change"].values[1:], [0.2, 0.4, 0.4], atol=1e-3)
    assert np.isnan(one["change"].values[0]) and float(one["half"]) == pytest.approx(0.5, abs=0.01)
    np.testing.assert_allclose(result["accuracy"], 1.0)


def test_a_series_must_be_one_and_have_a_beginning(emergence: tuple[xr.Dataset, list[Path]], tmp_path: Path) -> None:
    _, paths = emergence
    late = write_series(tmp_path / "late", number=4, ratios={4: 1.0, 8: 1.2})
    other = write_series(tmp_path / "other", number=4, ratios={0: 1.0, 8: 1.2})
    with pytest.raises(StatisticError, match=r"untrained network \(epoch 0\) was not recorded"):
        BalanceEmergence().run([*paths, late])
    with pytest.raises(StatisticError, match="seed 4 with layers of type ei was recorded at other moments"):
        BalanceEmergence().run([*paths, other])
    with pytest.raises(ConfigError, match="is given twice"):
        BalanceEmergence().run([*paths, paths[0]])
    with pytest.raises(ConfigError, match="not a series"):
        BalanceEmergence().run([paths[0] / "step-00000000"])
    with pytest.raises(StatisticError, match="one seed"):
        BalanceEmergence().run(paths[:1])
    with pytest.raises(ConfigError, match="no series was given"):
        BalanceEmergence().run([])


def test_by_name_references_stand_among_the_inputs(kinds: Results, emergence: tuple[xr.Dataset, list[Path]]) -> None:
    paths = kinds[1]
    result = analyse("ei_versus_bn", [*paths["trained"], *CORTEX], paths["untrained"], statistics=KEYS).data
    xr.testing.assert_identical(result, kinds[0])
    xr.testing.assert_identical(
        analyse("balance_emergence", [*emergence[1], *CORTEX], statistics=KEYS).data, emergence[0]
    )
    with pytest.raises(ConfigError, match="takes no nulls="):
        analyse("balance_emergence", emergence[1], paths["untrained"])
    with pytest.raises(ConfigError, match="takes no statistics="):
        analyse("traces", paths["trained"], statistics=KEYS)


def test_tables_and_sentences_say_what_the_numbers_say(
    kinds: Results,
    long: xr.Dataset,
    emergence: tuple[xr.Dataset, list[Path]],
    make: Callable[[xr.Dataset], tuple[str, str]],
) -> None:
    text, told = make(kinds[0])
    change = kinds[0]["change"].sel(layer_type="ei", population="fc1/E", statistic="ei_ratio").item()
    assert f"{change:.3f} [" in text and "trained and untrained" in text
    of_kinds = {sentence.split(" (")[0]: sentence for sentence in told.split("\n") if "change of balance" in sentence}
    assert "residual: looser in fc" in of_kinds["E-I layers"] and "residual: looser" not in of_kinds["neither"]
    tests, clear = kinds[0].sel(of="change")["contrast_q"], kinds[0].sel(of="change")["contrast_q"] < 0.05
    assert f"{int(clear.sum())} of {int(tests.notnull().sum())} tests" in told
    n = int(kinds[0]["tightness_n"].max())
    assert f"over {n} seeds, which takes their changes for normal; signs alone cannot give p below" in told
    assert kinds[0]["tightness_p_exact"].min() >= 2 / 2**n
    assert "compared with models of cortex" in make(long)[0]
    text, told = make(emergence[0])
    assert "epoch 0.5" in text and "half of the final change of the E/I ratio is reached" in told


@pytest.fixture
def make() -> Callable[[xr.Dataset], tuple[str, str]]:
    """Return all cells and all sentences of a result."""

    def told(result: xr.Dataset) -> tuple[str, str]:
        tables = Result(result).tables()
        cells = [
            cell for table in tables for cell in (table.title, *table.columns, *(c for r in table.rows for c in r))
        ]
        return "\n".join(cells), "\n".join(Result(result).findings())

    return told
