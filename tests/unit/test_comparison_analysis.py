"""The comparison of a network with circuits, shipped summaries and other networks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import eiplatform
import eiplatform.statistics as ei
from eiplatform.analyses import Result
from eiplatform.analyses.balance import Balance
from eiplatform.analyses.comparison import TELLING, Comparison
from eiplatform.analyses.parts import sides
from eiplatform.analyses.parts.cells import VERDICTS, compare_cell, same_samples
from eiplatform.analyses.parts.matching import comparability
from eiplatform.analyses.parts.measured import Measured
from eiplatform.analyses.parts.sides import as_seeds, open_references
from eiplatform.cli import main
from eiplatform.errors import ConfigError, StatisticError, StoreError, UnknownNameError
from eiplatform.figures import find_figure
from eiplatform.figures.forest import NULL
from eiplatform.reference import shipped
from eiplatform.statistics import STATISTICS, kernels, summarise
from eiplatform.statistics.kernels.evidence import Group, Seed, evidence
from eiplatform.statistics.kernels.multiple import benjamini_hochberg
from eiplatform.store.steps import match_time

Write = Callable[..., Path]
FEW = ("ei_ratio", "balance_index", "ei_correlation_time", "rate", "cv_isi", "gain")
FAST = {"n_bootstrap": 60, "seed": 0, "statistics": FEW}


def _measured(values: np.ndarray, *seeds: np.ndarray, n_bootstrap: int = 200, stream: int = 0) -> Measured:
    """Neurons drawn at random, whose values no sample moves: a mean with its normal interval."""
    units = [
        kernels.NeuronValues(lambda w, v=v: np.broadcast_to(v, (len(w), v.size)), 50, v.size) for v in (values, *seeds)
    ]
    options: dict[str, Any] = {"alone": not seeds, "n_bootstrap": n_bootstrap}
    group = Group.of("network", [evidence([unit], [True], stream=stream, **options)[0] for unit in units])
    every = np.concatenate([values, *seeds])
    half = stats.norm.ppf(0.975) * every.std(ddof=1) / np.sqrt(len(every))
    means = np.array([part.mean() for part in (values, *seeds)])
    sd = float(means.std(ddof=1)) if seeds else float("nan")
    centre = float(every.mean())
    ends = centre - half, centre + half
    return Measured(centre, *ends, "1", seeds=(values, *seeds), seed_values=means, sd_seeds=sd, group=group)


def test_effect_and_distance_of_a_shift_are_known() -> None:
    b = np.random.default_rng(0).normal(3, 2, 500)
    cell, _, note = compare_cell(_measured(b + 1.0), _measured(b, stream=1), n_bootstrap=100)
    sd = b.std(ddof=1)
    assert cell["difference"] == pytest.approx(1.0) and cell["effect"] == pytest.approx(1 / sd)
    assert cell["distance"] == pytest.approx(1 / sd) and note == ""
    assert cell["p"] < 1e-6 and cell["p_equivalence"] > 0.3 and cell["dominance"] > 0.2


def test_scores_know_no_unit_and_effects_change_sign() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.gamma(3, size=80), rng.gamma(4, size=90)
    plain, *_ = compare_cell(_measured(a), _measured(b), n_bootstrap=80)
    scaled, *_ = compare_cell(_measured(a), _measured(1000 * b), factor=1000.0, n_bootstrap=80)
    for name in ("effect", "effect_low", "distance", "distance_floor", "dominance", "p", "p_distance", "p_equivalence"):
        assert scaled[name] == pytest.approx(plain[name], rel=1e-5), name
    b = a[::-1] + 0.3  # the same spread on both sides
    one, *_ = compare_cell(_measured(a), _measured(b), n_bootstrap=80)
    other, *_ = compare_cell(_measured(b), _measured(a), n_bootstrap=80)
    for name in ("difference", "effect", "dominance"):
        assert other[name] == pytest.approx(-one[name]), name
    assert other["distance"] == pytest.approx(one["distance"])


def test_halves_of_one_population_are_seldom_called_different() -> None:
    """Tables of ten statistics of two halves: a table with any false verdict at most at the nominal rate."""
    rng = np.random.default_rng(4)
    tables, wrong, same = 30, 0, 0
    for _ in range(tables):
        cells = []
        for _ in range(10):
            values = rng.normal(size=80)
            halves = _measured(values[:40]), _measured(values[40:], stream=1)
            cells.append(compare_cell(*halves, n_bootstrap=2, margin=1.0)[0])
        p = np.array([[cell[name] for cell in cells] for name in ("p", "p_distance")])
        wrong += bool((benjamini_hochberg(p[0]) <= 0.05).any())
        wrong += bool((benjamini_hochberg(p[1]) <= 0.05).any())
        same += int((benjamini_hochberg([cell["p_equivalence"] for cell in cells]) <= 0.05).sum())
    assert stats.binomtest(wrong, 2 * tables, 0.05, alternative="greater").pvalue > 0.001
    assert same > 0.8 * 10 * tables  # with 40 neurons a side and a margin of one spread, sameness is found


def test_nothing_to_standardise_by_is_said() -> None:
    rng = np.random.default_rng(0)
    constant = _measured(np.full(50, 2.0))
    cell, _, note = compare_cell(_measured(rng.normal(2, 1, 40)), constant, n_bootstrap=20)
    assert np.isnan(cell["effect"]) and "no spread over neurons" in note and np.isfinite(cell["difference"])
    alone = Seed(2.0, 50, 1, np.zeros(20), (0.0, 0.0, 0.0))
    single = Measured(2.0, 2.0, 2.0, "1", seeds=(np.array([2.0]),), group=Group.of("network", [alone]))
    cell, _, note = compare_cell(single, single, n_bootstrap=20)
    assert np.isnan(cell["p"]) and "no test" in note


def test_network_beside_network_and_its_seeds(network_recording: Write) -> None:
    own = network_recording("own", samples=6, steps=120, ratio=2.0)
    seeds = [network_recording(f"seed{k}", seed=10 * k + 10, samples=6, steps=120) for k in range(3)]
    result = Comparison().run(own, [seeds], **FAST).data
    assert result["reference"].values.tolist() == ["seed0 and 2 more: fc1/E", "seed0 and 2 more: fc2/E"]
    cell = result.sel(population="fc1/E", reference="seed0 and 2 more: fc1/E", statistic="ei_ratio")
    values = [float(np.exp(np.log(eiplatform.open(path)["fc1/E"].ds.ei.ei_ratio()).mean())) for path in seeds]
    assert float(cell["reference_value"]) == pytest.approx(np.mean(values))
    assert float(cell["effect_seeds"]) == pytest.approx(float(cell["difference"]) / np.std(values, ddof=1))
    assert float(cell["ceiling"]) == pytest.approx(np.ptp(values))
    pairs = [abs(values[0] - values[1]), abs(values[0] - values[2]), abs(values[1] - values[2])]
    assert float(cell["ceiling_effect"]) == pytest.approx(np.mean(pairs) / float(cell["spread"]))
    assert 0 < float(cell["ceiling_distance"]) <= float(cell["ceiling_distance_maximum"])
    assert str(cell["verdict"].item()) == "different" and float(cell["q"]) < 1e-3
    # everything is comparable between networks of one kind, also what has no counterpart in a circuit
    assert bool(result["comparable"].all()) and set(result["verdict"].values.ravel()) <= set(VERDICTS)


def test_the_table_says_which_of_the_two_tests_a_difference_rests_on(network_recording: Write) -> None:
    own = network_recording("own", samples=6, steps=120, ratio=2.0)
    result = Comparison().run(own, [network_recording("other", samples=6, steps=120)], **FAST).data
    assert (result["verdict"] == "different").any()
    for q, q_distance, expected in ((0.9, 0.001, True), (0.001, 0.001, False), (0.001, 0.9, False)):
        result["q"][:], result["q_distance"][:] = q, q_distance
        cells = [cell for table in Result(result).tables() for row in table.rows for cell in row]
        assert any("different" in cell for cell in cells)
        assert any("different (distribution, not mean)" in cell for cell in cells) is expected


def test_nulls_add_a_distance_and_change_nothing_else(network_recording: Write, circuit_recording: Write) -> None:
    own, circuit = network_recording("own", samples=6, steps=120), circuit_recording("circuit")
    nulls = [network_recording(f"null{k}", seed=20 + k, samples=6, steps=120) for k in range(3)]
    without = Comparison().run(own, [circuit], **FAST).data
    found = Comparison().run(own, [circuit], nulls, **FAST).data
    added = {"null_z", "null_z_low", "null_z_high", "null_q"}
    assert set(found.data_vars) - set(without.data_vars) == added
    assert all(found[name].identical(without[name]) for name in without.data_vars)
    keys = found["statistic"].values[found["null_z"].notnull().any("population").values].tolist()
    assert {"ei_ratio", "rate"} <= set(keys) <= set(TELLING)
    balance = Balance().run(own, nulls, **FAST).data.sel(population=found["population"].values, statistic=keys)
    np.testing.assert_array_equal(found["null_z"].sel(statistic=keys).transpose(*balance["z"].dims), balance["z"])
    assert (found["null_z_low"] <= found["null_z"]).where(found["null_z"].notnull(), True).mean() > 0.8
    table = find_figure("forest").table(found)
    null = table[table["reference"] == NULL]
    assert sorted(null["value"]) == sorted(found["null_z"].values[np.isfinite(found["null_z"].values)])
    with pytest.raises(StatisticError, match="the null saw other samples"):
        Comparison().run(own, [circuit], [network_recording("few", seed=9, samples=4, steps=120)], **FAST)


def test_what_one_seed_alone_has_is_compared(network_recording: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    own, *seeds = (network_recording(f"s{k}", seed=k) for k in range(4))
    measured = sides._estimates
    made: list[int] = []

    def lacking(part: xr.Dataset, keys: Any) -> dict[str, Any]:
        made.append(1)
        found = measured(part, keys)
        kept = len(made) <= 2 or len(made) % 3 == 0  # both layers of this side; of the seeds the first
        return found if kept else {key: one for key, one in found.items() if key != "ei_ratio"}

    monkeypatch.setattr(sides, "_estimates", lacking)
    result = Comparison().run(own, [seeds], **FAST | {"statistics": ["ei_ratio", "rate"]}).data
    assert np.isfinite(result["p"].sel(statistic="ei_ratio").values.diagonal()).all()  # the same layers


def test_several_recordings_on_this_side_are_seeds(network_recording: Write) -> None:
    own = [network_recording(f"own{k}", seed=k + 40, samples=6, steps=120) for k in range(3)]
    other = network_recording("other", seed=90, samples=6, steps=120)
    result = Comparison().run(own, [other], **FAST).data
    assert result.attrs["label"] == "own0 and 2 more"
    values = [float(eiplatform.open(path)["fc2/E"].ds.ei.balance_index().mean()) for path in own]
    cell = result.sel(population="fc2/E", statistic="balance_index", reference="other: fc2/E")
    assert float(cell["value"]) == pytest.approx(np.mean(values))


def test_other_samples_and_lengths_are_said(network_recording: Write) -> None:
    own = network_recording("own", samples=6, steps=120)
    result = Comparison().run(own, [network_recording("short", seed=3, samples=7, steps=60)], **FAST).data
    time = result.sel(statistic="ei_correlation_time")
    assert not bool(time["comparable"].any()) and "120 against 60" in str(time["reason"].values[0])
    assert np.isnan(time["difference"]).all() and np.isfinite(time["value"]).all()
    assert "other samples" in str(result["reason"].sel(statistic="ei_ratio").values[0])


def test_shipped_summary_stands_for_its_circuit(network_recording: Write) -> None:
    own = network_recording("own", samples=6, steps=120)
    result = Comparison().run(own, ["potjans-diesmann-2014-10"], **FAST).data
    data = shipped("potjans-diesmann-2014-10").sel(population="L4E")
    reference = "potjans-diesmann-2014-10: L4E"
    rate = result.sel(population="fc1/E", reference=reference, statistic="rate")
    assert float(rate["reference_value"]) == pytest.approx(float(data["rate"].sel(over_seeds="mean")), rel=1e-6)
    assert float(rate["converted"]) == pytest.approx(float(rate["value"]) * 1000 / (10 * np.log(2)))
    edges, share = data["rate_bin"].values + 0.25, data["rate_histogram"].sel(over_seeds="mean").values
    mean = (edges * share).sum() / share.sum()
    assert float(rate["spread"]) == pytest.approx(np.sqrt((share * (edges - mean) ** 2).sum() / share.sum()), rel=2e-3)
    assert "bins of 0.5 Hz" in str(rate["note"].item())
    correlation = result.sel(population="fc1/E", reference=reference, statistic="ei_correlation_time")
    held = data["ei_correlation_time"].sel(over_seeds="mean")  # PD14's membrane halves in 6.9 ms
    assert float(correlation["reference_value"]) == pytest.approx(float(held.sel(interval="step")), rel=1e-6)
    assert bool(correlation["comparable"]) and float(data["interval_ms"].sel(interval="step")) == 7
    every = Comparison().run(own, ["potjans-diesmann-2014-10"], n_bootstrap=10).data
    assert int((every["verdict"] != "not compared").any("population").sel(reference=reference).sum()) >= 16


def test_what_depends_on_size_is_not_tested_beside_a_circuit(
    network_recording: Write, circuit_recording: Write
) -> None:
    own = network_recording("own", samples=6, steps=120, ratio=2.0)
    other = network_recording("other", seed=8, samples=6, steps=120)
    result = (
        Comparison().run(own, [circuit_recording(), other], **FAST).data.sel(statistic=["ei_ratio", "balance_index"])
    )
    circuit = result.sel(reference="circuit: E")
    assert (circuit["verdict"] == "not compared").all() and not circuit["comparable"].any()
    assert np.isfinite(circuit[["value", "reference_value"]].to_dataarray()).all()
    assert np.isnan(circuit[["difference", "p", "q", "effect", "distance", "p_equivalence"]].to_dataarray()).all()
    between = result.sel(reference="other: fc1/E")
    assert (between["verdict"].sel(population="fc1/E") != "not compared").all()
    # Another layer has another in-degree, and so have networks of other sizes.
    assert (between["verdict"].sel(population="fc2/E") == "not compared").all()
    assert all("another layer" in str(note) for note in between["note"].sel(population="fc2/E").values)
    cells = {key: Measured(1.0, 1.0, 1.0, "1") for key in ("balance_index", "ei_correlation_samples")}

    def network(n: int) -> Any:
        facts = {"sizes": {"fc1/E": n}, "dt": 1.0, "n_time": 4, "input": "", "sample": [0], "shown": ()}
        return SimpleNamespace(cells=cells, facts=facts, kind="network")

    for key, other_size, comparable in (
        ("balance_index", 64, True),
        ("balance_index", 128, False),
        ("ei_correlation_samples", 128, True),
    ):
        found = comparability(ei.STATISTICS[key], network(64), network(other_size))
        assert found[0] == comparable and ("in-degree" in found[1]) != comparable


def test_nothing_is_dropped_from_the_tables(network_recording: Write, circuit_recording: Write) -> None:
    own = network_recording("own", samples=6, steps=120)
    result = Comparison().run(own, [circuit_recording(), "brunel-2000-C"], n_bootstrap=30).data
    tables = Result(result).tables()
    for reference in result["reference"].values:
        named = {row[0] for table in tables if table.title.endswith(f"against {reference}") for row in table.rows}
        named |= {
            row[0] for table in tables if table.title.startswith("Not") for row in table.rows if reference in row[3]
        }
        assert named == set(map(str, result["label"].values)), reference
    for table in tables:
        assert all(len(row) == len(table.columns) for row in table.rows)
    left = next(table for table in tables if table.title.startswith("Not"))
    assert all(row[1] for row in left.rows)  # each with a reason
    assert any("Compared with circuit: E" in sentence for sentence in Result(result).findings())


def test_mistakes_are_refused(network_recording: Write, circuit_recording: Write, tmp_path: Path) -> None:
    own, circuit = network_recording("own", samples=6, steps=120), circuit_recording()
    with pytest.raises(StatisticError, match="stands for its own reference"):
        Comparison().run(own, [own], **FAST)
    with pytest.raises(StatisticError, match="the margin is 0"):
        Comparison().run(own, [circuit], margin=0)
    with pytest.raises(UnknownNameError, match="did you mean 'ei_ratio'"):
        Comparison().run(own, [circuit], statistics=["ei_ration"])
    with pytest.raises(UnknownNameError, match="did you mean 'brunel-2000-C'"):
        open_references(["brunel-2000-c"])
    with pytest.raises(StoreError):
        open_references([tmp_path / "nowhere"])
    with pytest.raises(ConfigError, match="seeds are its samples"):
        as_seeds(open_references([circuit]))


def test_command_line_compares(
    network_recording: Write, circuit_recording: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, circuit = network_recording("own", samples=6, steps=120), circuit_recording()
    few = ["--bootstrap", "30", "--only", "ei_ratio", "rate"]
    out = str(tmp_path / "c.nc")
    command = ["compare", str(own), "--to", str(circuit), "brunel-2000-C", "--out", out, *few, "--json"]
    assert main(command) == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    assert [table["title"].split(" against ")[-1] for table in tables] == [
        "circuit: E",
        "brunel-2000-C: E",
        "Not compared, and why",
    ]
    for wrong, says in (
        (["--to", "brunel-2000-X"], "did you mean"),
        (["--to", str(circuit), "--seeds"], "seeds are its samples"),
        (["--to", str(circuit), "--margin", "-1"], "the margin is -1"),
        (["--to", str(tmp_path / "absent")], "does not exist"),
        (["--to", str(own)], "its own reference"),
    ):
        assert main(["compare", str(own), *wrong, "--out", str(tmp_path / "x.nc"), *few]) == 2
        assert re.search(says, capsys.readouterr().err)
    assert not (tmp_path / "x.nc").exists()


def test_interrupted_recordings_compare_when_asked(
    network_recording: Write, circuit_recording: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = network_recording("own", samples=6, steps=120, shards=2)
    (own / "shards" / "00001.h5").unlink()
    command = ["compare", str(own), "--to", str(circuit_recording()), "--bootstrap", "20", "--only", "ei_ratio"]
    assert main([*command, "--out", str(tmp_path / "a.nc")]) == 2
    assert main([*command, "--partial", "--out", str(tmp_path / "a.nc")]) == 3
    assert "PARTIAL: own" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "same"),
    [({}, True), ({"sample": [0, 2]}, False), ({"shown": ("other data",)}, False), ({"input": "bernoulli"}, False)],
)
def test_equal_ids_of_other_data_or_noise_are_other_samples(changes: dict[str, Any], same: bool) -> None:
    facts = {"sample": [0, 1], "shown": ("digits",), "input": "constant"}
    own, other = (SimpleNamespace(kind="network", facts=facts | change) for change in ({}, changes))
    assert same_samples(own, other) is same
    assert not same_samples(own, SimpleNamespace(kind="circuit", facts=facts))


def test_a_circuit_that_does_what_a_network_does_has_the_same_values_in_its_steps() -> None:
    rng = np.random.default_rng(4)
    shape, step = (5, 200, 110), 13.5
    course = np.cumsum(rng.normal(0, 0.1, (5, 200, 1)), axis=1)
    fired = rng.random(shape) < 0.15 * np.exp(np.clip(course, -2, 1))
    exc = 3 + course + rng.normal(0, 0.3, shape)
    inh = np.roll(exc, 2, axis=1) + rng.normal(0, 0.3, shape)
    currents = {"exc": exc - exc.min(), "inh": inh - inh.min()}
    network = eiplatform.from_arrays(**currents, spikes=fired, dt=1, time_units="step")["E"].to_dataset()
    times = [[(np.flatnonzero(train) + rng.random()) * step for train in sample.T] for sample in fired]
    circuit = eiplatform.from_arrays(**currents, spikes=times, dt=step, duration=200 * step)["E"].to_dataset()
    keys = [key for key, entry in STATISTICS.items() if entry.in_steps]
    assert len(keys) == 5
    own, there = (
        summarise(data, keys, n_bootstrap=1)["value"].values[0] for data in (network, match_time(circuit, step))
    )
    factor = [step if STATISTICS[key].by_time else 1.0 for key in keys]
    assert np.isfinite(own).all()
    assert there == pytest.approx(own * factor, rel=1e-9)
    default = summarise(circuit, ["synchrony"], n_bootstrap=1)["value"].item()  # in windows of 3 ms
    assert default != pytest.approx(own[keys.index("synchrony")], rel=1e-3)
