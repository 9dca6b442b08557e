"""Weights and images by formula, so that golden numbers need not be stored with their inputs."""

import math

import numpy as np
import torch

from eiplatform.networks import Network


def numbers(shape: tuple[int, ...], salt: int) -> np.ndarray:
    """Numbers in (0, 1), the same on every machine: an integer hash of position and `salt`."""
    k = np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(1000003 * salt)
    k = (k ^ (k >> np.uint64(15))) * np.uint64(2246822519) % np.uint64(2**32)
    k = (k ^ (k >> np.uint64(13))) * np.uint64(3266489917) % np.uint64(2**32)
    k = k ^ (k >> np.uint64(16))
    return ((k.astype(np.float64) + 0.5) / 2**32).reshape(shape)


def pictures(batch: int, size: int, salt: int) -> np.ndarray:
    """Images (batch, 3, size, size) in [0, 1) with many zeros; the upper half of the first is blank."""
    x = numbers((batch, 3, size, size), salt)
    x = np.where(x < 0.4, 0.0, x)
    x[0, :, : size // 2] = 0.0
    return x


def values(name: str, shape: tuple[int, ...], salt: int, n_inputs: int) -> np.ndarray:
    """Values of a parameter of a layer with so many inputs per neuron; 60 % of the weights are zero."""
    u = numbers(shape, salt)
    if name == "bias":
        return 0.4 * (u - 0.4)
    if name == "gain_inh":
        return (0.5 + u) * 2 / math.sqrt(n_inputs)
    if name == "gain_exc":
        return 0.5 + u
    scale = 1 / (shape[1] * (1 - 0.6)) if name == "weight_inh_out" else math.sqrt(0.5 / n_inputs)
    return np.where(numbers(shape, salt + 501) < 0.6, 0.0, -np.log(u) * scale)


NAMES = ("weight_exc", "weight_inh_in", "weight_inh_out", "gain_inh", "gain_exc", "bias")
"""Parameters of a hidden layer in the order of their salts: six a layer, the readout lacks the last three."""


def fill(network: Network) -> None:
    """Set all parameters of an E-I network by formula, layer by layer."""
    with torch.no_grad():
        for number, layer in enumerate(network.named_layers().values()):
            for position, name in enumerate(NAMES):
                parameter = dict(layer.named_parameters()).get(name)
                if parameter is not None:
                    salt = 6 * number + position + 1
                    shape = tuple(parameter.shape)
                    parameter.copy_(torch.tensor(values(name, shape, salt, layer.transform.fan_in)))
