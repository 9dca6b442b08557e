"""Leaky integrate-and-fire neurons with a trainable threshold each (STL-SNN, arXiv 2206.06129)."""

from __future__ import annotations

from eiplatform.networks.neuron import NeuronModel, plain

MODEL = NeuronModel(plain)
