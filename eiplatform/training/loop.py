"""Training a network: what is checked before, and what holds while it runs."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from eiplatform.config import Config
from eiplatform.datasets import DataBundle, open_dataset
from eiplatform.errors import ConfigError, MissingDependencyError
from eiplatform.files import claim
from eiplatform.networks.kernels.backend import use_backend
from eiplatform.training.files import (
    TrainResult,
    check_resumable,
)
from eiplatform.training.footprint import check_footprint
from eiplatform.training.machine import SlowPrecisionWarning, backend_of, settle, slow_precision
from eiplatform.training.parallel import World, join
from eiplatform.training.run import Observer, Progress, TrainingRun
from eiplatform.training.start import read_weights, with_start_hash

__all__ = ["fit"]


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
    A process of its own trains faster on a CPU if it keeps freed memory (:func:`eiplatform.memory.keep_memory`).
    Precision and backend that are ``auto`` are chosen by the machine and written into ``config.yml`` and
    the checkpoints; a resumed run keeps them, or is refused where the machine lacks them.

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
        raise ConfigError("resume and overwrite exclude each other", where=str(out), remedy="choose one")
    if data is not None:
        named = config.dataset.model_copy(update={"name": data.info.name})
        config = config.model_copy(update={"dataset": named})
    config = settle(with_start_hash(config), out if resume else None)
    slow = slow_precision(config)
    if slow is not None:
        warnings.warn(slow, SlowPrecisionWarning, stacklevel=2)
    if config.training.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise MissingDependencyError(
            "training.tensorboard needs tensorboard, which is not installed", remedy="pip install 'eiplatform[track]'"
        )
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
            return TrainingRun(config, out, data, world, progress if world.first else None, observe).go(resume, weights)


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
