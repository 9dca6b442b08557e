"""Dose-response curves of lost inhibition: critical doses, distances, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from matplotlib.colors import to_hex

import eiplatform as ei
from eiplatform.analyses import load_result
from eiplatform.analyses.disinhibition import Disinhibition
from eiplatform.analyses.parts.crossing import apart, crossing
from eiplatform.errors import StatisticError, UnknownNameError
from eiplatform.figures import find_figure
from eiplatform.figures.grammar import THEMES
from eiplatform.recording.circuit import circuit_in_memory, record_protocol
from eiplatform.store.memory_writer import MemoryWriter
from eiplatform.study import expand, load_study, run_study
from eiplatform.study.actions import identity
from tests.conftest import circuit_population, layer, readout

DOSES = (0.0, 0.1, 0.2, 0.4)


def circuit(
    dose: float, rates: dict[int, float], label: str = "toy", pathway: str = "I->E", g: float = 5.0, **lesion: object
) -> xr.DataTree:
    """Return a recording of a circuit whose E neurons fire at these rates, by seed."""
    said = {"pathway": pathway, "layers": "*", "kind": "Scale", "dose": dose, "factor": 1 - dose}
    said |= {"parameters": {"w": [g, g * (1 - dose)]}, **lesion}
    source = {"kind": "circuit", "label": label, "name": "toy", "lesions": [said], "theory": {"E/rate": 10.0}}
    source["theory"] |= {"critical_lesion_inh_to_exc": 0.32}
    with MemoryWriter(source=source, config={"w": g * (1 - dose), "n": 8}) as writer:
        for seed, rate in rates.items():
            writer.append({name: population(seed, rate, role=name) for name in ("E", "I")})
    return writer.tree


def population(seed: int, rate: float, role: str) -> xr.Dataset:
    """Return 8 neurons of which all spikes are kept; those of I never fire."""
    template = circuit_population(seed, duration=500.0)
    count = round(rate * 8 * 0.5) if role == "E" else 0
    events = {
        "spike_time": np.linspace(0, 499, count), "spike_neuron": np.arange(count) % 8,
        "spike_sample": np.full(count, seed),
    }  # fmt: skip
    from eiplatform.store.schema import population_dataset

    return population_dataset(
        {name: template[name].values for name in ("current_exc", "current_inh", "current_net")},
        sample=np.array([seed]), time=template["time"].values, neuron=template["neuron"].values, dt=1.0,
        time_units="ms", current_units="mV", n_neurons=8, role=role, events=events,
        attrs={"duration": 500.0, "warmup": 100.0},
    )  # fmt: skip


def network(dose: float, seed: int, right: float, *, control: bool = False) -> xr.DataTree:
    lesion = {"pathway": "I->E subtractive", "layers": "fc*", "dose": dose}
    lesion |= {"control": {"seed": 1}} if control else {}
    source = {"kind": "network", "label": f"dose {dose:g}", "name": "toy", "lesions": [lesion]}
    config = {"seed": seed, "network": {"layer": "ei"}, "dataset": {"name": "digits"}}
    ids = np.arange(30)
    with MemoryWriter(source=source | {"steps": 4}, config=config) as writer:
        exc = layer(ids, seed=seed, ratio=1.6 + 2 * dose)
        writer.append({"fc1/E": exc, "readout/E": readout(ids, correct=right)})
    return writer.tree


def curve(factor: float = 1.0, seeds: tuple[int, ...] = (1, 2), **options: object) -> list[xr.DataTree]:
    """Return a circuit whose rate doubles with every tenth lost, times a factor that differs between seeds."""
    return [
        circuit(d, {s: 20.0 * 2 ** (10 * d * factor * (1 + 0.1 * (s - 1))) for s in seeds}, **options) for d in DOSES
    ]


def test_the_critical_dose_is_where_the_curve_crosses():
    result = Disinhibition().run(curve(seeds=(1,)), times=3.0).data
    one = result.sel(system="toy, I->E")
    assert one["relative"].values == pytest.approx([1, 2, 4, 16])
    # Straight in the logarithm, so that interpolation between doses is exact here.
    expected = {m: np.log2(m) / 10 for m in (1.5, 2.0, 3.0, 5.0, 10.0)}
    found = {float(m): float(one["critical"].sel(multiple=m)) for m in result["multiple"]}
    assert found == pytest.approx(expected, rel=1e-6)
    tried = one.sel(multiple=3.0)
    assert (float(tried["tried_below"]), float(tried["tried_above"])) == (0.1, 0.2)
    assert np.isnan(tried["critical_low"]) and tried["n_seeds"] == 1
    assert float(one["closed_form"]) == 0.32


def test_seeds_give_the_interval():
    result = Disinhibition().run(curve(seeds=(1, 2, 3))).data
    one = result.sel(system="toy, I->E", multiple=2.0)
    values = 0.1 / np.array([1.0, 1.1, 1.2])
    assert float(one["critical"]) == pytest.approx(values.mean(), rel=2e-3)
    half = 4.3027 * values.std(ddof=1) / np.sqrt(3)
    assert float(one["critical_high"] - one["critical"]) == pytest.approx(half, rel=2e-2)


def test_a_curve_that_not_every_seed_crosses_has_no_critical_dose():
    trees = [circuit(d, {1: 20.0 * (1 + 10 * d), 2: 20.0}) for d in DOSES]
    result = Disinhibition().run(trees).data
    one = result.sel(system="toy, I->E", multiple=2.0)
    assert np.isnan(one["critical"]) and float(one["crossed"]) == 0.5
    (finding,) = list(Disinhibition().findings(result))
    assert "only 50 % of the seeds" in finding and "40 %" in finding


def test_distances_are_symmetric_zero_to_itself_and_do_not_move_with_the_dose():
    same, twice = curve(seeds=(1,)), curve(2.0, seeds=(1,), label="steep")
    flat = [circuit(d, {1: 20.0}, label="flat") for d in DOSES]
    result = Disinhibition().run([*same, *twice, *flat]).data
    distance = result["distance"]
    assert np.array_equal(distance.values, distance.values.T) and (np.diag(distance) == 0).all()
    # Doublings 10 d on average over 0 to 0.4: 2.  The steeper curve is clipped at 64 times: 6 of 8 doublings.
    assert float(distance.sel(system="toy, I->E", other="flat, I->E")) == pytest.approx(2.0, rel=1e-6)
    clipped = 2 + (0.2 * (4 + 6) / 2 - 0.2 * 4 / 2 - 0.2 * (2 + 4) / 2) / 0.4
    assert float(distance.sel(system="toy, I->E", other="steep, I->E")) < clipped + 2
    assert float(distance.sel(system="steep, I->E", other="flat, I->E")) == pytest.approx((0.4 + 1.0) / 0.4, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_distance_of_curves_is_the_integral(seed):
    rng = np.random.default_rng(seed)
    x, y = (np.sort(np.r_[0, rng.uniform(0, 1, 4)]) for _ in range(2))
    a, b = rng.normal(size=5), rng.normal(size=5)
    fine = np.linspace(0, min(x[-1], y[-1]), 200_001)
    expected = np.abs(np.interp(fine, x, a) - np.interp(fine, y, b)).mean()
    assert apart(x, a, y, b) == pytest.approx(expected, abs=1e-4)
    assert crossing(x, np.zeros(5), 1.0) == pytest.approx((np.nan,) * 3, nan_ok=True)


def test_strengthened_inhibition_is_part_of_the_curve_and_not_of_the_search():
    trees = [*curve(seeds=(1,)), circuit(-0.5, {1: 80.0})]
    one = Disinhibition().run(trees).data.sel(system="toy, I->E")
    assert float(one["relative"].sel(dose=-0.5)) == 4
    assert float(one["critical"].sel(multiple=2.0)) == pytest.approx(0.1)


def test_networks_of_several_seeds_are_one_system_and_controls_are_left_out():
    trees = [network(d, s, 1 - d) for d in (0.0, 0.5) for s in (1, 2)] + [network(0.5, 1, 0.3, control=True)]
    result = Disinhibition().run(trees, times=1.2).data
    assert result["system"].values.tolist() == ["trained E-I (digits), I->E subtractive in fc*"]
    assert result.attrs["skipped_controls"] == 1
    one = result.isel(system=0)
    assert one["accuracy"].values == pytest.approx([1.0, 0.5])
    for row, seed in enumerate((1, 2)):
        for column, tree in enumerate(trees[row:4:2]):
            assert tree.attrs["config"]["seed"] == seed
            assert float(one["rate"][row, column]) == pytest.approx(float(tree["fc1/E"].ds["spikes"].mean()))
    assert str(one["unit"].item()) == "spikes/step"


@pytest.mark.parametrize(
    ("trees", "words"),
    [
        (lambda: curve()[1:], "lacks the intact network"),
        (lambda: curve()[:1], "has one dose"),
        (lambda: [*curve(), curve()[1]], "two recordings are of dose 0.1"),
        (lambda: [*curve()[:2], circuit(0.3, {1: 50.0, 2: 50.0}, g=6.0)], "differ in more than dose and seed: w"),
        (lambda: [circuit(d, {1: 0.0}) for d in DOSES], "silent"),
        (lambda: [circuit(d, {1: 9.0}, pathway="E->I") for d in DOSES], "carries no inhibition"),
        (lambda: [circuit_in_memory("linear-isn", duration_ms=10.0)], "not made under one lesion"),
        (lambda: [circuit(0.0, {1: 9.0}, kind="Freeze")], "not made under one lesion"),
    ],
)  # fmt: skip
def test_what_is_no_dose_response_is_refused(trees, words):
    with pytest.raises(StatisticError, match=words):
        Disinhibition().run(trees())
    with pytest.raises(StatisticError, match="above 1"):
        Disinhibition().run([], times=1.0)


def test_the_linear_network_from_simulation_to_the_table(tmp_path):
    """Simulated, recorded by a protocol and by interventions, its curve is the closed form's."""
    options = {"duration_ms": 10.0, "warmup_ms": 3000.0}
    doses = [0.0, 0.1, 0.2, 0.24, 0.28, 0.4]
    record_protocol("linear-isn", tmp_path / "lesion", "lesion", target="I->E", levels=doses, **options)
    by_protocol = sorted(path for path in (tmp_path / "lesion").iterdir() if path.is_dir())
    by_hand = [
        circuit_in_memory("linear-isn", interventions=[ei.Scale("I->E", 1 - d)], label="linear-isn", **options)
        for d in doses
    ]
    with pytest.raises(StatisticError, match="two recordings"):
        Disinhibition().run([*by_hand, *by_hand])
    result = Disinhibition().run(by_hand).data
    xr.testing.assert_allclose(Disinhibition().run(by_protocol).data, result, rtol=1e-5)
    one = result.sel(system="linear-isn, I->E")

    def rate(dose):
        w_ei = 2.5 * (1 - dose)
        return (1.7 * 7.5 - w_ei * 0.3) / (-1.5 * 1.7 + w_ei * 1.5)

    stable = one.sel(dose=doses[:5])
    assert stable["relative"].values == pytest.approx([rate(d) / 10 for d in doses[:5]], rel=1e-3)
    assert stable["theory"].values == pytest.approx(stable["relative"].values, rel=1e-3)
    assert np.isnan(one["theory"].sel(dose=0.4)) and float(one["relative"].sel(dose=0.4)) == 64
    assert float(one["closed_form"]) == pytest.approx(0.32)


