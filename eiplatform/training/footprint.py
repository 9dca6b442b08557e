"""What a network's parameters need in memory, found out before the network is made."""

from __future__ import annotations

import torch

from eiplatform.config import Config
from eiplatform.datasets import DataBundle
from eiplatform.errors import ConfigError
from eiplatform.memory import available_memory, in_units
from eiplatform.networks import build_network

__all__ = ["check_footprint"]


def check_footprint(config: Config, data: DataBundle) -> None:
    """Refuse to train a network whose parameters alone do not fit into memory.

    Counted are, in float32, parameters, their average, gradients and what the optimiser keeps of each parameter;
    the values between layers come on top of it.

    Parameters
    ----------
    config : Config
    data : DataBundle
        Gives the shape of the input and the classes.

    Raises
    ------
    ConfigError
        If more is needed than is free.
    """
    with torch.device("meta"):  # shapes without memory
        network = build_network(config, data.info.input_shape, data.info.n_classes)
    part = config.training
    kept = (1 if part.momentum else 0) if part.optimiser == "sgd" else 2
    kept += 1 if part.average else 0
    n_parameters = sum(p.numel() for p in network.parameters())
    needed, free = 4 * n_parameters * (2 + kept), available_memory()
    if part.device != "cuda" and needed > free:
        raise ConfigError(
            f"{n_parameters / 1e6:.0f} million parameters need {in_units(needed)}, {in_units(free)} are free",
            where="network",
            remedy="choose fewer or smaller layers",
        )
