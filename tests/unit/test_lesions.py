"""A lesion does what it says to one pathway, nothing else, and leaves no trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import eiplatform
from eiplatform.config import load_config
from eiplatform.datasets import Split, load
from eiplatform.errors import ConfigError, UnknownNameError
from eiplatform.lesions.apply import lesioned
from eiplatform.lesions.design import dose_response
from eiplatform.lesions.spec import Lesion, make_lesions
from eiplatform.recording.spec import RecordingSpec
from eiplatform.snn import Network
from eiplatform.store import read_manifest
from eiplatform.training import initialise

CONFIG = load_config(None, ["network.hidden=[20, 16]"])
SIGNAL = {
    "input->E": "current_exc",
    "I->E subtractive": "current_inh",
    "I->E divisive": "inhibition_div",
}


@pytest.fixture(scope="module")
def network() -> Network:
    return initialise(CONFIG, 5)


@pytest.fixture(scope="module")
def images() -> Split:
    return load("digits").test.take(np.arange(12))


def _run(network: Network, images: Split) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    record = {"fc1/E": frozenset(network.populations()["fc1/E"].signals), "fc1/I": frozenset({"activity"})}
    with torch.inference_mode():
        output = network.run(torch.from_numpy(images.images), record=record)
    return output.logits, {**output.signals["fc1/E"], **output.signals["fc1/I"]}


@pytest.mark.parametrize("pathway", ["input->E", "input->I", "I->E subtractive", "I->E divisive"])
def test_only_the_lesioned_pathway_is_scaled(network: Network, images: Split, pathway: str) -> None:
    _, intact = _run(network, images)
    with lesioned(network, make_lesions(pathway, [0.25], "fc1")):
        _, cut = _run(network, images)
    scaled = {"activity", "current_inh", "inhibition_div"} if pathway == "input->I" else {SIGNAL[pathway]}
    for signal in ("current_exc", "current_inh", "inhibition_div", "activity"):
        expected = 0.75 * intact[signal] if signal in scaled else intact[signal]
        torch.testing.assert_close(cut[signal], expected, rtol=1e-6, atol=0)


def test_divisive_lesion_raises_the_gain(network: Network, images: Split) -> None:
    _, intact = _run(network, images)
    with lesioned(network, make_lesions("I->E divisive", [0.5], "fc1")):
        _, cut = _run(network, images)
    torch.testing.assert_close(cut["gain"], 2 * intact["gain"], rtol=1e-6, atol=0)


def test_lesions_of_one_pathway_multiply(network: Network, images: Split) -> None:
    _, intact = _run(network, images)
    with lesioned(network, make_lesions("I->E subtractive", [0.5, 0.2], "fc1")):
        _, cut = _run(network, images)
    torch.testing.assert_close(cut["current_inh"], 0.4 * intact["current_inh"], rtol=1e-6, atol=0)


def test_the_network_is_restored_bit_for_bit_even_after_an_error(network: Network, images: Split) -> None:
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    before, _ = _run(network, images)
    with pytest.raises(RuntimeError), lesioned(network, make_lesions("I->E subtractive", [1.0])):
        changed, _ = _run(network, images)
        assert not torch.equal(changed, before)
        raise RuntimeError
    after, _ = _run(network, images)
    assert torch.equal(after, before)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def test_dose_zero_changes_not_one_bit(network: Network, images: Split) -> None:
    before, _ = _run(network, images)
    with lesioned(network, [Lesion(pathway="I->E subtractive", dose=0.0)]):
        during, _ = _run(network, images)
    assert torch.equal(before, during)


def test_wrong_names_and_doses(network: Network) -> None:
    with pytest.raises(ConfigError, match="did you mean 'I->E subtractive'"):
        make_lesions("I->E subtractiv", [0.5])
    with pytest.raises(ConfigError, match=r"1\.5"):
        make_lesions("I->E subtractive", [0.5, 1.5])
    with pytest.raises(ConfigError, match="no denominator"):
        make_lesions("I->E divisive", [0.0, 1.0])
    with pytest.raises(UnknownNameError, match="no layer"), lesioned(network, make_lesions("input->E", [0.5], "fc7")):
        pass
    with (
        pytest.raises(UnknownNameError, match="no layer"),
        lesioned(network, make_lesions("I->E divisive", [0.5], "readout")),
    ):
        pass


def test_dose_response_records_every_dose_on_the_same_samples(network: Network, images: Split, tmp_path: Path) -> None:
    spec = RecordingSpec(samples=6)
    settings = CONFIG.model_dump(mode="json")
    lesions = make_lesions("I->E subtractive", [1.0, 0.0, 0.5], "fc*")
    made = dose_response(network, images, tmp_path / "d", lesions, spec, config=settings)
    doses = [read_manifest(path)["source"]["lesions"][0]["dose"] for path in made]
    assert doses == [0.0, 0.5, 1.0]
    trees = [eiplatform.open(path) for path in made]
    assert len({tuple(tree["fc1/E"]["sample"].values) for tree in trees}) == 1
    inhibition = [tree["fc1/E"].ds["current_inh"].values for tree in trees]
    np.testing.assert_allclose(inhibition[1], 0.5 * inhibition[0], rtol=1e-6)
    assert (inhibition[2] == 0).all()


@pytest.mark.parametrize("doses", [[0.5, 1.0], [0.0, 0.5, 0.5]])
def test_dose_response_needs_different_doses_and_a_control(
    network: Network, images: Split, tmp_path: Path, doses: list[float]
) -> None:
    with pytest.raises(ConfigError, match="the intact control"):
        dose_response(
            network,
            images,
            tmp_path / "d",
            make_lesions("I->E subtractive", doses),
            RecordingSpec(),
            config=CONFIG.model_dump(mode="json"),
        )
    assert not (tmp_path / "d").exists()
