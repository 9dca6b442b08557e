"""Train an E-I network: small, deterministic, resumable, with a test split that is read once.

Every random choice is a function of (seed, purpose, epoch), so a resumed run needs no state of
any generator: it ends with the same weights, bit for bit (same device and number of threads).
Checkpoints are chosen on a validation split; the test split is opened after the last epoch.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.nn import functional
from torch.optim import SGD, AdamW, Optimizer

from eiplatform.config import Config, TrainingConfig, config_hash, load_config
from eiplatform.datasets import DataBundle, Split, load, split_validation
from eiplatform.errors import ConfigError, DeviceError, OutputExistsError, TrainingError
from eiplatform.snn import Network, build_network, dale, initialise_ei
from eiplatform.snn import load as load_checkpoint
from eiplatform.snn import save as save_checkpoint
from eiplatform.snn.checkpoint import FORMAT_VERSION, CheckpointError, read_tensors, write_atomic, write_tensors
from eiplatform.snn.diagnosis import check_rates, first_non_finite
from eiplatform.snn.layers import EILayer

__all__ = ["Evaluation", "TrainResult", "epoch_order", "evaluate", "fit", "initialise", "learning_rate"]

Progress = Callable[[int, int, str], None]

UNTRAINED, BEST, LAST, STATE = "untrained.safetensors", "best.safetensors", "last.safetensors", "state.safetensors"
METRICS, RESULT, CONFIG = "metrics.jsonl", "result.json", "config.yml"


class Evaluation(NamedTuple):
    """How a network does on a split.

    Attributes
    ----------
    loss, accuracy : float
        Mean cross entropy and part of the samples that are classified rightly.
    rates : dict of str to float
        Mean spikes per neuron and step of each hidden layer's E neurons.
    silent : dict of str to float
        Part of each hidden layer's E neurons that never fire on this split.
    """

    loss: float
    accuracy: float
    rates: dict[str, float]
    silent: dict[str, float]


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


def learning_rate(training: TrainingConfig, iteration: int, per_epoch: int) -> float:
    """Return the learning rate of one iteration: linear rise, then cosine to 0.

    Parameters
    ----------
    training : TrainingConfig
    iteration : int
        From 0.
    per_epoch : int
        Iterations per epoch.

    Examples
    --------
    >>> training = TrainingConfig(epochs=4, warmup_epochs=2, learning_rate=0.1, warmup_from=0.0)
    >>> [round(learning_rate(training, i, 1), 3) for i in range(4)]
    [0.0, 0.05, 0.1, 0.05]
    """
    warm, total = training.warmup_epochs * per_epoch, training.epochs * per_epoch
    peak, start = training.learning_rate, training.warmup_from
    if iteration < warm:
        return start + (peak - start) * iteration / warm
    if training.schedule == "constant":
        return peak
    return 0.5 * peak * (1 + math.cos(math.pi * (iteration - warm) / (total - warm)))


def epoch_order(n_samples: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order in which an epoch shows the training samples, a function of its arguments."""
    return np.random.default_rng([seed, epoch]).permutation(n_samples)


def initialise(config: Config, seed: int | None = None, *, data: DataBundle | None = None) -> Network:
    """Build a network and apply E-I Init on the first training batch.

    Parameters
    ----------
    config : Config
    seed : int, optional
        Of the weights (default ``config.seed``).  The batch stays that of ``config.seed``:
        other seeds give other null networks for the same inputs.
    data : DataBundle, optional
        If it is loaded already.

    Returns
    -------
    Network
    """
    data = load(config.dataset.name, config.dataset.root) if data is None else data
    train, _ = split_validation(data.train, config.dataset.validation, config.seed)
    first = epoch_order(len(train), config.seed, 1)[: config.training.batch_size]
    network = build_network(config, data.info.input_shape, data.info.n_classes)
    generator = torch.Generator().manual_seed(config.seed if seed is None else seed)
    initialise_ei(network, torch.from_numpy(train.images[first]), generator)
    return network


