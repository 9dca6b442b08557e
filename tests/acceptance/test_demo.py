"""The whole road at small size: every part is there, sound, and the same for the same seed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import xarray as xr

import eiplatform
from eiplatform import analyses
from eiplatform.analyses import analysis_names, load_result
from eiplatform.cli import main
from eiplatform.figures import figure_names, find_figure
from eiplatform.store import validate
from eiplatform.study import Graph, expand, find_study, load_study, run_study

# Analyses of networks of several kinds and seeds, which a study trains.
STUDIES = {path.stem for path in (Path(analyses.__file__).parent / "studies").glob("*.yml")}
ARGUMENTS = ["--size", "small", "--seed", "3"]


def small() -> Graph:
    """Return the study that the command runs."""
    return expand(load_study(find_study("demo"), {"constants.seed": 3}, "small"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "run"
    assert main(["demo", "--out", str(out), *ARGUMENTS]) == 0
    return out


def test_every_part_is_there(demo: Path) -> None:
    shown = (
        set(analysis_names()) - STUDIES - {"paradox", "measured_cortex"}
    )  # one needs a protocol of a circuit, the other is no part
    assert {path.stem for path in (demo / "results").glob("*.nc")} == shown | {"balance_noisy"}
    names = [
        *(name for name in figure_names() if find_figure(name).ANALYSIS in shown),
    ]
    for name in names:
        assert all((demo / "figures" / f"{name}.{suffix}").stat().st_size for suffix in ("png", "pdf", "csv"))
    page = (demo / "report.html").read_text()
    assert page.count("<figure>") == len(names)


def test_every_recording_is_sound(demo: Path) -> None:
    recordings = [path.parent for path in demo.rglob("manifest.json")]
    study = small().study
    doses, controls = study.constants["doses"], study.constants["controls"]
    under_lesions = len(doses) + (len(doses) - 1) * controls
    assert len(recordings) == 2 + 2 * len(study.axes["untrained"]) + 1 + under_lesions
    assert [path for path in recordings if validate(path).problems] == []


def test_network_and_circuit_speak_one_language(demo: Path) -> None:
    network = eiplatform.open(demo / "recordings" / "trained-noisy")["fc2/E"].ds
    circuit = eiplatform.open(demo / "reference" / "brunel-2000-C")["E"].ds
    for data in (network, circuit):
        assert data["current_exc"].dims == ("sample", "time", "neuron")
        assert (data["current_net"] == data["current_exc"] - data["current_inh"]).mean() > 0.9
        assert data.ei.balance_index().dims == ("neuron",)
    assert circuit["current_exc"].attrs["units"] == "mV" and network["current_exc"].attrs["units"] == "1"


def test_the_network_learns_and_the_circuit_obeys_its_closed_form(demo: Path) -> None:
    learning = load_result(demo / "results" / "learning.nc").data
    assert float(learning["test_accuracy"]) > 0.85  # 6 epochs of a small network; chance is 0.1
    check = load_result(demo / "results" / "reference_check.nc").data
    assert abs(float(check["deviation"].sel(quantity="rate")[0])) < 0.15  # a tenth of the circuit
    assert abs(float(check["deviation"].sel(quantity="current_exc_external")[0])) < 0.02


def test_the_intact_dose_is_the_trained_network(demo: Path) -> None:
    lesions = load_result(demo / "results" / "lesions.nc").data
    intact = eiplatform.open(demo / "lesions" / "dose-0.0")
    trained = eiplatform.open(demo / "recordings" / "trained")
    assert intact["readout/E"].ds["current_net"].equals(trained["readout/E"].ds["current_net"])
    assert float(lesions["accuracy"][0]) > float(lesions["accuracy"][-1]) + 0.3


def test_the_same_seed_gives_the_same_numbers(demo: Path, tmp_path: Path) -> None:
    """Of network, nulls and lesions; circuits have a test of their own."""
    steps = ["learning", "balance", "lesions"]
    assert not run_study(small().only(steps), tmp_path / "again", quiet=True).failed
    for name in steps:
        first, second = (load_result(place / "results" / f"{name}.nc").data for place in (demo, tmp_path / "again"))
        xr.testing.assert_identical(first.drop_attrs(), second.drop_attrs())


def test_run_again_it_has_nothing_to_do(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (demo / "scorecard.json").read_bytes()
    assert main(["demo", "--out", str(demo), *ARGUMENTS]) == 0
    assert "training" not in capsys.readouterr().err  # no step was taken
    assert (demo / "scorecard.json").read_bytes() == before
    assert json.loads(before)["findings"]
