"""One training: its epochs, steps, measures and files."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
import yaml
from torch import Tensor

from eiplatform.config import Config, config_hash
from eiplatform.datasets import DataBundle, open_dataset, split_validation
from eiplatform.errors import TrainingError
from eiplatform.files import write_bytes
from eiplatform.networks import Network, build_network, initialise_network
from eiplatform.networks import load as load_checkpoint
from eiplatform.networks import save as save_checkpoint
from eiplatform.networks.diagnosis import ONLY_LOSS, check_rates, first_non_finite
from eiplatform.networks.equilibrium.monitor import check_convergence
from eiplatform.networks.kernels.backend import current
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
    read_state,
    write_metrics,
    write_result,
    write_state,
    write_tensorboard,
)
from eiplatform.training.finished import ABORTED, mark_aborted
from eiplatform.training.losses import balance_loss, task_loss
from eiplatform.training.machine import describe
from eiplatform.training.optimiser import make_optimiser
from eiplatform.training.parallel import World
from eiplatform.training.regimes import freeze
from eiplatform.training.schedule import epoch_order, learning_rate

__all__ = ["Observer", "Progress", "TrainingRun", "initialise"]

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
    """
    data = open_dataset(config) if data is None else data
    train, _ = split_validation(data.train, config.dataset.validation, config.seed)
    first = epoch_order(len(train), config.seed, 1)[: config.training.batch_size]
    network = build_network(config, data.info.input_shape, data.info.n_classes)
    generator = torch.Generator().manual_seed(config.seed if seed is None else seed)
    x, _ = inputs(network, train, first, torch.device("cpu"))
    initialise_network(network, x, generator, config.network.initialise)
    return network


class TrainingRun:
    """One training of one process, from its data to its result."""

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
