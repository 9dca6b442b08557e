"""The training loop."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
import yaml
from torch import Tensor

from eiplatform.config import Config, config_hash
from eiplatform.datasets import DataBundle, open_dataset, split_validation
from eiplatform.errors import ConfigError, MissingDependencyError, TrainingError
from eiplatform.files import claim, write_bytes
from eiplatform.memory import keep_memory
from eiplatform.networks import Network, build_network, initialise_network
from eiplatform.networks import load as load_checkpoint
from eiplatform.networks import save as save_checkpoint
from eiplatform.networks.diagnosis import ONLY_LOSS, check_rates, first_non_finite
from eiplatform.networks.equilibrium.monitor import check_convergence
from eiplatform.networks.kernels import compiled, products
from eiplatform.networks.kernels.backend import current, use_backend
from eiplatform.training.averaging import WeightAverage
from eiplatform.training.batches import Batches
from eiplatform.training.chance import chance_accuracy, check_chance
from eiplatform.training.evaluation import evaluate, inputs
from eiplatform.training.files import (
    BEST,
    CONFIG,
    LAST,
    UNTRAINED,
    Metrics,
    TrainResult,
    check_resumable,
    read_state,
    write_metrics,
    write_result,
    write_state,
    write_tensorboard,
)
from eiplatform.training.finished import ABORTED, mark_aborted
from eiplatform.training.footprint import check_footprint
from eiplatform.training.losses import balance_loss, task_loss
from eiplatform.training.machine import SlowPrecisionWarning, backend_of, settle, slow_precision
from eiplatform.training.optimiser import make_optimiser
from eiplatform.training.parallel import World, join
from eiplatform.training.regimes import freeze
from eiplatform.training.schedule import epoch_order, learning_rate
from eiplatform.training.start import pin, read_weights

__all__ = ["Observer", "Progress", "describe", "fit", "initialise"]

Progress = Callable[[int, int, str], None]
Observer = Callable[[Network, int, int], None]


def initialise(config: Config, seed: int | None = None, *, data: DataBundle | None = None) -> Network:
    """Build a network and initialise it (E-I Init) on the first training batch, alike on all processes.

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
    data = open_dataset(config) if data is None else data
    train, _ = split_validation(data.train, config.dataset.validation, config.seed)
    first = epoch_order(len(train), config.seed, 1)[: config.training.batch_size]
    network = build_network(config, data.info.input_shape, data.info.n_classes)
    generator = torch.Generator().manual_seed(config.seed if seed is None else seed)
    x, _ = inputs(network, train, first, torch.device("cpu"))
    initialise_network(network, x, generator, config.network.initialise)
    return network


def describe(config: Config) -> str:
    """Say on what a training run computes, and how exactly.

    Examples
    --------
    >>> describe(Config()).partition(",")[0]
    'cpu'
    """
    part = settle(config).training
    size = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1
    device = "cpu"
    if part.device == "cuda" and torch.cuda.is_available():
        device = f"cuda ({torch.cuda.get_device_name()})"
    n_threads = part.threads or torch.get_num_threads()
    threads = f"{n_threads} thread{'s' if n_threads > 1 else ''}"
    backend = backend_of(config)
    if (backend, part.precision) == ("compiled", "bf16") and compiled.available() and products.has_matrix_unit():
        backend += " with the matrix unit"
    backend += ", step by step" if config.network.neuron.stepwise else ""
    return f"{device}, {threads}, {part.precision}, {backend}, {size} process{'es' if size > 1 else ''}"


