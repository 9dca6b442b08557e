"""Leaky integrate-and-fire neurons."""

from __future__ import annotations

from eiplatform.networks.neuron import NeuronModel, plain

MODEL = NeuronModel(plain)
