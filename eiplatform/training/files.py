"""The files of a run: what they are called, when they may be written, and what they say."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from torch import Tensor
from torch.optim import Optimizer

from eiplatform.config import Config, config_hash, parse_config, read_yaml
from eiplatform.earlier import current
from eiplatform.errors import ConfigError, TrainingError
from eiplatform.files import read_json, write_bytes
from eiplatform.metrics import Metrics, checked_metrics
from eiplatform.networks import Network, load
from eiplatform.networks.checkpoint import FORMAT_VERSION, CheckpointError, read_tensors, write_tensors
from eiplatform.training.averaging import WeightAverage
from eiplatform.untrusted import reading

__all__ = ["BEST", "CONFIG", "LAST", "METRICS", "Metrics", "RESULT", "STATE", "UNTRAINED", "TrainResult"]

UNTRAINED, BEST, LAST, STATE = "untrained.safetensors", "best.safetensors", "last.safetensors", "state.safetensors"
METRICS, RESULT, CONFIG = "metrics.jsonl", "result.json", "config.yml"


@dataclass(frozen=True)
class TrainResult:
    """Outcome of :func:`fit`.

    Attributes
    ----------
    out : Path
    checkpoint : Path
        Best epoch by validation accuracy (the later of equals): the network to use.
    last, untrained : Path
        After the last epoch; after E-I Init alone.
    epochs, best_epoch : int
    validation_accuracy, test_accuracy : float
        Of `checkpoint`.
    n_test : int
    config_hash : str
    warnings : tuple of str
    seconds : float
        Wall time of all epochs.
    """

    out: Path
    checkpoint: Path
    last: Path
    untrained: Path
    epochs: int
    best_epoch: int
    validation_accuracy: float
    test_accuracy: float
    n_test: int
    config_hash: str
    warnings: tuple[str, ...]
    seconds: float


def stored_config(out: Path) -> Config:
    """Return the configuration of a run, as it was stored, of earlier versions too."""
    return parse_config(current(read_yaml(out / CONFIG)), where=str(out / CONFIG))


def check_resumable(config: Config, out: Path) -> TrainResult | None:
    """Return the result of a finished run, None for one that can go on, or raise."""
    if not (out / STATE).is_file() or not (out / CONFIG).is_file():
        raise TrainingError("no training was begun here", where=str(out), remedy="start it without resume")
    before = stored_config(out)
    if config_hash(before) != config_hash(config):
        old, new = _flat(before.model_dump(mode="json")), _flat(config.model_dump(mode="json"))
        changed = [f"{key} was {old[key]}, is {new[key]}" for key in old if old[key] != new[key]]
        raise ConfigError(
            f"the run to resume has another configuration: {'; '.join(changed)}",
            where=str(out / CONFIG),
            remedy="resume with the same configuration or start anew",
        )
    if not (out / RESULT).is_file():
        return None
    for name in (UNTRAINED, BEST, LAST):
        load(out / name)  # or says that it is damaged
    read_tensors(out / STATE, "training state")
    facts = read_json(out / RESULT)
    found: dict[str, Any] = {field.name: facts.get(field.name) for field in dataclasses.fields(TrainResult)}
    found |= {"out": out, "checkpoint": out / BEST, "last": out / LAST, "untrained": out / UNTRAINED}
    with reading(out / RESULT, what="the result of the run is damaged", error=TrainingError):
        return TypeAdapter(TrainResult).validate_python(found)


def write_metrics(out: Path, metrics: Metrics) -> None:
    """Write one JSON line per epoch."""
    write_bytes(out / METRICS, "".join(json.dumps(line) + "\n" for line in metrics).encode())


def write_tensorboard(out: Path, line: dict[str, Any]) -> None:
    """Append one epoch's metrics to the event files below ``out/tensorboard``."""
    from torch.utils import tensorboard

    open_writer: Any = tensorboard.SummaryWriter  # untyped in some versions
    epoch = line["epoch"]
    # What a killed run wrote of this epoch and later ones is thereby marked as void.
    with open_writer(str(out / "tensorboard"), purge_step=epoch) as writer:
        for key in ("loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate"):
            if line[key] is not None:
                writer.add_scalar(key, line[key], epoch)
        for key in ("rates", "silent"):
            for layer, value in line[key].items():
                writer.add_scalar(f"{key}/{layer}", value, epoch)


def write_result(result: TrainResult, **facts: Any) -> None:
    """Write the outcome and further facts as JSON; a run is finished when this file is there."""
    content = {key: value for key, value in dataclasses.asdict(result).items() if not isinstance(value, Path)}
    write_bytes(result.out / RESULT, (json.dumps(content | facts, indent=2) + "\n").encode())


def write_state(
    out: Path,
    network: Network,
    optimiser: Optimizer,
    config: Config,
    average: WeightAverage | None,
    metrics: Metrics,
    best_epoch: int,
) -> None:
    """Write all that a resumed run needs, in one file."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in average.network.state_dict().items()}
    for index, values in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{key}": v for key, v in values.items() if isinstance(v, Tensor)}
    meta = {
        "format": FORMAT_VERSION,
        "kind": "training state",
        "config_hash": config_hash(config),
        "best_epoch": best_epoch,
        "metrics": metrics,
    }
    write_tensors(out / STATE, tensors, meta)


def read_state(
    out: Path, network: Network, optimiser: Optimizer, config: Config, average: WeightAverage | None
) -> tuple[Metrics, int]:
    """Fill `network`, `optimiser` and `average`; return the metrics so far and the best epoch."""
    tensors, meta = read_tensors(out / STATE, "training state")
    weights: dict[str, Tensor] = {}
    averaged: dict[str, Tensor] = {}
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "network":
            weights[rest] = tensor
        elif kind == "average":
            averaged[rest] = tensor
        else:
            index, _, key = rest.partition(".")
            state.setdefault(int(index) if index.isdecimal() else -1, {})[key] = tensor
    with reading(out / STATE, what="the state does not fit", error=CheckpointError):
        if meta["config_hash"] != config_hash(config):
            raise CheckpointError("the state belongs to another configuration", where=str(out / STATE))
        network.load_state_dict(weights)
        if average is not None:
            average.network.load_state_dict(averaged)
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
        metrics = checked_metrics(meta["metrics"], out / STATE, CheckpointError, resume=True)
        best_epoch = int(meta["best_epoch"])
        if not 0 <= best_epoch < len(metrics):
            raise CheckpointError(f"the state has no epoch {best_epoch}", where=str(out / STATE))
        for parameter, values in optimiser.state.items():
            if any(isinstance(one, Tensor) and one.shape not in (parameter.shape, ()) for one in values.values()):
                raise CheckpointError("the optimiser's state does not fit the network", where=str(out / STATE))
        return metrics, best_epoch


def _flat(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
