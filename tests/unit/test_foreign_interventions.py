"""Scaling weights of one sign in a torch module: currents follow, weights come back, mixed inputs are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import eiplatform as ei
from eiplatform.errors import ConfigError, UnknownNameError
from eiplatform.interventions.intervention import kinds
from eiplatform.networks.intervening import UnchangedWarning


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))


def test_negative_weights_are_inhibition_and_come_back() -> None:
    module = _net()
    images = torch.rand(8, 9)
    network = ei.adapt(module, images)
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    intact = ei.record(network, images, quiet=True)
    with pytest.raises(RuntimeError), ei.intervene(network, ei.Scale("input->E subtractive", 0.25, layers="2")):
        hurt = ei.record(network, images, quiet=True)
        raise RuntimeError
    np.testing.assert_allclose(hurt["2"]["current_inh"], 0.25 * intact["2"]["current_inh"], rtol=1e-5)
    np.testing.assert_allclose(hurt["2"]["current_exc"], intact["2"]["current_exc"], rtol=1e-5)
    np.testing.assert_array_equal(hurt["0"]["current_inh"], intact["0"]["current_inh"])
    assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())
    assert hurt.attrs["source"]["lesions"][0]["pathway"] == "input->E subtractive"
    assert network.interventions == ()
    with ei.intervene(network, ei.Scale("2", 2.0)):
        more = ei.record(network, images, quiet=True)
    np.testing.assert_allclose(more["2"]["current_exc"], 2 * intact["2"]["current_exc"], rtol=1e-5)


def test_chosen_neurons_random_losses_and_silence() -> None:
    module = _net()
    images = torch.rand(8, 9)
    network = ei.adapt(module, images)
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    intact = ei.record(network, images, quiet=True)["2"]
    with ei.intervene(network, ei.Scale("input->E subtractive", 0.25, layers="2", neurons=[1, 3])):
        some = ei.record(network, images, quiet=True)["2"]
    for neuron in range(4):
        factor = 0.25 if neuron in (1, 3) else 1.0
        np.testing.assert_allclose(
            some["current_inh"][..., neuron], factor * intact["current_inh"][..., neuron], rtol=1e-5
        )
    with ei.intervene(network, ei.RandomSynapseLoss(0.5, layers="2", seed=3)):
        left = module[2].weight.detach().clone()
        lost = ei.record(network, images, quiet=True)
    kept = left != 0
    assert 0 < kept.float().mean() < 1 and torch.equal(left[kept], weights["2.weight"][kept])
    assert (lost["2"]["current_exc"] <= intact["current_exc"] + 1e-6).all()
    with ei.intervene(network, ei.Silence("2", [0], cuts="incoming")):
        cut = ei.record(network, images, quiet=True)
    assert (cut["2"]["current_exc"][..., 0] == 0).all() and (cut["2"]["current_inh"][..., 0] == 0).all()
    np.testing.assert_array_equal(cut["2"]["current_exc"][..., 1:], intact["current_exc"][..., 1:])
    (said,) = cut.attrs["source"]["lesions"]
    assert (said["neurons"], said["dose"], said["check"]) == ([0], 0.25, {"changed": True})
    with pytest.warns(UnchangedWarning), ei.intervene(network, ei.Scale("input->E", 1.0, layers="2")):
        pass
    assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())


def test_every_kind_says_whether_it_acts_on_weights() -> None:
    able = {name for name, kind in kinds().items() if "on_weights" in vars(kind)}
    assert able == {"Scale", "RandomSynapseLoss", "Silence"}


def test_what_a_module_does_not_expose_is_refused_before_anything_changes() -> None:
    module = _net()
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    network = ei.adapt(module, torch.rand(8, 9))
    for one, valid in ((ei.Mean("input->E"), "Scale"), (ei.Scale("input->E", 0.5, steps=(0, 1)), "all steps")):
        with pytest.raises(ConfigError) as caught, ei.intervene(network, one):
            pass
        assert valid in (caught.value.valid or "")
    for one in (ei.Silence("2", [0]), ei.Silence("9", cuts="incoming"), ei.RandomSynapseLoss(0.5, layers="9")):
        with pytest.raises((ConfigError, UnknownNameError)), ei.intervene(network, one):
            pass
    with pytest.raises(UnknownNameError) as unknown, ei.intervene(network, ei.Scale("I->E subtractive", 0.5)):
        pass
    assert "2 subtractive" in (unknown.value.valid or "")
    with pytest.raises(UnknownNameError), ei.intervene(network, ei.Scale("input->E", 0.5, layers="9")):
        pass
    signed = ei.adapt(module, torch.randn(8, 9))
    with pytest.raises(ConfigError) as caught, ei.intervene(signed, ei.Scale("input->E subtractive", 0.5, layers="0")):
        pass
    assert "both signs" in caught.value.what
    assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())
