"""The templates of docs/extending for analyses and figures: one file in a project, from Python to the report."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import eiplatform
from eiplatform.analyses import Result, find_analysis, load_result
from eiplatform.analyses.balance import Balance
from eiplatform.analyses.parts.running import analyse
from eiplatform.cli import main
from eiplatform.errors import ConfigError, StoreError, UnknownNameError
from eiplatform.figures import save
from eiplatform.study import expand, load_study, run_study

DOCS = Path(__file__).parents[2] / "docs" / "extending"
Write = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder, with the working directory in it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "eiplatform.toml").touch()
    monkeypatch.chdir(folder)
    return folder


def template(page: str) -> tuple[Path, str]:
    """Return place and text of the template of a page."""
    text = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.S)[0]
    place = re.match(r"# (\w+/\w+\.py)\n", text)
    assert place is not None
    return Path(place[1]), text


def put(page: str, project: Path) -> str:
    """Copy the template into the project; return its name."""
    place, text = template(page)
    (project / place).parent.mkdir(exist_ok=True)
    (project / place).write_text(text)
    return place.stem


def silent(path: Path, layer: str) -> float:
    """Return the share of silent neurons with numpy alone."""
    return float(1 - eiplatform.open(path)[layer].ds["spikes"].values.any(axis=(0, 1)).mean())


def test_an_analysis_is_one_file(project: Path, network_recording: Write) -> None:
    recording, name = network_recording(), put("analysis.md", project)
    result = find_analysis(name).run([recording], n_bootstrap=20)
    assert isinstance(result, Result) and result.data.attrs["analysis"] == name
    expected = silent(recording, "fc1/E")
    assert float(result.data["value"].sel(population="fc1/E")[0]) == pytest.approx(expected)
    assert main(["analyse", name, str(recording), "--out", "s.nc", "--bootstrap", "20"]) == 0
    saved = load_result("s.nc")
    xr.testing.assert_equal(saved.data.drop_attrs(), result.data.drop_attrs())
    assert saved.tables() == result.tables() and saved.findings() == result.findings()
    assert main(["report", "s.nc", "--out", "report.html"]) == 0
    page = (project / "report.html").read_text()
    assert "Neurons that never fire" in page and "Most silent neurons" in page
    assert "Most silent neurons" in repr(saved) and "<table>" in saved._repr_html_()


def test_an_analysis_of_a_project_is_a_step_of_a_study(project: Path) -> None:
    name = put("analysis.md", project)
    study = "title: T\nquestion: Q?\nsteps:\n"
    study += (
        "  brunel: {kind: simulate, circuit: brunel-2000, parameters: {scale: 0.02}, duration_ms: 300, device: numpy}\n"
    )
    study += f"  silence: {{kind: analyse, analysis: {name}, inputs: brunel, options: {{n_bootstrap: 20}}}}\n"
    (project / "own.yml").write_text(study)
    graph = expand(load_study(project / "own.yml"))
    outcome = run_study(graph, project / "out", quiet=True)
    assert not outcome.failed and list(outcome.done) == ["brunel", "silence"]
    assert run_study(graph, project / "out", quiet=True).skipped == ["brunel", "silence"]
    file = project / "analyses" / f"{name}.py"
    file.write_text(file.read_text().replace("dead_fraction", "silent_share"))
    from eiplatform.study import code, status_of

    code._parsed_file.cache_clear()
    assert [step for step, state in status_of(graph, project / "out").items() if not state.up_to_date] == ["silence"]


def test_an_analysis_is_a_file_without_any_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network_recording: Write
) -> None:
    recording = network_recording()
    monkeypatch.chdir(tmp_path)
    place, text = template("analysis.md")
    Path("mine.py").write_text(text)
    assert main(["analyse", "./mine.py", str(recording), "--out", "s.nc", "--bootstrap", "20"]) == 0
    assert load_result("s.nc").data.attrs["analysis"] == "mine"
    with pytest.raises(ConfigError) as caught:
        find_analysis("./absent.py")
    assert caught.value.where == "absent.py"
    Path("empty.py").write_text("x = 1\n")
    with pytest.raises(ConfigError) as caught:
        find_analysis("empty.py")
    assert caught.value.where == "empty.py" and "Analysis" in str(caught.value.valid)
    Path("balance.py").write_text(text)
    with pytest.raises(ConfigError) as caught:
        find_analysis("./balance.py")
    assert caught.value.remedy == "rename the file"
    Path("broken.py").write_text("x = \n")
    with pytest.raises(ConfigError, match="SyntaxError"):
        find_analysis("broken.py")


def test_a_result_of_an_unknown_analysis_says_where_its_file_belongs(tmp_path: Path) -> None:
    xr.Dataset(attrs={"analysis": "gone"}).to_netcdf(tmp_path / "r.nc", engine="h5netcdf")
    with pytest.raises(StoreError) as caught:
        load_result(tmp_path / "r.nc")
    assert "analyses/" in str(caught.value.remedy) and "balance" in str(caught.value.valid)


def test_a_result_never_names_a_file_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("trap.py").write_text("raise SystemExit('run')\n")
    with pytest.raises(UnknownNameError):
        Result(xr.Dataset(attrs={"analysis": "./trap.py"})).tables()


def test_options_are_declared_by_the_signature(network_recording: Write) -> None:
    recording = network_recording()
    assert analyse("distributions", recording, bins=7).data.sizes["bin"] == 7
    assert list(find_analysis("distributions").options) == ["bins"]
    assert find_analysis("balance").inputs["nulls"].name == "nulls"
    with pytest.raises(ConfigError, match="takes no points="):
        analyse("distributions", recording, points=7)
    with pytest.raises(ConfigError, match="bins = 'many' is not possible"):
        analyse("distributions", recording, bins="many")
    with pytest.raises(UnknownNameError, match="unknown statistic"):
        analyse("balance", recording, statistics=["ei_ration"])


def test_a_figure_is_one_file(project: Path, network_recording: Write) -> None:
    recording, name = network_recording(), put("figure.md", project)
    result = Balance().run(recording, n_bootstrap=20)
    assert result.plots == ["balance_across_layers", name]
    ax = plt.figure().subplots()
    assert result.plot(name, ax=ax) is ax
    held = result.data["value"].sel(statistic=["ei_ratio", "rate"]).dropna("population").values
    np.testing.assert_allclose(np.array(ax.lines[0].get_data()).T, held)
    result.save("b.nc")
    assert main(["figures", "b.nc", "--out", "drawn", "--only", name]) == 0
    table = pd.read_csv(project / "drawn" / f"{name}.csv")
    np.testing.assert_allclose(table[["ei_ratio", "value"]], held)
    assert main(["report", "b.nc", "--out", "report.html"]) == 0
    assert (project / "report.html").read_text().count("<figure>") == 2


def test_the_style_is_of_the_figure_and_of_nothing_else(network_recording: Write, tmp_path: Path) -> None:
    before = dict(plt.rcParams)
    result = Balance().run(network_recording(), n_bootstrap=20)
    drawn = result.plot()
    assert dict(plt.rcParams) == before
    drawn.canvas.draw()  # outside the style, as a notebook does
    sizes = {label.get_fontsize() for ax in drawn.axes if ax.get_visible() for label in ax.get_xticklabels()}
    assert sizes == {6.0}
    save("balance_across_layers", result, tmp_path)
    assert dict(plt.rcParams) == before


def test_a_figure_is_drawn_into_what_is_given(network_recording: Write) -> None:
    result = Balance().run(network_recording(), n_bootstrap=20)
    panels = len(result.plot().axes)
    figure, (left, right) = plt.subplots(1, 2)
    drawn = result.plot(ax=left)
    assert drawn in figure.subfigs and left not in figure.axes and right in figure.axes
    assert len(drawn.axes) == panels
    own = plt.figure()
    assert result.plot(figure=own) is own and len(own.axes) == panels
    with pytest.raises(ConfigError) as caught:
        result.plot(ax=plt.figure().add_axes((0, 0, 1, 1)))
    assert caught.value.where == "ax" and len(caught.value.alternatives) == 2
    with pytest.raises(ConfigError) as caught:
        result.plot(ax=right, figure=own)
    assert caught.value.where == "ax, figure"
    with pytest.raises(UnknownNameError):
        result.plot("learning_curve")
    plt.close("all")
