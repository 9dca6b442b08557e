"""Composed figures, the figures of a paper, and the way back from a picture."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from pytest import CaptureFixture

import eiplatform as ei
from eiplatform.analyses import Result
from eiplatform.cli import main
from eiplatform.errors import ConfigError, StoreError, UnknownNameError
from eiplatform.figures import find_figure, origin_of_picture
from eiplatform.report.paper import bibtex
from eiplatform.store.csvw import sidecar_of
from eiplatform.store.identity import result_hash
from tests.unit.figure_results import result_of, results

LABELS = {"fc1/E": "Layer 1"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run with some results."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    (folder / "results").mkdir(parents=True)
    for name in ("architecture", "correlogram", "lesion_study"):
        Result(results()[name]).save(folder / "results" / f"{name}.nc")
    return folder


def test_figures_are_composed_with_letters_one_legend_and_a_journals_width() -> None:
    held = {name: Result(results()[name]) for name in ("architecture", "correlogram", "lesion_study")}
    page = ei.figures.compose([["schematic"], ["ei_correlogram"], ["lesion_map"]], held, labels=LABELS)
    FigureCanvasAgg(page).draw()
    assert round(page.get_figwidth() * 25.4) == 183 and page.get_figheight() * 25.4 <= 240
    assert {letter: name for letter, (name, _) in page.parts.items()} == {
        "a": "schematic",
        "b": "ei_correlogram",
        "c": "lesion_map",
    }
    places = [place for line in page.subfigs for place in line.subfigs]
    assert [place._suptitle.get_text() for place in places] == ["a", "b", "c"]
    assert len(page.legends) == 1 and not any(place.legends for place in places)
    words = [text.get_text() for text in page.legends[0].get_texts()]
    assert len(set(words)) == len(words) and {"divides", "own inhibition"} <= set(words)
    inner = {text.get_text() for ax in page.axes for text in ax.texts}
    assert not inner & {"a", "b", "c"}  # the parts do not letter themselves
    assert page.captions()["b"] == find_figure("ei_correlogram").caption(results()["correlogram"])
    pd.testing.assert_frame_equal(page.tables()["c"], find_figure("lesion_map").table(results()["lesion_study"]))


def test_names_that_stand_alone_are_put_into_rows_by_their_widths() -> None:
    held = {"map": results()["lesion_study"], "players": results()["shapley"]}
    page = ei.figures.compose(["lesion_map@map", "lesion_shapley@players"], held)
    assert len(page.subfigs) == 1 and len(page.subfigs[0].subfigs) == 2  # 89 mm each


def test_a_layout_that_cannot_be_is_said() -> None:
    both = {"map": results()["lesion_study"], "players": results()["shapley"]}
    with pytest.raises(ConfigError) as caught:
        ei.figures.compose(["lesion_map"], both)
    assert "2 of the results" in caught.value.what
    with pytest.raises(UnknownNameError):
        ei.figures.compose(["lesion_mop"], both)
    with pytest.raises(ConfigError):
        ei.figures.compose([], both)
    with pytest.raises(UnknownNameError):
        ei.figures.compose(["schematic"], {"a": result_of("schematic")}, width="wide")


def test_a_paper_is_written_from_a_run(run: Path, capsys: CaptureFixture[str]) -> None:
    assert main(["figures", str(run), "--paper", "--label", "fc1/E=Layer 1"]) == 0
    folder = run / "paper"
    numbers = [1, 2, 3]
    assert sorted(path.name for path in folder.glob("figure-*")) == [
        f"figure-{n}.{kind}" for n in numbers for kind in ("pdf", "png", "svg")
    ]
    captions = (folder / "captions.md").read_text()
    assert [f"**Figure {n}." in captions for n in numbers] == [True] * 3 and "Layer 1" in captions
    for part in re.split(r"\*\*[a-z]\*\*, ", captions)[1:]:
        assert len(part.split("**Figure")[0].split()) <= 100
    table = folder / "source-data" / "figure-2a.csv"
    drawn = find_figure("ei_correlogram").table(results()["correlogram"])
    assert len(pd.read_csv(table)) == len(drawn)
    assert (
        json.loads(sidecar_of(table).read_text())["dc:identifier"] == f"sha256:{result_hash(results()['correlogram'])}"
    )
    told = (folder / "methods.md").read_text()
    bib = (folder / "references.bib").read_text()
    cited = set(re.findall(r"@([A-Z]\w+)", told))
    assert cited and cited == set(re.findall(r"@article\{(\w+),", bib))
    capsys.readouterr()
    assert main(["describe", str(folder / "figure-2.pdf")]) == 0
    shown = capsys.readouterr().out
    assert 'eiplatform figures mine --paper --out paper --label "fc1/E=Layer 1"' in shown
    assert result_hash(results()["correlogram"]) in shown
    assert main(["figures", str(run), "--paper"]) == 2  # exists already
    assert main(["figures", str(run), "--paper", "--svg"]) == 2


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_a_picture_says_how_to_make_it_again(run: Path, kind: str) -> None:
    out = run / "figures"
    ei.figures(run / "results" / "correlogram.nc", out, only=["ei_correlogram"], svg=True, overwrite=True)
    found = origin_of_picture(out / f"ei_correlogram.{kind}")
    assert found["figure"] == "ei_correlogram"
    assert found["result"] == f"correlogram, sha256 {result_hash(results()['correlogram'])}"
    assert found["command"] == (
        "cd mine && eiplatform figures results/correlogram.nc --only ei_correlogram --out figures"
    )
    assert "long (" in found["recordings"] and "circuit (" in found["recordings"]
    told = ei.describe(str(out / f"ei_correlogram.{kind}"))
    assert told.sections["make it again"] == found["command"]


def test_a_figure_saved_by_hand_says_it_too(tmp_path: Path) -> None:
    ei.plot.ei_correlogram(results()["correlogram"]).savefig(tmp_path / "mine.png")
    found = origin_of_picture(tmp_path / "mine.png")
    assert found["figure"] == "ei_correlogram" and "eiplatform analyse correlogram" in found["command"]


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_other_pictures_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x.{kind}"
    path.write_bytes(b"%PDF-1.4 /Title (\\377\\376 \\050)" if kind == "pdf" else b"nothing")
    with pytest.raises(StoreError) as caught:
        origin_of_picture(path)
    assert caught.value.where == str(path)


def test_references_keep_authors_and_initials() -> None:
    text = bibtex(["Xue, Atallah & Scanziani 2014, Nature 511:596", "Harris, C. R. et al. 2020, Nature 585:357", "own"])
    assert "author = {Xue and Atallah and Scanziani}" in text and "author = {Harris, C. R. and others}" in text
    assert text.count("@article") == 2 and "pages = {357}" in text
