"""Recovery from a lesion: fine-tuning with the lesion in force, and the intact network fine-tuned as long."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from eiplatform.datasets import Split
from eiplatform.errors import ConfigError
from eiplatform.interventions.intervention import Kind
from eiplatform.lesions.cells import Cell
from eiplatform.lesions.engine import Engine
from eiplatform.networks import Network
from eiplatform.networks.intervening import Applied
from eiplatform.recording.spec import RecordingSpec
from eiplatform.training.evaluation import inputs
from eiplatform.training.losses import task_loss
from eiplatform.training.optimiser import make_optimiser

__all__ = ["recovered"]


def recovered(
    network: Network,
    interventions: Sequence[Kind],
    train: Split,
    test: Split,
    spec: RecordingSpec,
    *,
    iterations: Sequence[int] = (0, 1, 2, 5, 10, 20, 50, 100, 200),
    learning_rate: float = 1.0,
    batch_size: int = 64,
    seed: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
) -> xr.Dataset:
    """Fine-tune a copy of a network under interventions, and an intact copy with the same batches.

    Parameters
    ----------
    network : Network
        Is not changed.  It must carry its configuration, whose optimiser is used.
    interventions : sequence of Kind
        Those that act on weights, e.g. ``Scale`` of a whole pathway: gradients pass them.
    train, test : Split
        What is learnt from, and what is measured on.
    spec : RecordingSpec
        Samples, steps and input of the test.
    iterations : sequence of int
        When to measure; 0 is the lesion itself.
    learning_rate : float
        In units of that of the training.
    batch_size, seed : int
    progress : callable, optional

    Returns
    -------
    xarray.Dataset
        As of :class:`~eiplatform.lesions.engine.Engine`, with ``role`` "lesion" and "intact", and ``iteration``.

    Raises
    ------
    ConfigError
        If the network has no configuration, the iterations do not rise from 0, or an intervention refers to the
        intact network, which changes while it learns.
    """
    points = list(iterations)
    if not points or points[0] != 0 or points != sorted(set(points)):
        raise ConfigError(f"iterations {points}", where="recovery", valid="0 first, rising, e.g. 0 10 100")
    if network.config is None:
        raise ConfigError("the network does not carry its configuration", where="recovery", valid="one of ei.train")
    if any(one.needs for one in interventions):
        raise ConfigError("what refers to the intact network changes while it learns", where="recovery", valid="Scale")
    part = network.config.training
    part = part.model_copy(update={"learning_rate": learning_rate * part.learning_rate})
    results = []
    for role, acting in (("lesion", tuple(interventions)), ("intact", ())):
        own = copy.deepcopy(network)
        optimiser = make_optimiser(part, own)  # which keeps Dale's law
        random = np.random.default_rng(seed)
        done = 0
        for point in points:
            while done < point:
                index = random.integers(0, len(train), batch_size)
                _step(own, acting, optimiser, train, index, part.loss)
                done += 1
            engine = Engine(own, test, spec, stacked=False)
            about = {"role": role, "iteration": point, "dose": 0.0 if role == "intact" else np.nan}
            results.append(engine.run([Cell(acting, about)]))
            if progress:
                progress(len(results), 2 * len(points), f"{role} network, {point} iterations")
    return xr.concat(results, dim="cell", join="exact", data_vars="minimal", coords="minimal")


def _step(
    network: Network,
    interventions: Sequence[Kind],
    optimiser: torch.optim.Optimizer,
    train: Split,
    index: np.ndarray,
    loss: str,
) -> None:
    """Take one step under the interventions."""
    network.train()
    device = next(network.parameters()).device
    x, labels = inputs(network, train, index, device)
    optimiser.zero_grad(set_to_none=True)
    steps = None if train.sequence else network.steps
    if interventions:
        with network.intervene(*interventions):
            assert isinstance(network.prepare, Applied)
            logits: Tensor = network.run(x, steps).logits
    else:
        logits = network.run(x, steps).logits
    error = task_loss(logits.float(), labels, loss) / len(index)
    error.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    network.eval()
