"""Figures draw the numbers of their table, and nothing else."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from eiplatform.analyses import (
    balance,
    balance_across_depth,
    balance_emergence,
    comparison,
    distributions,
    ei_versus_bn,
    gain_modulation,
    lesions,
    regime_scorecard,
    systems,
    timescales,
    traces,
)
from eiplatform.errors import ConfigError, StatisticError, UnknownNameError
from eiplatform.figures import FIGURES, figures_of, save
from eiplatform.figures.style import paper_style
from eiplatform.report import findings_of, scorecard, write_report
from eiplatform.store.references import reference_file
from tests.conftest import write_circuit, write_network, write_series

FAST = {"n_bootstrap": 30, "seed": 0}


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
                place / f"{state}-{circuit}-{k}", seed=k + 9 * len(circuit), ratio=ratio, circuit=circuit, number=k
            )
            for circuit in ("ei", "none")
            for k in (1, 2, 3)
        ]
        for state, ratio in (("after", 1.6), ("before", 1.2))
    }
    series = [write_series(place / f"series{k}", number=k, ratios={0: 1.2, 2: 1.4, 8: 1.6}) for k in (1, 2)]
    cortex = [reference_file("brunel-2000-C")]
    return {
        "ei_versus_bn": ei_versus_bn.run(kinds["after"], kinds["before"], cortex),
        "balance_emergence": balance_emergence.run(series, cortex),
        "systems": systems.run([*kinds["after"], long], cortex, **FAST),
        "learning": learning,
        "balance": balance.run(trained, nulls, **FAST),
        "distributions": distributions.run([trained, nulls[0]]),
        "traces": traces.run([long, circuit]),
        "comparison": comparison.run(long, [circuit], **FAST),
        "lesions": lesions.run(doses, **FAST),
        "balance_across_depth": balance_across_depth.run([trained], nulls, **FAST),
        "gain_modulation": gain_modulation.run([trained], **FAST),
        "timescales": timescales.run([long, circuit], **FAST),
        "regime_scorecard": regime_scorecard.run([long, circuit], **FAST),
    }


def _drawn(name: str, table: pd.DataFrame) -> list[float]:
    """Return every number that the axes hold: line data, error bars and histogram steps."""
    with paper_style():
        figure = import_module(f"eiplatform.figures.{name}").draw(table)
    numbers: list[float] = []
    for ax in figure.axes:
        for line in ax.lines:
            numbers += [float(v) for v in np.ravel(line.get_xdata())] + [float(v) for v in np.ravel(line.get_ydata())]
        for image in ax.images:
            numbers += [float(v) for v in np.ravel(image.get_array())]
        for patch in ax.patches:
            if hasattr(patch, "get_data"):
                numbers += [float(v) for v in patch.get_data().values]
    return numbers


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_every_figure_draws_its_table(results: dict[str, xr.Dataset], name: str, tmp_path: Path) -> None:
    result = results[FIGURES[name]]
    saved = save(name, result, tmp_path)
    assert saved.png.read_bytes()[:4] == b"\x89PNG" and saved.pdf.read_bytes()[:4] == b"%PDF"
    assert "n = " in saved.caption
    table = pd.read_csv(saved.csv)
    assert len(table)
    column = "density" if "density" in table else "value"
    drawn = np.array(_drawn(name, import_module(f"eiplatform.figures.{name}").table(result)))
    values = table[column].dropna().to_numpy()
    signed = np.concatenate([drawn, -drawn])  # inhibition is drawn negative
    missing = [value for value in values if not np.isclose(signed, value, rtol=1e-9, atol=1e-12).any()]
    assert missing == []


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_other_numbers_give_another_figure(results: dict[str, xr.Dataset], name: str) -> None:
    table = import_module(f"eiplatform.figures.{name}").table(results[FIGURES[name]])
    column = "density" if "density" in table else "value"
    changed = table.assign(**{column: table[column] * 1.5})
    assert _drawn(name, table) != _drawn(name, changed)


def test_a_lesion_is_drawn_without_what_the_network_does_not_have(results: dict[str, xr.Dataset]) -> None:
    """A network of rates has no spikes: no panel is left empty, and the caption says so."""
    module, whole = import_module("eiplatform.figures.lesion_dose_response"), results["lesions"]
    rates = whole.copy(deep=True)
    for name in ("value", "low", "high"):
        rates[name].loc[{"statistic": "rate"}] = np.nan
    if "control_value" in rates:
        rates["control_value"].loc[{"statistic": "rate"}] = np.nan
    labels = {}
    for result in (whole, rates):
        with paper_style():
            figure = module.draw(module.table(result))
        labels[result is rates] = [ax.get_ylabel() for ax in figure.axes]
        assert all(len(ax.lines) for ax in figure.axes)
    assert labels[False] == list(module.PANELS.values()) and "b to d" in module.caption(whole)
    assert labels[True] == [label for name, label in module.PANELS.items() if name != "rate"]
    assert "b to c" in module.caption(rates) and "has no spikes per neuron and step" in module.caption(rates)
    assert "has no" not in module.caption(whole)


def test_figures_are_chosen_by_analysis(results: dict[str, xr.Dataset], tmp_path: Path) -> None:
    assert figures_of(results["distributions"]) == ["current_distributions", "gain_distributions"]
    with pytest.raises(UnknownNameError, match="did you mean 'learning_curve'"):
        save("learning_curves", results["learning"], tmp_path)
    with pytest.raises(ConfigError, match="draws the analysis 'balance'"):
        save("balance_across_layers", results["learning"], tmp_path)


def test_report_holds_everything_and_asks_for_nothing(results: dict[str, xr.Dataset], tmp_path: Path) -> None:
    figures = [save(name, results[FIGURES[name]], tmp_path / "figures") for name in sorted(FIGURES)]
    tables = scorecard(results)
    path = write_report(
        tmp_path / "report.html",
        title="A <title>",
        question="Why?",
        findings=findings_of(results),
        tables=tables,
        figures=figures,
        provenance={"seed": 7, "versions": {"numpy": "2"}},
    )
    page = path.read_text()
    assert page.count("data:image/png;base64,") == len(FIGURES)
    assert "http://" not in page and "https://" not in page and "<script" not in page
    assert "A &lt;title&gt;" in page
    for table in tables:
        assert table.title.replace("'", "&#39;").replace(">", "&gt;") in page


def test_scorecard_states_the_numbers_of_the_results(results: dict[str, xr.Dataset]) -> None:
    tables = {table.title: table for table in scorecard(results)}
    row = tables["Balance of 'trained' against its null"].rows[0]
    value = float(results["balance"]["value"].sel(statistic="ei_ratio", population="fc1/E"))
    assert row[0] == "E/I ratio" and row[1].startswith(f"{value:.2f} [") and "null" in row[1]
    left_out = tables["Not compared, and why"].rows
    assert all(reason for _, reason, _, _ in left_out)
    compared = next(table for title, table in tables.items() if title.startswith("'long' against"))
    named = {row[0] for row in compared.rows} | {row[0] for row in left_out}
    assert named == set(map(str, results["comparison"]["label"].values))  # nothing silently dropped


def test_findings_follow_the_numbers(results: dict[str, xr.Dataset]) -> None:
    told = " ".join(findings_of(results))
    assert "excitation exceeds inhibition in fc1/E, fc2/E, readout/E" in told
    assert "Removing 50 %" in told
    turned = results | {"lesions": results["lesions"].assign(accuracy_p_holm=results["lesions"]["accuracy"] * 0 + 0.06)}
    assert "No dose of the lesion" in " ".join(findings_of(turned))


def test_a_comparison_of_nothing_is_no_figure(results: dict[str, xr.Dataset]) -> None:
    nothing = results["comparison"].assign(difference=results["comparison"]["difference"] * np.nan)
    with pytest.raises(StatisticError, match="no comparable statistic"):
        import_module("eiplatform.figures.comparison_with_cortex").table(nothing)
