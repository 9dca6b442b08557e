"""Figures draw the numbers of their table, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pytest import MonkeyPatch

from eiplatform.analyses import Result
from eiplatform.errors import ConfigError, StatisticError, UnknownNameError
from eiplatform.figures import figure_names, find_figure, save
from eiplatform.figures.forest import NULL
from eiplatform.report import findings_of, scorecard
from tests.unit import figure_results
from tests.unit.figure_results import picture_of, result_of


@pytest.fixture(scope="module")
def results() -> dict[str, xr.Dataset]:
    return dict(figure_results.results())


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


@pytest.mark.parametrize("name", figure_names())
def test_every_figure_draws_its_table(
    name: str,
) -> None:
    result = result_of(name)
    saved = picture_of(name)
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


@pytest.mark.parametrize("name", figure_names())
def test_other_numbers_give_another_figure(name: str) -> None:
    result = result_of(name)
    table = find_figure(name).table(result)
    column = "density" if "density" in table else "value"
    changed = table.assign(**{column: table[column] * 2})
    assert _drawn(name, result, table) != _drawn(name, result, changed)


@pytest.mark.parametrize("name", figure_names())
def test_captions_are_short(name: str) -> None:
    assert len(picture_of(name).caption.split()) <= 100


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
    assert set(find_figure("forest").table(nothing)["reference"]) == {NULL}
    nothing = nothing.drop_vars(["null_z", "null_z_low", "null_z_high", "null_q"])
    with pytest.raises(StatisticError, match="no comparable statistic"):
        find_figure("forest").table(nothing)
