"""Training that goes on from a checkpoint."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from eiplatform.config import Config
from eiplatform.datasets import DataBundle
from eiplatform.errors import ConfigError, TrainingError
from eiplatform.networks import build_network, load
from eiplatform.training.finished import why_unfinished

__all__ = ["with_start_hash", "read_weights"]


def with_start_hash(config: Config) -> Config:
    """Write down what `training.start` holds, so that a run says what it began with.

    Returns
    -------
    Config
        With `training.start_sha256`; `config` itself if training begins with E-I Init.

    Raises
    ------
    ConfigError
        If the file does not exist, or `training.start_sha256` is that of another.
    TrainingError
        If the checkpoint is of a training that did not finish, and its SHA-256 was not named.

    Examples
    --------
    >>> with_start_hash(Config()) == Config()
    True
    """
    part = config.training
    if part.start is None:
        return config
    path = Path(part.start)
    if not path.is_file():
        raise ConfigError(
            f"the checkpoint {path} does not exist",
            where="training.start",
            valid="a file such as RUN/best.safetensors, from where the command is given",
        )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if part.start_sha256 is None and (why := why_unfinished(path)):
        raise TrainingError(
            f"this training did not finish; it stopped {why}",
            where=f"training.start: {path}",
            remedy=(
                "finish it with 'eiplatform train --resume'",
                f"set training.start_sha256 to {found} to take it as it is",
            ),
        )
    if part.start_sha256 not in (None, found):
        raise ConfigError(
            f"{path} is not the expected file: its SHA-256 is {found}",
            where="training.start_sha256",
            valid=part.start_sha256,
        )
    return config.model_copy(update={"training": part.model_copy(update={"start_sha256": found})})


def read_weights(config: Config, data: DataBundle) -> dict[str, Tensor] | None:
    """Return the weights that training begins with, None if those of E-I Init.

    Parameters
    ----------
    config : Config
    data : DataBundle
        Gives the shape of the input and the classes.

    Raises
    ------
    CheckpointError
        If the checkpoint is damaged.
    ConfigError
        If it is of another network, or learnt on images that would validate now.
    """
    if config.training.start is None:
        return None
    network, before = load(config.training.start)
    old, new = before.dataset, config.dataset
    split = {"seed": (before.seed, config.seed), "dataset.validation": (old.validation, new.validation)}
    changed = [f"{name} {a}, now {b}" for name, (a, b) in split.items() if a != b]
    if old.name == new.name and changed:
        raise ConfigError(
            f"this checkpoint was trained on images that would now validate: it had {', '.join(changed)}",
            where="training.start",
            remedy="train with the same values, which decide what validates",
        )
    with torch.device("meta"):  # shapes without memory
        wanted = build_network(config, data.info.input_shape, data.info.n_classes).state_dict()
    weights = network.state_dict()
    for name in [*wanted, *(weights.keys() - wanted.keys())]:
        here, there = (tuple(v[name].shape) if name in v else "none" for v in (wanted, weights))
        if here != there:
            raise ConfigError(
                f"'{name}' has shape {there} in the checkpoint and {here} in this network",
                where="training.start",
                remedy="choose the architecture and layers of the checkpoint",
            )
    return weights
