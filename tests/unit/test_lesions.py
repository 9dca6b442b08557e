"""A lesion does what it says to one pathway, nothing else, and leaves no trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import eiplatform
from eiplatform.analyses.lesions import Lesions
from eiplatform.config import load_config
from eiplatform.datasets import Split, load
from eiplatform.errors import ConfigError, StoreError, UnknownNameError
from eiplatform.interventions import RandomSynapseLoss
from eiplatform.lesions.controls import losses_of, mean_currents
from eiplatform.lesions.design import dose_response, doses_of
from eiplatform.networks import Network
from eiplatform.recording.spec import RecordingSpec
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
    with network.intervene(*doses_of(pathway, [0.25], "fc1")):
        _, cut = _run(network, images)
    scaled = {"activity", "current_inh", "inhibition_div"} if pathway == "input->I" else {SIGNAL[pathway]}
    for signal in ("current_exc", "current_inh", "inhibition_div", "activity"):
        expected = 0.75 * intact[signal] if signal in scaled else intact[signal]
        torch.testing.assert_close(cut[signal], expected, rtol=1e-6, atol=0)


def test_divisive_lesion_raises_the_gain(network: Network, images: Split) -> None:
    _, intact = _run(network, images)
    with network.intervene(*doses_of("I->E divisive", [0.5], "fc1")):
        _, cut = _run(network, images)
    torch.testing.assert_close(cut["gain"], 2 * intact["gain"], rtol=1e-6, atol=0)


def test_lesions_of_one_pathway_multiply(network: Network, images: Split) -> None:
    _, intact = _run(network, images)
    with network.intervene(*doses_of("I->E subtractive", [0.5, 0.2], "fc1")):
        _, cut = _run(network, images)
    torch.testing.assert_close(cut["current_inh"], 0.4 * intact["current_inh"], rtol=1e-6, atol=0)


def test_the_network_is_restored_bit_for_bit_even_after_an_error(network: Network, images: Split) -> None:
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    before, _ = _run(network, images)
    with pytest.raises(RuntimeError), network.intervene(*doses_of("I->E subtractive", [1.0])):
        changed, _ = _run(network, images)
        assert not torch.equal(changed, before)
        raise RuntimeError
    after, _ = _run(network, images)
    assert torch.equal(after, before)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def test_dose_zero_changes_not_one_bit(network: Network, images: Split) -> None:
    before, _ = _run(network, images)
    with network.intervene(*doses_of("I->E subtractive", [0.0])):
        during, _ = _run(network, images)
    assert torch.equal(before, during)


def test_wrong_names_and_doses(network: Network) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'I->E subtractive'") as caught:
        doses_of("I->E subtractiv", [0.5])[0].places(network)
    assert caught.value.valid == "input->E, input->I, I->E subtractive, I->E divisive"
    with pytest.raises(ConfigError, match=r"1\.5"):
        doses_of("I->E subtractive", [0.5, 1.5])
    with pytest.raises(ConfigError, match="no denominator"):
        doses_of("I->E divisive", [0.0, 1.0])
    with pytest.raises(UnknownNameError, match="no layer"), network.intervene(*doses_of("input->E", [0.5], "fc7")):
        pass
    with (
        pytest.raises(UnknownNameError, match="no layer"),
        network.intervene(*doses_of("I->E divisive", [0.5], "readout")),
    ):
        pass


def test_dose_response_records_every_dose_on_the_same_samples(network: Network, images: Split, tmp_path: Path) -> None:
    spec = RecordingSpec(samples=6)
    settings = CONFIG.model_dump(mode="json")
    lesions = doses_of("I->E subtractive", [1.0, 0.0, 0.5], "fc*")
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
            doses_of("I->E subtractive", doses),
            RecordingSpec(),
            config=CONFIG.model_dump(mode="json"),
        )
    assert not (tmp_path / "d").exists()


def test_a_random_loss_silences_whole_synapses_of_both_signs_alike(network: Network, images: Split) -> None:
    layer = network.named_layers()["fc1"]
    before, intact = _run(network, images)
    with network.intervene(RandomSynapseLoss(0.4, layers="fc1", seed=3)):
        assert layer.lesion is not None
        exc, inh = layer.lesion.input_exc, layer.lesion.subtractive
        _, cut = _run(network, images)
    assert layer.lesion is None
    assert isinstance(exc, torch.Tensor) and isinstance(inh, torch.Tensor)
    kept = exc.float().mean().item()
    assert abs(kept - 0.6) < 4 * (0.24 / exc.numel()) ** 0.5
    assert 0 < inh.float().mean() < 1
    # by hand, from the weights
    x = torch.from_numpy(images.images).flatten(1)
    expected = x @ (layer.weight_exc.detach() * exc).T
    torch.testing.assert_close(cut["current_exc"][0], expected, rtol=1e-5, atol=1e-6)
    activity = intact["activity"][0]
    torch.testing.assert_close(
        cut["current_inh"][0], activity @ (layer.weight_inh_out.detach() * inh).T, rtol=1e-5, atol=1e-6
    )
    assert torch.equal(cut["inhibition_div"], intact["inhibition_div"])
    after, _ = _run(network, images)
    assert torch.equal(before, after)


def test_random_losses_take_the_current_of_the_lesion_and_are_nested(network: Network, images: Split) -> None:
    lesions = doses_of("I->E subtractive", [0.0, 0.25, 1.0], "fc*")
    means = mean_currents(network, images, RecordingSpec(), ["fc1", "fc2"])
    found = {lesion: losses_of(lesion, network, means, [1, 2]) for lesion in lesions[1:]}
    small, large = (found[lesion][0] for lesion in lesions[1:])
    _, intact = _run(network, images)
    exc, inh = (intact[name].double().mean().item() for name in ("current_exc", "current_inh"))
    assert small[0].layers == "fc1" and small[0].part == pytest.approx(0.25 * inh / (exc + inh), rel=1e-6)
    masks = []
    for loss in (small, large, found[lesions[2]][1]):
        with network.intervene(*loss):
            masks.append(network.named_layers()["fc1"].lesion.input_exc)  # type: ignore[union-attr]
    assert (masks[1] <= masks[0]).all() and not torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[1], masks[2])
    taken = []
    for loss in losses_of(lesions[1], network, means, range(40)):
        with network.intervene(*loss):
            _, cut = _run(network, images)
        taken.append(sum((intact[name] - cut[name]).double().mean().item() for name in ("current_exc", "current_inh")))
    error = np.std(taken, ddof=1) / np.sqrt(len(taken))
    assert np.mean(taken) == pytest.approx(0.25 * inh, abs=4 * error)
    assert error < 0.02 * inh


def test_controls_are_refused_where_there_are_none(network: Network, images: Split, tmp_path: Path) -> None:
    settings = CONFIG.model_dump(mode="json")
    spec = RecordingSpec(samples=3)
    divisive = doses_of("I->E divisive", [0.0, 0.5], "fc*")
    with pytest.raises(ConfigError, match="no random control"):
        dose_response(network, images, tmp_path / "d", divisive, spec, config=settings, n_controls=1)
    lesions = doses_of("input->E", [0.0, 0.5], "fc*")
    with pytest.raises(ConfigError, match="-1 controls"):
        dose_response(network, images, tmp_path / "d", lesions, spec, config=settings, n_controls=-1)
    signed = initialise(load_config(None, ["network.hidden=[20, 16]", "network.layer=none"]), 5)
    with pytest.raises(UnknownNameError, match="no pathway 'I->E subtractive'.*input->E subtractive"):
        dose_response(signed, images, tmp_path / "d", doses_of("I->E subtractive", [0.0, 0.5]), spec, config=settings)
    assert not (tmp_path / "d").exists()


def test_the_analysis_sets_controls_beside_the_lesion(network: Network, images: Split, tmp_path: Path) -> None:
    settings = CONFIG.model_dump(mode="json")
    lesions = doses_of("I->E subtractive", [0.0, 0.5, 1.0], "fc*")
    made = dose_response(network, images, tmp_path / "d", lesions, RecordingSpec(), config=settings, n_controls=2)
    assert [path.name for path in made[:4]] == ["dose-0.0", "dose-0.5", "dose-0.5-control-1", "dose-0.5-control-2"]
    result = Lesions().run(made, n_bootstrap=10).data
    assert result["control_accuracy"].sizes == {"control": 2, "dose": 3}
    assert result["control_value"].sel(dose=0.0).isnull().all()
    assert result.attrs["neurons"] == "fc1/E: 20 of 20, fc2/E: 16 of 16, readout/E: 10 of 10"
    seed = int(result["control"][1])
    tree = eiplatform.open(tmp_path / "d" / f"dose-1.0-control-{seed}")
    rate = tree["fc2/E"].ds["spikes"].mean().item()
    cell = result["control_value"].sel(control=seed, dose=1.0, population="fc2/E", statistic="rate")
    assert float(cell) == pytest.approx(rate, rel=1e-6)
    with pytest.raises(StoreError, match="lacks dose-0.5-control-2"):
        Lesions().run([path for path in made if path.name != "dose-0.5-control-2"], n_bootstrap=10)