def evaluate(network: Network, split: Split, *, batch_size: int = 256, steps: int | None = None) -> Evaluation:
    """Measure loss, accuracy and firing rates of a network, lesions included, on a split.

    Parameters
    ----------
    network : Network
    split : Split
    batch_size : int
    steps : int, optional
        Time steps (default: those of training).

    Returns
    -------
    Evaluation
    """
    device = next(network.parameters()).device
    hidden = [name for name, layer in network.circuits().items() if isinstance(layer, EILayer)]
    record = {f"{name}/E": frozenset({"spikes"}) for name in hidden}
    counts: dict[str, Tensor] = {}
    loss, correct = 0.0, 0
    n_steps = 0
    with torch.no_grad():
        for start in range(0, len(split), batch_size):
            x, y = _tensors(split, slice(start, start + batch_size), device)
            logits, signals, _ = network.run(x, steps, record)
            loss += functional.cross_entropy(logits, y, reduction="sum").item()
            correct += int((logits.argmax(1) == y).sum())
            for name in hidden:
                spikes = signals[f"{name}/E"]["spikes"]
                n_steps = spikes.shape[0]
                fired = spikes.double().sum((0, 1)).flatten()
                counts[name] = counts[name] + fired if name in counts else fired
    return Evaluation(
        loss / len(split),
        correct / len(split),
        {name: counts[name].mean().item() / (n_steps * len(split)) for name in hidden},
        {name: (counts[name] == 0).double().mean().item() for name in hidden},
    )