def test_tables_and_findings_follow_the_numbers():
    trees = [*curve(2.0), *curve(0.8, label="slow"), *curve(0.7, label="both", pathway="I->E+I")]
    result = Disinhibition().run(trees)
    critical, distances = result.tables()
    assert [row[0] for row in critical.rows] == ["toy, I->E", "slow, I->E", "both, I->E+I"]
    assert critical.rows[0][2] == "20.0 Hz" and critical.rows[0][-1] == "32.0"
    assert len(distances.rows) == 3
    *each, summary = result.findings()
    assert [text.split(":")[0] for text in each] == ["toy, I->E", "slow, I->E", "both, I->E+I"]
    assert "2 of 3 systems: slow, I->E, both, I->E+I" in summary
    assert "4.8 % (toy" in summary


def test_the_figure_tells_pathways_and_networks_apart(tmp_path: Path):
    trees = [*curve(2.0), *curve(0.7, pathway="I->E+I"), *[network(d, s, 1 - d) for d in (0, 0.5) for s in (1, 2)]]
    result = Disinhibition().run(trees)
    figure = result.plot()
    rates, critical, accurate = figure.axes
    lines = [line for line in rates.lines if line.get_marker() not in ("None", "")]
    styles = [(to_hex(line.get_color()), line.get_linestyle()) for line in lines]
    assert styles[0][0] == styles[1][0] and [style for _, style in styles] == ["-", "--", "-"]
    assert styles[2][0] == THEMES["paper"]["trained"].lower()
    assert [label.get_text() for label in critical.get_yticklabels()][0] == "toy, I \N{RIGHTWARDS ARROW} E"
    assert accurate.get_ylabel() == "test accuracy"
    alone = Disinhibition().run(curve()).plot()
    assert len(alone.axes) == 2
    caption = find_figure("disinhibition").caption(result.data)
    assert "n = seeds: 2" in caption and "10 to 20 %" in caption


