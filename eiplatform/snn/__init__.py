"""Deep E-I spiking networks: circuit, neurons, initialisation, networks, checkpoints."""

from __future__ import annotations

from eiplatform.snn.backei import BackEILayer
from eiplatform.snn.build import build_network
from eiplatform.snn.checkpoint import CheckpointError, load, save
from eiplatform.snn.circuit import EIParameters, ReadoutParameters, ei_layer, ei_readout
from eiplatform.snn.convnet import ConvNet
from eiplatform.snn.dann import DANNLayer, DANNReadout
from eiplatform.snn.description import Pathway, PopulationInfo
from eiplatform.snn.equilibrium.network import FeedbackNetwork
from eiplatform.snn.initialise import initialise_ei, initialise_network
from eiplatform.snn.kernels import FusedKernel, StepwiseKernel
from eiplatform.snn.layers import Circuit, EICircuit, EIConv2d, EILayer, EILinear, EILinearReadout, EIReadout
from eiplatform.snn.mlp import MLP
from eiplatform.snn.network import Network, Output
from eiplatform.snn.neuron import LIF, Membrane, lif_sequence, lif_step
from eiplatform.snn.pathways import PathwayScale
from eiplatform.snn.prop import EIProp
from eiplatform.snn.rate import RateNeuron
from eiplatform.snn.resnet import ResNet
from eiplatform.snn.signed import BatchNorm, SignedLayer, SignedReadout
from eiplatform.snn.stepwise import Firing, StepwiseNeuron
from eiplatform.snn.surrogate import SURROGATES, Surrogate, make_surrogate

__all__ = [
    "LIF",
    "MLP",
    "SURROGATES",
    "BackEILayer",
    "BatchNorm",
    "CheckpointError",
    "Circuit",
    "ConvNet",
    "DANNLayer",
    "DANNReadout",
    "EICircuit",
    "EIConv2d",
    "EILayer",
    "EILinear",
    "EILinearReadout",
    "EIParameters",
    "EIProp",
    "EIReadout",
    "FeedbackNetwork",
    "Firing",
    "FusedKernel",
    "Membrane",
    "Network",
    "Output",
    "Pathway",
    "PathwayScale",
    "PopulationInfo",
    "RateNeuron",
    "ReadoutParameters",
    "ResNet",
    "SignedLayer",
    "SignedReadout",
    "StepwiseKernel",
    "StepwiseNeuron",
    "Surrogate",
    "build_network",
    "ei_layer",
    "ei_readout",
    "initialise_ei",
    "initialise_network",
    "lif_sequence",
    "lif_step",
    "load",
    "make_surrogate",
    "save",
]
