"""What version 0.1 wrote opens with the numbers that it held: recordings of every form, results, checkpoints."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

import eiplatform as ei
from eiplatform.store import validate

OLD = Path(__file__).parents[1] / "old"
EXPECTED = json.loads((OLD / "expected.json").read_text())
"""Shape and sum of every variable, read by the code that wrote the files."""


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("old")
    with tarfile.open(OLD / "written-by-0.1.tar.xz") as archive:
        archive.extractall(place, filter="data")
    return place


@pytest.mark.parametrize("name", EXPECTED["recordings"])
def test_a_recording_opens_with_its_numbers(old: Path, name: str) -> None:
    if name.endswith(".zarr"):
        pytest.importorskip("zarr")
    tree = ei.open(old / name)
    for place, (shape, total) in EXPECTED["recordings"][name].items():
        population, variable = place.split(" ")
        values = tree[population].to_dataset()[variable].values
        assert list(values.shape) == shape and float(np.asarray(values, float).sum()) == total, place
    assert not validate(old / name).problems


def test_a_renamed_key_of_its_configuration_is_found_under_the_new_name(old: Path) -> None:
    name = next(name for name in EXPECTED["ratios"] if not name.endswith(".zarr"))
    assert ei.open(old / name).attrs["config"]["network"]["layer"] == "ei"


@pytest.mark.parametrize("name", EXPECTED["ratios"])
def test_a_statistic_of_it_is_what_it_was(old: Path, name: str) -> None:
    assert float(ei.open(old / name)["fc1/E"].ds.ei.ei_ratio().mean()) == EXPECTED["ratios"][name]


@pytest.mark.parametrize("name", EXPECTED["weights"])
def test_a_checkpoint_has_its_weights(old: Path, name: str) -> None:
    pytest.importorskip("torch")
    from eiplatform.recording.plan import weights_hash

    network = ei.load(old / "training" / f"{name}.safetensors").network
    assert weights_hash(network) == EXPECTED["weights"][name]


def test_a_training_opens_as_a_run(old: Path) -> None:
    pytest.importorskip("torch")
    run = ei.load(old / "training")
    assert run.config.seed == 5 and run.config.network.layer == "ei" and list(run.history["epoch"]) == [0, 1, 2]
    assert run.path == old / "training"


@pytest.mark.parametrize("name", EXPECTED["results"])
def test_a_result_opens_with_its_numbers(old: Path, name: str) -> None:
    from eiplatform.analyses import load_result

    result = load_result(old / f"{name}.nc").data
    for variable, total in EXPECTED["results"][name].items():
        assert float(np.nansum(result[variable].values)) == pytest.approx(total, rel=1e-12, nan_ok=True), variable