STUDY = {
    "title": "Disinhibition, small",
    "question": "Does the study hold?",
    "axes": {"factor": [1.0, 0.8]},
    "steps": {
        "linear": {
            "kind": "simulate", "over": ["factor"], "circuit": "linear-isn", "label": "linear",
            "interventions": [{"kind": "Scale", "target": "I->E", "factor": "{factor}"}],
            "duration_ms": 10.0, "warmup_ms": 3000.0,
        },
        "curves": {"kind": "analyse", "analysis": "disinhibition", "inputs": ["linear"]},
        "figure": {"kind": "figure", "figure": "disinhibition", "of": "curves"},
    },
}  # fmt: skip


def test_a_study_of_a_lesioned_circuit(tmp_path: Path):
    place = tmp_path / "study.yml"
    place.write_text(yaml.safe_dump(STUDY))
    run_study(expand(load_study(place)), tmp_path / "out", quiet=True)
    result = load_result(tmp_path / "out" / "results" / "curves.nc")
    assert float(result.data["relative"].sel(system="linear, I->E", dose=0.2)) == pytest.approx(1.215 / 0.45, rel=1e-3)
    assert list((tmp_path / "out" / "figures").glob("*.png"))


def test_what_was_simulated_before_there_were_interventions_stays_valid_and_others_are_told_apart(tmp_path: Path):
    step = {"kind": "simulate", "circuit": "linear-isn"}
    ids = []
    for more in ({}, {"interventions": []}, {"interventions": [{"kind": "Scale", "target": "I->E", "factor": 0.5}]}):
        place = tmp_path / "one.yml"
        place.write_text(yaml.safe_dump(STUDY | {"axes": {}, "steps": {"one": step | more}}))
        (one,) = expand(load_study(place)).steps.values()
        ids.append(identity(one, tmp_path))
    assert ids[0] == ids[1] != ids[2]


def test_a_study_says_which_intervention_is_impossible(tmp_path: Path):
    place = tmp_path / "one.yml"
    wrong = {
        "kind": "simulate",
        "circuit": "isn",
        "interventions": [{"kind": "Scale", "target": "I->X", "factor": 0.5}],
    }
    place.write_text(yaml.safe_dump(STUDY | {"axes": {}, "steps": {"one": wrong}}))
    with pytest.raises(UnknownNameError, match=r"I->X"):
        run_study(expand(load_study(place)), tmp_path / "out", quiet=True)
