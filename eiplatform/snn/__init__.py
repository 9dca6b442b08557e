"""Deep E-I spiking networks: circuit, neurons, initialisation, networks, checkpoints."""

from __future__ import annotations

from eiplatform.snn.checkpoint import CheckpointError, load, save
from eiplatform.snn.circuit import EIParameters, EIProp, PathwayScale, ReadoutParameters, ei_layer, ei_readout
from eiplatform.snn.initialise import initialise_ei
from eiplatform.snn.layers import EICircuit, EILayer, EILinear, EILinearReadout, EIReadout
from eiplatform.snn.network import MLP, Network, Output, Pathway, PopulationInfo, build_network
from eiplatform.snn.neuron import LIF, Membrane, lif_sequence, lif_step
from eiplatform.snn.surrogate import SURROGATES, Surrogate, make_surrogate

__all__ = [
    "LIF",
    "MLP",
    "SURROGATES",
    "CheckpointError",
    "EICircuit",
    "EILayer",
    "EILinear",
    "EILinearReadout",
    "EIParameters",
    "EIProp",
    "EIReadout",
    "PathwayScale",
    "Membrane",
    "Network",
    "Output",
    "Pathway",
    "PopulationInfo",
    "ReadoutParameters",
    "Surrogate",
    "build_network",
    "ei_layer",
    "ei_readout",
    "initialise_ei",
    "lif_sequence",
    "lif_step",
    "load",
    "save",
    "make_surrogate",
]