def fit(
    config: Config,
    out: Path | str,
    *,
    data: DataBundle | None = None,
    progress: Progress | None = None,
    observe: Observer | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> TrainResult:
    """Train the network that `config` describes.

    Writes into `out`: ``config.yml``, ``metrics.jsonl`` (a line per epoch, epoch 0 untrained),
    ``untrained``, ``best``, ``last`` and ``state.safetensors`` and, at the end, ``result.json``.
    With ``training.start`` epoch 0 is the network of that checkpoint; ``untrained`` is E-I Init all the same.
    Under ``torchrun`` the processes share every batch, and the first one alone writes.
    On a CPU the process keeps freed memory (:func:`eiplatform.memory.keep_memory`).
    Precision and backend that are ``auto`` are chosen by the machine and written into ``config.yml`` and
    the checkpoints; a resumed run keeps them, or is refused where the machine has them not.

    Parameters
    ----------
    config : Config
    out : path
    data : DataBundle, optional
        Own data; the configuration that is stored then has their name (``data.info.name``).
    progress : callable, optional
        Called as ``progress(done, total, message)`` after each iteration.
    observe : callable, optional
        Called as ``observe(network, iterations, iterations_per_epoch)`` on the first process,
        before training and after each iteration; it must not change the network.  With
        ``training.average`` it sees the network that learns, not the average.
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
        If the run to resume has another configuration, `resume` and `overwrite` are both given, the
        network does not fit into memory, or the checkpoint to start from does not fit the network or
        has seen the images that validate.
    CheckpointError
        If a file of the run to resume, or the checkpoint to start from, is damaged.
    TrainingError
        If there is nothing to resume, the loss is not finite, a layer is dead or saturated, or the network has
        lost what it had learnt (:func:`eiplatform.training.chance.check_chance`).
    DeviceError
        If the device is not there, or the compiled backend has no working compiler.
    MissingDependencyError
        If TensorBoard is asked for and not installed.
    """
    out = Path(out)
    if resume and overwrite:
        raise ConfigError("to resume and to overwrite exclude each other", where=str(out), remedy="choose one")
    if data is not None:
        named = config.dataset.model_copy(update={"name": data.info.name})
        config = config.model_copy(update={"dataset": named})
    config = settle(pin(config), out if resume else None)
    slow = slow_precision(config)
    if slow is not None:
        warnings.warn(slow, SlowPrecisionWarning, stacklevel=2)
    if config.training.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise MissingDependencyError(
            "training.tensorboard needs tensorboard, which is not installed", remedy="pip install 'eiplatform[track]'"
        )
    if config.training.device == "cpu":
        keep_memory()
    with use_backend(backend_of(config)), join(config.training.device) as world:
        # The first process downloads, if asked to; the others then find the files.
        data = data or world.on_first(lambda: open_dataset(config)) or open_dataset(config)
        weights = None
        if resume:
            finished = check_resumable(config, out)
            if finished is not None:
                return finished
        else:
            check_footprint(config, data)
            weights = read_weights(config, data)
        with (
            _alone(world, out, overwrite=overwrite, resume=resume),
            _deterministic(world.device, config.training.threads),
        ):
            return _Run(config, out, data, world, progress if world.first else None, observe).go(resume, weights)


class _Run:
    def __init__(
        self,
        config: Config,
        out: Path,
        data: DataBundle,
        world: World,
        progress: Progress | None,
        observe: Observer | None,
    ) -> None:
        self.config, self.out, self.data, self.world, self.progress = config, out, data, world, progress
        self.observe = observe
        self.train, self.validation = split_validation(data.train, config.dataset.validation, config.seed)
        self.chance = chance_accuracy(self.validation.labels)
        self.batches = Batches(self.train, config, world)
        self.per_epoch = len(self.batches)
        self.about = data.train.describe() | {"name": data.info.name}
        self.metrics: Metrics = []
        self.best_epoch = 0

    def go(self, resume: bool, weights: Mapping[str, Tensor] | None) -> TrainResult:
        """Train, from these weights if there are any; an early end is marked."""
        try:
            return self._go(resume, weights)
        except BaseException as error:
            if self.world.first:
                with suppress(OSError):  # a full disk must not hide why training ended
                    mark_aborted(self.out, error, len(self.metrics) - 1)
            raise

    def _go(self, resume: bool, weights: Mapping[str, Tensor] | None) -> TrainResult:
        self._write(lambda: (self.out / ABORTED).unlink(missing_ok=True))
        if resume:
            network = build_network(self.config, self.data.info.input_shape, self.data.info.n_classes)
        else:
            network = initialise(self.config, data=self.data)
            plain = self.config.model_dump(mode="json")
            self._write(lambda: write_bytes(self.out / CONFIG, yaml.safe_dump(plain, sort_keys=False).encode()))
            self._write(lambda: save_checkpoint(self.out / UNTRAINED, network, self.config, epoch=0, data=self.about))
            if weights is not None:
                network.load_state_dict(weights)
        freeze(network, self.config.training.trained)
        self.network = network.to(self.world.device)
        fires = [name for name, layer in self.network.named_layers().items() if layer.fires]
        wanted = fires if self.config.training.balance else []
        self.record = {f"{name}/E": frozenset({"voltage"}) for name in wanted}
        self.optimiser = make_optimiser(self.config.training, self.network)
        decay = self.config.training.average
        self.average = WeightAverage(self.network, decay) if decay else None
        self.kept = self.average.network if self.average else self.network
        if resume:
            found = read_state(self.out, self.network, self.optimiser, self.config, self.average)
            self.metrics, self.best_epoch = found
            self._write(lambda: write_metrics(self.out, self.metrics))
        else:
            self._close_epoch(0, None, time.perf_counter())
            self._observe(0)
        for epoch in range(len(self.metrics), self.config.training.epochs + 1):
            start = time.perf_counter()
            self._close_epoch(epoch, self._epoch(epoch), start)
        return self._finish()

    def _epoch(self, epoch: int) -> tuple[float, float]:
        """Show every training sample once; return mean loss and accuracy on the way."""
        part = self.config.training
        self.network.train()
        summed, correct, seen = 0.0, 0, 0
        for number, index in enumerate(self.batches.order(epoch)):
            iteration = (epoch - 1) * self.per_epoch + number
            for group in self.optimiser.param_groups:
                group["lr"] = learning_rate(part, iteration, self.per_epoch)
            loss, right = self._step(index, epoch, number)
            summed, correct, seen = summed + loss * len(index), correct + right, seen + len(index)
            if self.average is not None:
                self.average.update(self.network, iteration + 1)
            self._observe(iteration + 1)
            self._report(
                iteration + 1,
                f"epoch {epoch}/{part.epochs}, loss {loss:.3f}, accuracy {correct / seen:.1%}, "
                f"validation {self.metrics[-1]['validation_accuracy']:.1%}",
            )
        return summed / seen, correct / seen

    def _step(self, index: np.ndarray, epoch: int, number: int) -> tuple[float, int]:
        """Take one step of the optimiser; return the batch's loss and number of right answers."""
        part, device = self.config.training, self.world.device
        self.optimiser.zero_grad(set_to_none=True)
        totals = torch.zeros(2, dtype=torch.float64, device=device)
        for place, (x, y) in enumerate(self.batches.parts(index, epoch, number)):
            noise = np.random.SeedSequence([self.config.seed, epoch, number, place, self.world.rank])
            self.network.noise = int(noise.generate_state(1)[0])
            with torch.autocast(device.type, torch.bfloat16, enabled=part.precision == "bf16"):
                output = self.network.run(x, record=self.record)
            logits = output.logits
            loss = task_loss(logits.float(), y, part.loss, part.label_smoothing) / len(index)
            if self.record:
                voltages = (output.signals[name]["voltage"] for name in self.record)
                imbalance = balance_loss(voltages, self.config.network.neuron.threshold)
                loss = loss + part.balance * imbalance / len(index)
            loss.backward()  # type: ignore[no-untyped-call]
            totals += torch.stack((loss.detach().double(), (logits.argmax(1) == y).sum().double()))
        self.world.add_([totals])
        value, right = totals.tolist()
        if not math.isfinite(value):
            shown = (x for x, _ in self.batches.parts(index, epoch, number))
            self._diverged(f"epoch {epoch}, iteration {number + 1} of {self.per_epoch}", shown)
        self.world.add_gradients(self.network)
        self.optimiser.step()
        return value, round(right)

    def _close_epoch(self, epoch: int, trained: tuple[float, float] | None, start: float) -> None:
        """Validate and write; the state comes after the checkpoints, as it makes the epoch count."""
        self.world.average_buffers(self.network)
        if self.average is not None:
            self.world.average_buffers(self.kept)
        self.world.check_equal(self.network)
        size = self.config.training.batch_size
        found = evaluate(self.kept, self.validation, batch_size=size, world=self.world, loss=self.config.training.loss)
        if not math.isfinite(found.loss):
            x, _ = inputs(self.network, self.validation, slice(size), self.world.device)
            self._diverged(f"after epoch {epoch}", [x])
        self._check_weights(epoch)
        lines = [(line["epoch"], line["rates"]) for line in self.metrics] + [(epoch, found.rates)]
        accuracies = [(line["epoch"], line["validation_accuracy"]) for line in self.metrics] + [(epoch, found.accuracy)]
        most = self.network.max_spikes
        history = [(when, {name: rate / most for name, rate in rates.items()}) for when, rates in lines]
        reached = self.network.convergence()  # of this process's part of the batches
        unreached = self.world.on_first(lambda: check_convergence(reached)) or []
        self.metrics.append(
            {
                "epoch": epoch,
                "loss": trained[0] if trained else None,
                "train_accuracy": trained[1] if trained else None,
                "validation_loss": found.loss,
                "validation_accuracy": found.accuracy,
                "learning_rate": self.optimiser.param_groups[0]["lr"] if trained else None,
                "rates": found.rates,
                "silent": found.silent,
                "warnings": check_rates(history) + check_chance(accuracies, self.chance) + unreached,
                "seconds": time.perf_counter() - start,
            }
            | ({"convergence": reached} if reached else {})
        )
        best = self.metrics[self.best_epoch]["validation_accuracy"]
        if epoch and (self.best_epoch == 0 or found.accuracy >= best):
            self.best_epoch = epoch
            self._save(BEST, self.kept, epoch, finished=False)
        self._write(self._write_epoch)

    def _write_epoch(self) -> None:
        write_state(self.out, self.network, self.optimiser, self.config, self.average, self.metrics, self.best_epoch)
        write_metrics(self.out, self.metrics)
        if self.config.training.tensorboard:
            write_tensorboard(self.out, self.metrics[-1])

    def _finish(self) -> TrainResult:
        """Open the test split, for the first and only time."""
        part = self.config.training
        self._save(LAST, self.kept, part.epochs, finished=True)
        chosen, _ = load_checkpoint(self.out / BEST)
        self._save(BEST, chosen, self.best_epoch, finished=True)
        tested = evaluate(chosen.to(self.world.device), self.data.test, batch_size=part.batch_size, world=self.world)
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
        software = {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "processes": self.world.size,
            "precision": part.precision,
            "backend": current(),
            "runs_on": describe(self.config),
        }
        self._write(lambda: write_result(result, software=software, dataset=dataclasses.asdict(self.data.info)))
        self._report(part.epochs * self.per_epoch, f"test accuracy {tested.accuracy:.2%}")
        return result

    def _save(self, name: str, network: Network, epoch: int, *, finished: bool) -> None:
        facts = {"epoch": epoch, "finished": finished, "data": self.about}
        self._write(lambda: save_checkpoint(self.out / name, network, self.config, **facts))

    def _write(self, action: Callable[[], object]) -> None:
        """Let the first process write, and the others wait for it."""
        self.world.on_first(action)

    def _check_weights(self, epoch: int) -> None:
        """Raise if a weight is not finite; the loss may be, where neurons that are NaN just do not spike."""
        for name, parameter in self.network.named_parameters():
            if not bool(torch.isfinite(parameter).all()):
                raise TrainingError(
                    f"'{name}' is not finite after epoch {epoch}",
                    where=str(self.out),
                    remedy="try: keep network.prop.stabilise on, lower training.learning_rate",
                )

    def _diverged(self, when: str, shown: Iterable[Tensor]) -> NoReturn:
        culprits = (first_non_finite(self.network, x) for x in shown)
        culprit = next((name for name in culprits if name != ONLY_LOSS), ONLY_LOSS)
        raise TrainingError(
            f"the loss is not finite ({when}); first not finite: {culprit}",
            where=str(self.out),
            remedy="try: lower training.learning_rate, lengthen training.warmup_epochs, keep network.prop.stabilise on",
        )

    def _observe(self, iteration: int) -> None:
        observe = self.observe
        if observe is not None:
            self._write(lambda: observe(self.network, iteration, self.per_epoch))

    def _report(self, done: int, message: str) -> None:
        if self.progress is not None:
            self.progress(done, self.config.training.epochs * self.per_epoch, message)


@contextmanager
def _alone(world: World, out: Path, *, overwrite: bool, resume: bool) -> Iterator[None]:
    """Let the first process hold the directory until training ends; a second training there is refused."""
    handle = world.on_first(lambda: claim(out, overwrite=overwrite, resume=resume))
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def _deterministic(device: torch.device, threads: int | None) -> Iterator[None]:
    before, threads_before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    if device.type == "cuda":
        # cuBLAS is deterministic only with a fixed workspace.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.set_num_threads(threads_before)
