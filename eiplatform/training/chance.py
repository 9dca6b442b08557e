"""Whether a training has lost again what it had learnt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import takewhile

import numpy as np

from eiplatform.errors import TrainingError

__all__ = ["PATIENCE", "chance_accuracy", "check_chance"]

PATIENCE = 3
"""Epochs in a row at chance, after better ones, after which training stops."""


def chance_accuracy(labels: np.ndarray) -> float:
    """Return the highest accuracy that a network reaches without looking at the images.

    Always naming the most frequent class, a share p of n images, gives p; guessing gives no more on average.  Two
    standard errors of p are added, as n is finite.

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
        Of the images that are classified.

    Examples
    --------
    >>> round(chance_accuracy(np.repeat(np.arange(10), 10)), 6)  # 0.1 + 2 sqrt(0.1 x 0.9 / 100)
    0.16
    """
    share = float(np.unique(labels, return_counts=True)[1].max()) / len(labels)
    return share + 2 * math.sqrt(share * (1 - share) / len(labels))


def check_chance(history: Sequence[tuple[int, float]], chance: float) -> list[str]:
    """Judge the validation accuracy over the epochs so far.

    A network had learnt if its accuracy was more than twice that of chance, or nearer to 1 than to chance.

    Parameters
    ----------
    history : sequence of (epoch, accuracy)
        Oldest first.
    chance : float
        Of :func:`chance_accuracy`.

    Returns
    -------
    list of str
        A sentence if the network had learnt and is at chance now.

    Raises
    ------
    TrainingError
        If it has been at chance for :data:`PATIENCE` epochs since.

    Examples
    --------
    >>> check_chance([(0, 0.1), (1, 0.9), (2, 0.1)], 0.16)
    ['the validation accuracy fell from 90.0 % (epoch 1) to chance since epoch 2 (10.0 %)']
    """
    lost = [epoch for epoch, _ in takewhile(lambda item: item[1] <= chance, reversed(history))]
    before = history[: len(history) - len(lost)]
    if not lost or not before:
        return []
    best, when = max((accuracy, epoch) for epoch, accuracy in before)
    if best <= min(2 * chance, (1 + chance) / 2):
        return []
    told = f"the validation accuracy fell from {best:.1%} (epoch {when}) to chance since epoch {lost[-1]}"
    told = f"{told} ({history[-1][1]:.1%})".replace("%", " %")
    if len(lost) >= PATIENCE:
        raise TrainingError(
            told,
            where="training",
            remedy="try: lower training.learning_rate, lengthen training.warmup_epochs, or set training.clip",
        )
    return [told]
