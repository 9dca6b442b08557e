"""The whole road at small size: every part is there, sound, and the same for the same seed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import eiplatform
from eiplatform import analyses
from eiplatform.analyses import analysis_names, load_result
from eiplatform.cli import main
from eiplatform.demo import SIZES
from eiplatform.figures import figure_names, find_figure
from eiplatform.store import validate

# Analyses of networks of several kinds and seeds, which a study trains.
STUDIES = {path.stem for path in (Path(analyses.__file__).parent / "studies").glob("*.yml")}
ARGUMENTS = ["--size", "small", "--device", "numpy", "--seed", "3"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "run"
    assert main(["demo", "--out", str(out), *ARGUMENTS]) == 0
    return out


def test_every_part_is_there(demo: Path) -> None:
    shown = set(analysis_names()) - STUDIES
    assert {path.stem for path in (demo / "results").glob("*.nc")} == shown | {"balance_noisy"}
    names = [
        *(name for name in figure_names() if find_figure(name).ANALYSIS in shown),
        "balance_across_layers_balance_noisy",
    ]
    for name in names:
        assert all((demo / "figures" / f"{name}.{suffix}").stat().st_size for suffix in ("png", "pdf", "csv"))
    page = (demo / "report.html").read_text()
    assert page.count("<figure>") == len(names) and "https://" not in page


def test_every_recording_is_sound(demo: Path) -> None:
    recordings = [path.parent for path in demo.rglob("manifest.json")]
    small = SIZES["small"]
    under_lesions = len(small.doses) + (len(small.doses) - 1) * small.controls
    assert len(recordings) == 2 + 2 * small.nulls + 1 + under_lesions
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


def test_the_same_seed_gives_the_same_numbers(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eiplatform.demo.draw_all", lambda *_, **__: [])  # the numbers are those of the scorecard
    assert main(["demo", "--out", str(tmp_path / "again"), *ARGUMENTS]) == 0
    first, second = (json.loads((path / "scorecard.json").read_text()) for path in (demo, tmp_path / "again"))
    assert first == second