def fit(
    config: Config,
    out: Path | str,
    *,
    progress: Progress | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> TrainResult:
    """Train the network that `config` describes.

    Writes into `out`: ``config.yml``, ``metrics.jsonl`` (a line per epoch, epoch 0 untrained),
    ``untrained``, ``best``, ``last`` and ``state.safetensors`` and, at the end, ``result.json``.

    Parameters
    ----------
    config : Config
    out : path
    progress : callable, optional
        Called as ``progress(done, total, message)`` after each iteration.
    resume : bool
        Continue the run in `out` after its last complete epoch; a finished run is returned.
    overwrite : bool
        Replace the run in `out`.

    Returns
    -------
    TrainResult

    Raises
    ------
    OutputExistsError
        If `out` holds a run and neither `resume` nor `overwrite` is given.
    ConfigError
        If the run to resume has another configuration.
    TrainingError
        If there is nothing to resume, the loss is not finite, or a layer is dead or saturated.
    DeviceError
        If the device is not there.
    """
    out = Path(out)
    device = _device(config)
    data = load(config.dataset.name, config.dataset.root)
    if resume:
        finished = _check_resumable(config, out)
        if finished is not None:
            return finished
    else:
        _claim(out, overwrite)
    with _deterministic(device):
        return _Run(config, out, data, device, progress).go(resume)


class _Run:
    def __init__(
        self, config: Config, out: Path, data: DataBundle, device: torch.device, progress: Progress | None
    ) -> None:
        self.config, self.out, self.data, self.device, self.progress = config, out, data, device, progress
        self.train, self.validation = split_validation(data.train, config.dataset.validation, config.seed)
        self.per_epoch = math.ceil(len(self.train) / config.training.batch_size)
        self.network = initialise(config, data=data).to(device)
        self.optimiser = _optimiser(config.training, self.network)
        dale.attach(self.optimiser, self.network)
        self.metrics: list[dict[str, Any]] = []
        self.best_epoch = 0

    def go(self, resume: bool) -> TrainResult:
        if resume:
            self._restore()
        else:
            write_atomic(self.out / CONFIG, yaml.safe_dump(_plain(self.config), sort_keys=False).encode())
            save_checkpoint(self.out / UNTRAINED, self.network, self.config, epoch=0)
            self._close_epoch(0, None, 0.0)
        for epoch in range(len(self.metrics), self.config.training.epochs + 1):
            start = time.perf_counter()
            loss, accuracy = self._epoch(epoch)
            self._close_epoch(epoch, (loss, accuracy), start)
        return self._finish()

    def _epoch(self, epoch: int) -> tuple[float, float]:
        part, n = self.config.training, len(self.train)
        order = epoch_order(n, self.config.seed, epoch)
        summed, correct = 0.0, 0
        for number in range(self.per_epoch):
            iteration = (epoch - 1) * self.per_epoch + number
            for group in self.optimiser.param_groups:
                group["lr"] = learning_rate(part, iteration, self.per_epoch)
            index = order[number * part.batch_size : (number + 1) * part.batch_size]
            x, y = _tensors(self.train, index, self.device)
            logits = self.network.run(x).logits
            loss = functional.cross_entropy(logits, y)
            value = loss.item()
            if not math.isfinite(value):
                self._diverged(f"epoch {epoch}, iteration {number + 1} of {self.per_epoch}", x)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            summed += value * len(index)
            correct += int((logits.argmax(1) == y).sum())
            self._report(iteration + 1, f"epoch {epoch}/{part.epochs}, loss {value:.3f}")
        return summed / n, correct / n

    def _close_epoch(self, epoch: int, trained: tuple[float, float] | None, start: float) -> None:
        """Validate, write metrics and checkpoints; the state comes last, as it makes the epoch count."""
        found = evaluate(self.network, self.validation, batch_size=self.config.training.batch_size)
        if not math.isfinite(found.loss):
            x, _ = _tensors(self.validation, slice(self.config.training.batch_size), self.device)
            self._diverged(f"after epoch {epoch}", x)
        history = [(line["epoch"], line["rates"]) for line in self.metrics] + [(epoch, found.rates)]
        line = {
            "epoch": epoch,
            "loss": trained[0] if trained else None,
            "train_accuracy": trained[1] if trained else None,
            "validation_loss": found.loss,
            "validation_accuracy": found.accuracy,
            "learning_rate": self.optimiser.param_groups[0]["lr"] if trained else None,
            "rates": found.rates,
            "silent": found.silent,
            "warnings": check_rates(history),
            "seconds": time.perf_counter() - start if trained else 0.0,
        }
        self.metrics.append(line)
        best = self.metrics[self.best_epoch]["validation_accuracy"]
        if epoch and (self.best_epoch == 0 or found.accuracy >= best):
            self.best_epoch = epoch
            save_checkpoint(self.out / BEST, self.network, self.config, epoch=epoch)
        self._save_state(epoch)
        self._write_metrics()

    def _save_state(self, epoch: int) -> None:
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        for index, values in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{key}": v for key, v in values.items() if isinstance(v, Tensor)}
        meta = {
            "format": FORMAT_VERSION,
            "kind": "training state",
            "config_hash": config_hash(self.config),
            "best_epoch": self.best_epoch,
            "metrics": self.metrics,
        }
        write_tensors(self.out / STATE, tensors, meta)

    def _restore(self) -> None:
        tensors, meta = read_tensors(self.out / STATE, "training state")
        state: dict[int, dict[str, Tensor]] = {}
        weights = {}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "network":
                weights[rest] = tensor
            else:
                index, _, key = rest.partition(".")
                state.setdefault(int(index), {})[key] = tensor
        try:
            if meta["config_hash"] != config_hash(self.config):
                raise CheckpointError("the state belongs to another configuration", where=str(self.out / STATE))
            self.network.load_state_dict(weights)
            groups = self.optimiser.state_dict()["param_groups"]
            self.optimiser.load_state_dict({"state": state, "param_groups": groups})
            self.metrics, self.best_epoch = meta["metrics"], meta["best_epoch"]
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"the state does not fit ({error})", where=str(self.out / STATE)) from None
        self._write_metrics()

    def _write_metrics(self) -> None:
        write_atomic(self.out / METRICS, "".join(json.dumps(line) + "\n" for line in self.metrics).encode())

    def _finish(self) -> TrainResult:
        part = self.config.training
        save_checkpoint(self.out / LAST, self.network, self.config, epoch=part.epochs)
        chosen, _ = load_checkpoint(self.out / BEST)
        tested = evaluate(chosen.to(self.device), self.data.test, batch_size=part.batch_size)
        result = TrainResult(
            out=self.out,
            checkpoint=self.out / BEST,
            last=self.out / LAST,
            untrained=self.out / UNTRAINED,
            epochs=part.epochs,
            best_epoch=self.best_epoch,
            validation_accuracy=self.metrics[self.best_epoch]["validation_accuracy"],
            test_accuracy=tested.accuracy,
            n_test=len(self.data.test),
            config_hash=config_hash(self.config),
            warnings=tuple(self.metrics[-1]["warnings"]),
            seconds=sum(line["seconds"] for line in self.metrics),
        )
        facts = {key: v for key, v in dataclasses.asdict(result).items() if not isinstance(v, Path)}
        facts["software"] = {"torch": torch.__version__, "threads": torch.get_num_threads()}
        facts["dataset"] = dataclasses.asdict(self.data.info)
        write_atomic(self.out / RESULT, (json.dumps(facts, indent=2) + "\n").encode())
        self._report(part.epochs * self.per_epoch, f"test accuracy {tested.accuracy:.2%}")
        return result

    def _diverged(self, when: str, x: Tensor) -> None:
        raise TrainingError(
            f"the loss is not finite ({when}); first not finite: {first_non_finite(self.network, x)}",
            where=str(self.out),
            remedy="try: lower training.learning_rate, lengthen training.warmup_epochs, keep network.prop.stabilise on",
        )

    def _report(self, done: int, message: str) -> None:
        if self.progress is not None:
            self.progress(done, self.config.training.epochs * self.per_epoch, message)


