"""Deep E-I spiking networks: layers, neurons, initialisation, networks, checkpoints."""

from __future__ import annotations

from eiplatform.networks.build import build_network
from eiplatform.networks.checkpoint import CheckpointError, load, save
from eiplatform.networks.convnet import ConvNet
from eiplatform.networks.description import Pathway, PopulationInfo
from eiplatform.networks.equilibrium.network import FeedbackNetwork
from eiplatform.networks.initialise import initialise_ei, initialise_network
from eiplatform.networks.kernels.ei import EIParameters, ReadoutParameters, ei_layer, ei_readout
from eiplatform.networks.kernels.kernel import FusedKernel, StepwiseKernel
from eiplatform.networks.kernels.lif import LIF, Membrane, lif_sequence, lif_step
from eiplatform.networks.kernels.prop import EIProp
from eiplatform.networks.kernels.surrogate import SURROGATES, Surrogate, make_surrogate
from eiplatform.networks.layer import Layer, LayerType
from eiplatform.networks.layers.dann import DANNLayer, DANNReadout
from eiplatform.networks.layers.ei import EIBase, EIConv2d, EILayer, EILinear, EILinearReadout, EIReadout
from eiplatform.networks.mlp import MLP
from eiplatform.networks.network import Network, Output
from eiplatform.networks.neuron import Firing, NeuronModel, StepwiseNeuron
from eiplatform.networks.neurons.backei import BackEILayer
from eiplatform.networks.neurons.relu import RateNeuron
from eiplatform.networks.pathways import PathwayScale
from eiplatform.networks.resnet import ResNet
from eiplatform.networks.signed import BatchNorm, SignedLayer, SignedReadout

__all__ = [
    "LIF",
    "MLP",
    "SURROGATES",
    "BackEILayer",
    "BatchNorm",
    "CheckpointError",
    "Layer",
    "LayerType",
    "ConvNet",
    "DANNLayer",
    "DANNReadout",
    "EIBase",
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
    "NeuronModel",
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
