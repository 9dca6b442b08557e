"""A lesion design is planned before it is recorded, goes on where it was, and is never analysed as if it were whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import eiplatform
from eiplatform.analyses import load_result
from eiplatform.analyses.lesions import Lesions
from eiplatform.cli import main
from eiplatform.config import load_config
from eiplatform.datasets import Split, load
from eiplatform.errors import ConfigError, OutputExistsError, StatisticError, StoreError, UnknownNameError
from eiplatform.lesions import design
from eiplatform.lesions.design import dose_response, doses_of, read_design
from eiplatform.networks import Network, save
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store import read_manifest
from eiplatform.training import initialise

CONFIG = load_config(None, ["network.hidden=[12, 10]"])
SETTINGS = CONFIG.model_dump(mode="json")
LESIONS = doses_of("I->E subtractive", [0.0, 0.5, 1.0], "fc*")
NAMES = [
    *("dose-0.0", "dose-0.5", "dose-0.5-control-1", "dose-0.5-control-2"),
    *("dose-1.0", "dose-1.0-control-1", "dose-1.0-control-2"),
]
SPEC = RecordingSpec(samples=12, shard_samples=4)


@pytest.fixture(scope="module")
def network() -> Network:
    return initialise(CONFIG, 5)


@pytest.fixture(scope="module")
def images() -> Split:
    return load("digits").test


@pytest.fixture(scope="module")
def whole(network: Network, images: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("design") / "d"
    dose_response(network, images, place, LESIONS, SPEC, config=SETTINGS, n_controls=2)
    return place


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "d"))


def test_the_plan_is_stored_before_the_first_dose(
    network: Network, images: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(design, "record_network", stop)
    with pytest.raises(KeyboardInterrupt):
        dose_response(network, images, tmp_path / "d", LESIONS, SPEC, config=SETTINGS, n_controls=2)
    plan = read_design(tmp_path / "d")
    assert [condition["name"] for condition in plan["conditions"]] == NAMES
    assert (plan["doses"], plan["controls"], plan["pathway"], plan["layers"]) == (
        [0.0, 0.5, 1.0],
        2,
        LESIONS[0].target,
        "fc*",
    )
    assert plan["data"] == images.describe() and plan["data"]["name"] == "digits"
    assert plan["spec"] == SPEC.model_dump(mode="json")
    with pytest.raises(OutputExistsError) as caught:
        dose_response(network, images, tmp_path / "d", LESIONS, SPEC, config=SETTINGS, n_controls=2)
    assert caught.value.alternatives[0] == "pass resume=True to go on with it"
    assert all(name in caught.value.what for name in NAMES)


def test_every_recording_carries_the_plan(whole: Path) -> None:
    plan = read_design(whole)
    for name in NAMES:
        assert read_manifest(whole / name)["source"]["design"] == {
            key: plan[key] for key in ("id", "doses", "controls")
        }


def test_a_killed_design_goes_on_to_the_same_recordings(
    network: Network, images: Split, whole: Path, copied: Path
) -> None:
    ids = {name: read_manifest(copied / name)["id"] for name in NAMES}
    shutil.rmtree(copied / "dose-1.0")  # not begun
    shutil.rmtree(copied / "dose-1.0-control-1")
    cut = copied / "dose-1.0-control-2"  # killed after its first shard
    manifest = json.loads((cut / "manifest.json").read_text())
    for key in ("populations", "n_samples", "bytes", "wall_time_s", "shards"):
        del manifest[key]
    (cut / "manifest.json").write_text(json.dumps(manifest | {"status": "recording"}))
    for index in (1, 2):
        (cut / f"shards/0000{index}.json").unlink()
        (cut / f"shards/0000{index}.h5").unlink()
    made = dose_response(network, images, copied, LESIONS, SPEC, config=SETTINGS, n_controls=2, resume=True)
    assert [path.name for path in made] == NAMES
    for name in NAMES:
        assert (read_manifest(copied / name)["id"] == ids[name]) == (name not in ("dose-1.0", "dose-1.0-control-1"))
        mine, other = (eiplatform.open(place / name) for place in (copied, whole))
        for population in ("fc1/E", "fc2/E", "readout/E"):
            for signal, values in other[population].to_dataset().data_vars.items():
                np.testing.assert_array_equal(mine[population][signal].values, values.values)
    with pytest.raises(StoreError, match="nothing to resume"):
        dose_response(network, images, copied, LESIONS, SPEC, config=SETTINGS, n_controls=2, resume=True)


@pytest.mark.parametrize("change", ["doses", "controls", "spec", "weights"])
def test_only_the_same_design_goes_on(network: Network, images: Split, copied: Path, change: str) -> None:
    shutil.rmtree(copied / "dose-1.0")
    lesions = doses_of("I->E subtractive", [0.0, 0.5, 0.75], "fc*") if change == "doses" else LESIONS
    spec = SPEC.model_copy(update={"samples": 11}) if change == "spec" else SPEC
    other = initialise(CONFIG, 6) if change == "weights" else network
    n = 1 if change == "controls" else 2
    with pytest.raises(StoreError) as caught:
        dose_response(other, images, copied, lesions, spec, config=SETTINGS, n_controls=n, resume=True)
    assert caught.value.what == f"the design there was begun with another {change}"
    assert not (copied / "dose-1.0").exists()


def test_there_must_be_something_to_resume(network: Network, images: Split, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no lesion design to resume"):
        dose_response(network, images, tmp_path / "no", LESIONS, SPEC, config=SETTINGS, resume=True)
    with pytest.raises(ConfigError, match="exclude each other"):
        dose_response(network, images, tmp_path / "no", LESIONS, SPEC, config=SETTINGS, resume=True, overwrite=True)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    "lost", [["dose-1.0"], ["dose-0.5-control-2"], [name for name in NAMES if "1.0" in name], NAMES[2:4]]
)
def test_what_is_missing_is_named_and_needs_to_be_asked_for(
    copied: Path, lost: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in lost:
        shutil.rmtree(copied / name)
    out = copied.parent / "l.nc"
    assert main(["analyse", "lesions", str(copied), "--out", str(out), "--bootstrap", "10"]) == 2
    told = capsys.readouterr().err
    assert all(name in told for name in lost) and "--partial" in told and not out.exists()
    assert main(["analyse", "lesions", str(copied), "--out", str(out), "--bootstrap", "10", "--partial"]) == 3
    result = load_result(out).data
    assert np.atleast_1d(result.attrs["partial"]).tolist() == lost
    doses = [0.0, *(dose for dose in (0.5, 1.0) if f"dose-{dose}" not in lost)]
    assert result["dose"].values.tolist() == doses
    for dose in doses[1:]:
        for control in result["control"].values.tolist():
            measured = bool(result["control_accuracy"].sel(dose=dose, control=control).notnull())
            assert measured == (f"dose-{dose}-control-{control}" not in lost)


def test_single_recordings_know_their_design_too(whole: Path) -> None:
    some = [whole / name for name in NAMES[:5]]
    with pytest.raises(StoreError, match=r"lacks dose-1.0-control-1, dose-1.0-control-2"):
        Lesions().run(some, n_bootstrap=10)
    assert Lesions().run(some, n_bootstrap=10, partial=True).data.attrs["partial"] == NAMES[5:]
    whole_result = Lesions().run([whole / name for name in NAMES], n_bootstrap=10).data
    assert "partial" not in whole_result.attrs
    with pytest.raises(StatisticError, match="dose 0"):
        Lesions().run([whole / name for name in NAMES[1:]], n_bootstrap=10, partial=True)
    with pytest.raises(StatisticError, match="same condition"):
        Lesions().run([*(whole / name for name in NAMES), whole / NAMES[0]], n_bootstrap=10)


def test_an_interrupted_dose_is_missing(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = copied / "dose-1.0-control-2"
    manifest = json.loads((cut / "manifest.json").read_text())
    (cut / "manifest.json").write_text(json.dumps(manifest | {"status": "recording"}))
    shutil.rmtree(cut / "shards")
    out = str(copied.parent / "l.nc")
    assert main(["analyse", "lesions", str(copied), "--out", out, "--bootstrap", "10"]) == 2
    assert "eiplatform lesion --resume" in capsys.readouterr().err
    assert main(["analyse", "lesions", str(copied), "--out", out, "--bootstrap", "10", "--partial"]) == 3
    assert load_result(out).data.attrs["partial"] == "dose-1.0-control-2"


def test_recordings_without_a_plan_are_not_taken_for_whole(copied: Path) -> None:
    for name in NAMES:
        manifest = json.loads((copied / name / "manifest.json").read_text())
        del manifest["source"]["design"]
        (copied / name / "manifest.json").write_text(json.dumps(manifest))
    recordings = [copied / name for name in NAMES]
    with pytest.raises(StoreError, match="lack their plan"):
        Lesions().run(recordings, n_bootstrap=10)
    (told,) = Lesions().run(recordings, n_bootstrap=10, partial=True).data.attrs["partial"]
    assert "lack their plan" in told


def test_designs_and_networks_are_not_mixed(network: Network, images: Split, whole: Path, tmp_path: Path) -> None:
    other = initialise(CONFIG, 6)  # of the same configuration, with other weights
    dose_response(other, images, tmp_path / "o", LESIONS, SPEC, config=SETTINGS, n_controls=2)
    mixed = [whole / name for name in NAMES[:4]] + [tmp_path / "o" / name for name in NAMES[4:]]
    with pytest.raises(StatisticError, match="different networks"):
        Lesions().run(mixed, n_bootstrap=10)


def test_the_command_resumes_and_suggests_only_pathways_that_are_there(
    network: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "n.safetensors", network, CONFIG)
    command = ["lesion", str(tmp_path / "n.safetensors"), "--out", str(tmp_path / "d"), "--samples", "4"]
    command += ["--doses", "0", "0.5"]
    assert main(command) == 0
    shutil.rmtree(tmp_path / "d" / "dose-0.5")
    assert main(command) == 2
    assert "--resume" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0
    assert main([*command, "--resume"]) == 2
    capsys.readouterr()
    for wrong in ("recurrent->E subtractive", "input->E subtractiv", "I->E subtractiv"):
        assert main([*command, "--overwrite", "--pathway", wrong]) == 2
        told = capsys.readouterr().err
        assert "recurrent" not in told.replace(f"'{wrong}'", "") and "input->E subtractive" not in told
    with pytest.raises(UnknownNameError) as caught:
        dose_response(
            network,
            load("digits").test,
            tmp_path / "e",
            doses_of("recurrent->E", [0.0, 0.5]),
            SPEC,
            config=SETTINGS,
        )
    assert caught.value.valid == "input->E, input->I, I->E subtractive, I->E divisive"
