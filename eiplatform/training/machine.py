"""What a training run leaves to the machine (precision and backend ``auto``), and what it computes on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from eiplatform.config import Config
from eiplatform.errors import ConfigError
from eiplatform.networks.kernels import compiled, products
from eiplatform.networks.kernels.backend import resolve
from eiplatform.training.files import CONFIG, stored_config

__all__ = ["SlowPrecisionWarning", "backend_of", "has_bf16", "settle", "slow_precision", "describe"]


class SlowPrecisionWarning(UserWarning):
    """Training was asked for in a precision that this machine computes slowly."""


def has_bf16(device: str = "cpu") -> bool:
    """Return whether a device multiplies bfloat16 by its own instructions.

    Without them every product is done in float32, between two conversions, and takes several times as long as
    in float32.

    Parameters
    ----------
    device : {"cpu", "cuda"}
    """
    if device == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    if platform.machine().lower() in ("x86_64", "amd64"):
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def backend_of(config: Config) -> str:
    """Return what computes; neurons that are not plain ones cannot be compiled, so that auto means eager for them."""
    fused = config.network.neuron.fused
    return resolve(config.training.backend, config.training.device) if fused else "eager"


def settle(config: Config, resumed: Path | None = None) -> Config:
    """Replace ``auto`` by what this machine has, so that a run says what it was computed by.

    Parameters
    ----------
    config : Config
    resumed : Path, optional
        Of a run that goes on: ``auto`` is then what the run began with, on whatever machine.

    Returns
    -------
    Config
        Without ``auto``.

    Raises
    ------
    ConfigError
        If the run began in bf16 on another kind of machine and this one has no instructions for it, and
        the configuration leaves the choice to the machine.

    Examples
    --------
    >>> settle(Config()) == Config()
    True
    """
    part = config.training
    here = {}
    if part.precision == "auto":
        here["precision"] = "bf16" if has_bf16(part.device) else "float32"
    if part.backend == "auto":
        here["backend"] = backend_of(config)
    if resumed is not None and here and (resumed / CONFIG).is_file():
        before = stored_config(resumed).training
        began = {name: getattr(before, name) for name in here}
        lacks = [
            name
            for name, lacking in (
                ("precision", began.get("precision") == "bf16" and not has_bf16(part.device)),
                ("backend", began.get("backend") == "compiled" and not compiled.available()),
            )
            if lacking
        ]
        if lacks:
            raise ConfigError(
                f"the run began with {' and '.join(f'training.{n}={began[n]}' for n in lacks)}, "
                "for which this machine has no instructions or no compiler",
                where=str(resumed / CONFIG),
                remedy="resume on a machine like the first, set these values to resume all the same, or start anew",
            )
        here = began
    return config.model_copy(update={"training": part.model_copy(update=here)}) if here else config


def slow_precision(config: Config) -> str | None:
    """Say what is slow about the precision on this machine, None if nothing is."""
    part = config.training
    if part.precision != "bf16" or has_bf16(part.device):
        return None
    return (
        "this processor has no instructions for bf16: training in bf16 takes about four times as long as in float32 "
        "here (training.precision=float32, or auto, which chooses by the machine)"
    )


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
