"""The whole configuration of a training run, from a file, and its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from eiplatform.config.base import Frozen
from eiplatform.config.network import NetworkConfig
from eiplatform.config.reading import parse_assignment, parse_model, read_yaml
from eiplatform.config.training import DatasetConfig, TrainingConfig
from eiplatform.earlier import as_hashed
from eiplatform.errors import ConfigError

__all__ = ["Config", "config_hash", "load_config", "parse_config"]


class Config(Frozen):
    """Everything that decides the outcome of a training run.

    Examples
    --------
    >>> Config().network.steps
    4
    """

    seed: int = Field(1, ge=0, lt=2**32)
    dataset: DatasetConfig = DatasetConfig()
    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _parts_fit(self) -> Config:
        neuron, training = self.network.neuron, self.training
        if not neuron.fused and training.backend == "compiled":
            raise ValueError("the compiled backend is for plain lif neurons; these need training.backend eager")
        if training.trained != "all" and neuron.model != "stl":
            raise ValueError(f"training.trained {training.trained} is for network.neuron.model stl")
        if training.balance and neuron.model == "relu":
            raise ValueError("training.balance acts on membrane potentials, which model relu does not have")
        implicit = self.network.architecture == "feedback" and self.network.feedback.gradient != "bptt"
        if training.balance and implicit:
            raise ValueError("training.balance acts through time; of feedback networks it needs feedback.gradient bptt")
        return self


def load_config(path: Path | str | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration.

    Parameters
    ----------
    path : path, optional
        YAML file; without it the defaults.
    overrides : sequence of str
        ``dotted.key=value``, the value in YAML; the last one wins.

    Raises
    ------
    ConfigError
        For a file that cannot be read, a key that does not exist (with the valid keys and the
        nearest), or a value that is not possible.

    Examples
    --------
    >>> load_config(None, ["network.hidden=[64, 32]", "training.learning_rate=1e-2"]).network.hidden
    (64, 32)
    """
    where = "configuration" if path is None else str(path)
    data = {} if path is None else read_yaml(path)
    for override in overrides:
        key, value = parse_assignment(override, where=where)
        parts = key.split(".")
        branch: Any = data
        for part in parts[:-1]:
            branch = branch.setdefault(part, {})
            if not isinstance(branch, dict):
                raise ConfigError(f"'{part}' has no keys of its own", where=f"{where}: {key}")
        branch[parts[-1]] = value
    return parse_config(data, where=where)


def parse_config(data: Any, *, where: str = "configuration") -> Config:
    """Check a configuration given as nested dictionaries, e.g. from a checkpoint.

    Parameters
    ----------
    data : dict
    where : str
        Named in errors.

    Raises
    ------
    ConfigError
    """
    return parse_model(Config, data, where=where)


def config_hash(config: Config | Mapping[str, Any]) -> str:
    """Return the SHA-256 of everything that decides the outcome; where files lie and are written does not.

    Parameters
    ----------
    config : Config or mapping
        A mapping is a configuration as it was stored, whose fields may be those of an earlier version.

    Examples
    --------
    >>> config_hash(Config()) == config_hash(Config(dataset=DatasetConfig(root="/elsewhere")))
    True
    """
    data = as_hashed(config if isinstance(config, Mapping) else config.model_dump(mode="json"))
    for part, left_out in (("dataset", ("root", "download")), ("training", ("tensorboard",))):
        data[part] = {key: value for key, value in data[part].items() if key not in left_out}
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
