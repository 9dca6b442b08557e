"""Figures draw the numbers of their table, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pytest import MonkeyPatch

from eiplatform.analyses import Result
from eiplatform.analyses.architecture import Architecture
from eiplatform.analyses.balance import Balance
from eiplatform.analyses.balance_across_depth import BalanceAcrossDepth
from eiplatform.analyses.balance_emergence import BalanceEmergence
from eiplatform.analyses.comparison import Comparison
from eiplatform.analyses.correlogram import Correlogram
from eiplatform.analyses.disinhibition import Disinhibition
from eiplatform.analyses.distributions import Distributions
from eiplatform.analyses.ei_versus_bn import EIVersusBN
from eiplatform.analyses.gain_modulation import GainModulation
from eiplatform.analyses.lesion_study import LesionStudy
from eiplatform.analyses.lesions import Lesions
from eiplatform.analyses.neurons import Neurons
from eiplatform.analyses.regime_scorecard import RegimeScorecard
from eiplatform.analyses.spectra import Spectra
from eiplatform.analyses.systems import Systems
from eiplatform.analyses.timescales import Timescales
from eiplatform.analyses.traces import Traces
from eiplatform.analyses.tuning import Tuning
from eiplatform.analyses.weights import Weights
from eiplatform.errors import ConfigError, StatisticError, UnknownNameError
from eiplatform.figures import SavedFigure, figure_names, find_figure, save
from eiplatform.report import findings_of, scorecard
from eiplatform.store.references import reference_file
from tests.conftest import write_circuit, write_network, write_series

FAST = {"n_bootstrap": 30, "seed": 0}
OF_DESIGNS = {"lesion_shapley", "lesion_dissociation", "lesion_recovery"}
"""Figures of other designs of lesion studies than the one below; they have tests of their own."""
DRAWN = [name for name in figure_names() if name not in OF_DESIGNS]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, xr.Dataset]:
    place = tmp_path_factory.mktemp("recordings")
    trained = write_network(place / "trained", ratio=2.0)
    nulls = [write_network(place / f"null{k}", seed=50 + k) for k in range(3)]
    long = write_network(place / "long", samples=6, steps=120)
    circuit = write_circuit(place / "circuit")
    doses = [
        write_network(
            place / f"dose{dose}",
            correct=1 - dose,
            lesions=[{"pathway": "I->E subtractive", "layers": "fc*", "dose": dose}],
            design={"id": "planned", "doses": [0.0, 0.5], "controls": 0},
        )
        for dose in (0.0, 0.5)
    ]
    learning = xr.Dataset(
        {
            **{
                name: ("epoch", [np.nan if name in ("loss", "train_accuracy") else 0.5, 0.6])
                for name in ("loss", "train_accuracy", "validation_loss", "validation_accuracy")
            },
            "rate": (("epoch", "layer"), [[0.1, 0.2], [0.15, 0.25]]),
            "silent": (("epoch", "layer"), np.zeros((2, 2))),
            "test_accuracy": 0.9,
            "test_low": 0.8,
            "test_high": 0.95,
            "n_test": 40,
            "best_epoch": 1,
        },
        coords={"epoch": [0, 1], "layer": ["fc1", "fc2"]},
        attrs={"analysis": "learning", "level": 0.95, "dataset": "toy"},
    )
    kinds = {
        state: [
            write_network(
                place / f"{state}-{layer_type}-{k}",
                seed=k + 9 * len(layer_type),
                ratio=ratio,
                layer_type=layer_type,
                number=k,
            )
            for layer_type in ("ei", "none")
            for k in (1, 2, 3)
        ]
        for state, ratio in (("after", 1.6), ("before", 1.2))
    }
    series = [write_series(place / f"series{k}", number=k, ratios={0: 1.2, 2: 1.4, 8: 1.6}) for k in (1, 2)]
    cortex = [reference_file("brunel-2000-C")]
    return {
        "ei_versus_bn": EIVersusBN().run(kinds["after"], kinds["before"], cortex).data,
        "balance_emergence": BalanceEmergence().run(series, cortex).data,
        "systems": Systems().run([*kinds["after"], long], cortex, **FAST).data,
        "learning": learning,
        "balance": Balance().run(trained, nulls, **FAST).data,
        "distributions": Distributions().run([trained, nulls[0]]).data,
        "traces": Traces().run([long, circuit]).data,
        "architecture": Architecture().run([trained, circuit]).data,
        "neurons": Neurons().run([long, nulls[0], circuit], **FAST).data,
        "correlogram": Correlogram().run([long, circuit], lags=10, **FAST).data,
        "spectra": Spectra().run([long, circuit], segment=40.0).data,
        "tuning": Tuning().run([trained], **FAST).data,
        "weights": Weights().run(_training(place / "training")).data,
        "comparison": Comparison().run(long, [circuit], **FAST).data,
        "lesions": Lesions().run(doses, **FAST).data,
        "disinhibition": Disinhibition().run(doses).data,
        "lesion_study": _lesions(),
        "balance_across_depth": BalanceAcrossDepth().run([trained], nulls, [circuit], **FAST).data,
        "gain_modulation": GainModulation().run([trained], **FAST).data,
        "timescales": Timescales().run([long, circuit], **FAST).data,
        "regime_scorecard": RegimeScorecard().run([long, circuit], **FAST).data,
    }


@pytest.fixture(scope="module")
def pictures(results: dict[str, xr.Dataset], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SavedFigure]:
    """Save a figure, once."""
    place = tmp_path_factory.mktemp("figures")
    return cache(lambda name: save(name, results[find_figure(name).ANALYSIS], place))


def _training(place: Path) -> Path:
    """Write the checkpoints of a training: log-normal weights, and constant ones that no figure draws."""
    from safetensors.numpy import save_file

    place.mkdir()
    random = np.random.default_rng(5)
    for name in ("best", "untrained"):
        tensors = {f"layers.fc{k}.weight_exc": random.lognormal(-2, 1, (20, 30)) for k in (1, 2)}
        save_file(tensors | {"layers.fc1.weight_inh_out": np.full((20, 5), 0.2)}, place / f"{name}.safetensors")
    return place


def _lesions() -> xr.Dataset:
    """Return a lesion study of three networks, two doses of a pathway in two layers and two controls."""
    about = [("intact", 0.0, "", 0.9)]
    for layer, loss in (("fc1", 0.5), ("fc2", 0.2), ("fc3", 0.1)):
        for dose in (0.25, 0.5):
            about += [
                ("lesion", dose, layer, 0.9 - loss * dose),
                ("random", dose, layer, 0.8),
                ("shift", dose, layer, 0.7),
            ]
    random = np.random.default_rng(4)
    correct = np.stack([[random.random(40) < right for *_, right in about] for _ in range(3)]).astype(np.int8)
    layers = np.zeros((3, len(about), 2))
    cells = xr.Dataset(
        {
            "correct": (("network", "cell", "sample"), correct),
            **{name: (("network", "cell", "layer_read"), layers) for name in ("rate", "always_on", "silent")},
        },
        {
            "role": ("cell", [role for role, *_ in about]),
            "dose": ("cell", [dose for _, dose, *_ in about]),
            "layers": ("cell", [layer for _, _, layer, _ in about]),
            "pathway": ("cell", ["I->E subtractive" if layer else "" for _, _, layer, _ in about]),
            "images": ("cell", ["plain"] * len(about)),
            "layer_read": ["fc1", "fc2"],
        },
    )
    told = {"design": "dose-response", "question": "?", "parameters": {}}
    return LesionStudy().from_cells(cells, told, [{}] * 3, [{"fc1": 0.5, "fc2": 0.5}] * 3).data


def _wrapped(results: dict[str, xr.Dataset]) -> dict[str, Result]:
    return {name: Result(data) for name, data in results.items()}


def _drawn(name: str, result: xr.Dataset, table: pd.DataFrame) -> list[float]:
    """Return every number that the axes hold: lines, areas, bars, images, and numbers in words."""
    module = find_figure(name)
    with MonkeyPatch.context() as patch:
        patch.setattr(module, "table", lambda _: table)
        figure = module.draw(result)
    numbers: list[float] = []
    for ax in figure.axes:
        for line in ax.lines:
            numbers += [float(v) for v in np.ravel(line.get_xdata())] + [float(v) for v in np.ravel(line.get_ydata())]
        for image in ax.images:
            numbers += [float(v) for v in np.ravel(image.get_array())]
        for patch in ax.patches:
            if hasattr(patch, "get_data"):
                numbers += [float(v) for v in patch.get_data().values]
            elif hasattr(patch, "get_width"):
                numbers += [patch.get_width(), patch.get_height()]
        for text in ax.texts:
            numbers += [float(found) for found in re.findall(r"\d+(?:\.\d+)?", text.get_text())]
    return numbers


THINNED = {"activity_distributions", "ei_scatter"}
"""Figures that draw a part of their rows: of many neurons evenly spaced ones; those with inhibition too."""


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_draws_its_table(
    results: dict[str, xr.Dataset], pictures: Callable[[str], SavedFigure], name: str
) -> None:
    result = results[find_figure(name).ANALYSIS]
    saved = pictures(name)
    assert saved.png.read_bytes()[:4] == b"\x89PNG" and saved.pdf.read_bytes()[:4] == b"%PDF"
    assert "n = " in saved.caption and saved.question.endswith("?") and saved.alt.endswith(".")
    table = pd.read_csv(saved.csv)
    assert len(table)
    column = "density" if "density" in table else "value"
    drawn = np.array(_drawn(name, result, find_figure(name).table(result)))
    values = table[column].dropna().to_numpy()
    signed = np.concatenate([drawn, -drawn, np.log(drawn[drawn > 0])])  # inhibition is drawn negative
    missing = [value for value in values if not np.isclose(signed, value, rtol=1e-9, atol=1e-12).any()]
    assert missing == [] or (name in THINNED and len(missing) < 0.2 * len(values))


@pytest.mark.parametrize("name", DRAWN)
def test_other_numbers_give_another_figure(results: dict[str, xr.Dataset], name: str) -> None:
    result = results[find_figure(name).ANALYSIS]
    table = find_figure(name).table(result)
    column = "density" if "density" in table else "value"
    changed = table.assign(**{column: table[column] * 2})
    assert _drawn(name, result, table) != _drawn(name, result, changed)


@pytest.mark.parametrize("name", figure_names())
def test_captions_are_short(results: dict[str, xr.Dataset], name: str) -> None:
    result = results[find_figure(name).ANALYSIS]
    if not find_figure(name).table(result).empty:
        assert len(find_figure(name).caption(result).split()) <= 100


def test_a_lesion_is_drawn_without_what_the_network_does_not_have(results: dict[str, xr.Dataset]) -> None:
    """A network of rates has no spikes: no panel is left empty, and the caption says so."""
    module, whole = find_figure("lesion_dose_response"), results["lesions"]
    rates = whole.copy(deep=True)
    for name in ("value", "low", "high"):
        rates[name].loc[{"statistic": "rate"}] = np.nan
    if "control_value" in rates:
        rates["control_value"].loc[{"statistic": "rate"}] = np.nan
    labels = {}
    for result in (whole, rates):
        figure = module.draw(result)
        labels[result is rates] = [ax.get_ylabel() for ax in figure.axes]
        assert all(len(ax.lines) for ax in figure.axes)
    assert labels[False] == list(module.PANELS.values()) and "b to d" in module.caption(whole)
    assert labels[True] == [label for name, label in module.PANELS.items() if name != "rate"]
    assert "b to c" in module.caption(rates) and "has no spikes per neuron and step" in module.caption(rates)
    assert "has no" not in module.caption(whole)


def test_figures_are_chosen_by_analysis(results: dict[str, xr.Dataset], tmp_path: Path) -> None:
    assert Result(results["distributions"]).plots == ["current_distributions"]
    with pytest.raises(UnknownNameError, match="did you mean 'learning_curve'"):
        save("learning_curves", results["learning"], tmp_path)
    with pytest.raises(ConfigError, match="draws the analysis 'balance'"):
        save("balance_across_layers", results["learning"], tmp_path)


def test_scorecard_states_the_numbers_of_the_results(results: dict[str, xr.Dataset]) -> None:
    tables = {table.title: table for table in scorecard(_wrapped(results))}
    row = tables["Balance of 'trained' against its null"].rows[0]
    value = float(results["balance"]["value"].sel(statistic="ei_ratio", population="fc1/E"))
    assert row[0] == "E/I ratio" and row[1].startswith(f"{value:.2f} [") and "null" in row[1]
    left_out = tables["Not compared, and why"].rows
    assert all(reason for _, reason, _, _ in left_out)
    compared = next(table for title, table in tables.items() if title.startswith("'long' against"))
    named = {row[0] for row in compared.rows} | {row[0] for row in left_out}
    assert named == set(map(str, results["comparison"]["label"].values))  # nothing silently dropped


def test_findings_follow_the_numbers(results: dict[str, xr.Dataset]) -> None:
    told = " ".join(findings_of(_wrapped(results)))
    assert "excitation outweighs inhibition in" in told and "inhibition outweighs excitation" not in told
    assert "Removing 50 %" in told
    turned = results | {"lesions": results["lesions"].assign(accuracy_p_holm=results["lesions"]["accuracy"] * 0 + 0.06)}
    assert "No dose of the lesion" in " ".join(findings_of(_wrapped(turned)))


def test_findings_name_the_larger_effect_first_and_count_the_tests(results: dict[str, xr.Dataset]) -> None:
    balance = results["balance"]
    ratio = balance["value"].sel(statistic="ei_ratio")
    first = Result(balance).findings()[0]
    order = [str(name).removesuffix("/E") for name in ratio["population"].values[np.argsort(-np.abs(np.log(ratio)))]]
    assert f"in {', '.join(order[:-1])} and {order[-1]} (" in first and f"{len(order)} of {len(order)} layers" in first
    null = next(text for text in Result(balance).findings() if "compared with" in text)
    assert f"all {int(balance['q'].notnull().sum())} tests" in null


def test_a_finding_does_not_speak_of_differences_where_none_is(results: dict[str, xr.Dataset]) -> None:
    none = results["balance"].copy(deep=True)
    none["q"] = none["q"] * 0 + 0.5
    none["value"].loc[{"statistic": "ei_ratio"}], none["low"].loc[{"statistic": "ei_ratio"}] = 1.0, 0.9
    none["high"].loc[{"statistic": "ei_ratio"}] = 1.1
    leaning, null, *_ = Result(none).findings()
    assert "no layer's E/I ratio was found to differ from 1" in leaning and "no layer was found to differ" in null
    alike = results["comparison"].copy(deep=True)
    alike["q"], alike["q_distance"] = alike["q"] * 0 + 0.5, alike["q_distance"] * 0 + 0.5
    alike["verdict"] = alike["verdict"].where(alike["verdict"] != "different", "undecided")
    (sentence,) = Result(alike).findings()
    assert "different" not in sentence and "higher" not in sentence and "no difference found in" in sentence


def test_a_comparison_of_nothing_is_no_figure(results: dict[str, xr.Dataset]) -> None:
    nothing = results["comparison"].assign(effect=results["comparison"]["effect"] * np.nan)
    with pytest.raises(StatisticError, match="no comparable statistic"):
        find_figure("forest").table(nothing)
