"""Learning rate and order of samples as functions of the configuration alone."""

from __future__ import annotations

import math

import numpy as np

from eiplatform.config import TrainingConfig

__all__ = ["epoch_order", "learning_rate"]


def learning_rate(training: TrainingConfig, iteration: int, per_epoch: int) -> float:
    """Return the learning rate of one iteration: linear rise, then cosine to 0, constant, or falling in steps.

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
    if training.schedule == "step":
        epoch = iteration // per_epoch
        every = training.decay_epochs
        falls = epoch // every if every else sum(epoch >= milestone for milestone in training.milestones)
        return float(peak * training.decay**falls)
    return 0.5 * peak * (1 + math.cos(math.pi * (iteration - warm) / (total - warm)))


def epoch_order(n_samples: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order in which an epoch shows the training samples, a function of its arguments."""
    return np.random.default_rng([seed, epoch]).permutation(n_samples)