def _tensors(split: Split, index: np.ndarray | slice, device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(split.images[index]).to(device), torch.from_numpy(split.labels[index]).to(device)


def _optimiser(part: TrainingConfig, network: Network) -> Optimizer:
    if part.optimiser == "adamw":
        return AdamW(network.parameters(), lr=part.learning_rate, weight_decay=part.weight_decay)
    return SGD(network.parameters(), lr=part.learning_rate, momentum=part.momentum, weight_decay=part.weight_decay)


def _plain(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json")


def _claim(out: Path, overwrite: bool) -> None:
    present = [name for name in (STATE, RESULT, BEST, LAST, UNTRAINED, METRICS, CONFIG) if (out / name).exists()]
    if present and not overwrite:
        raise OutputExistsError(
            f"there is a training run already ({present[0]})",
            where=str(out),
            remedy="resume it, allow overwriting, or name another folder",
        )
    for name in present:
        (out / name).unlink()


def _check_resumable(config: Config, out: Path) -> TrainResult | None:
    """Return the result of a finished run, None for one that can go on."""
    if not (out / STATE).is_file() or not (out / CONFIG).is_file():
        raise TrainingError("there is no run to resume", where=str(out), remedy="start it without resume")
    before = load_config(out / CONFIG)
    if config_hash(before) != config_hash(config):
        old, new = _flat(_plain(before)), _flat(_plain(config))
        changed = [f"{key} was {old[key]}, is {new[key]}" for key in old if old[key] != new[key]]
        raise ConfigError(
            f"the run to resume has another configuration: {'; '.join(changed)}",
            where=str(out / CONFIG),
            remedy="resume with the same configuration or start anew",
        )
    if not (out / RESULT).is_file():
        return None
    facts = json.loads((out / RESULT).read_text(encoding="utf-8"))
    places = {"out": out, "checkpoint": out / BEST, "last": out / LAST, "untrained": out / UNTRAINED}
    names = {field.name for field in dataclasses.fields(TrainResult)} - set(places)
    found = {name: facts[name] for name in names} | {"warnings": tuple(facts["warnings"])}
    return TrainResult(**places, **found)


def _flat(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _device(config: Config) -> torch.device:
    if config.training.device == "cuda" and not torch.cuda.is_available():
        raise DeviceError("there is no CUDA device", where="training.device", valid="cpu")
    return torch.device(config.training.device)


@contextmanager
def _deterministic(device: torch.device) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    if device.type == "cuda":
        # cuBLAS is deterministic only with a fixed workspace.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
