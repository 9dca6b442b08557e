"""Images as spike trains: each pixel fires with its intensity as probability, or as mean count, per step."""

from __future__ import annotations

import numpy as np

__all__ = ["ENCODINGS", "spike_trains", "training_spikes"]

ENCODINGS = ("constant", "bernoulli", "poisson")
"""An image at every step, or one of the two kinds of spike trains."""

_PURPOSE = 0xB3  # sets these random numbers apart from those that order and vary the samples


def spike_trains(images: np.ndarray, ids: np.ndarray, steps: int, kind: str, seed: int = 0) -> np.ndarray:
    """Return what a network sees of some images outside training.

    Parameters
    ----------
    images : array, shape (sample, ...)
        In [0, 1].
    ids : array of int, shape (sample,)
        A sample's spike trains depend on its id, not on the samples beside it.
    steps : int
    kind : {"constant", "bernoulli", "poisson"}
    seed : int

    Returns
    -------
    array
        The images themselves (constant), or spikes of shape (steps, sample, ...).

    Examples
    --------
    >>> spike_trains(np.array([[0.0, 1.0]]), np.array([7]), 2, "bernoulli").tolist()
    [[[0.0, 1.0]], [[0.0, 1.0]]]
    """
    if kind == "constant":
        return images
    spikes = np.empty((steps, *images.shape), dtype=images.dtype)
    for index, (image, identifier) in enumerate(zip(images, ids.tolist(), strict=True)):
        rng = np.random.default_rng([seed, 1, int(identifier)])
        if kind == "poisson":
            spikes[:, index] = rng.poisson(image, (steps, *image.shape))
        else:
            spikes[:, index] = rng.random((steps, *image.shape)) < image
    return spikes


def training_spikes(
    images: np.ndarray, places: np.ndarray, steps: int, seed: int, epoch: int, number: int
) -> np.ndarray:
    """Return Bernoulli spikes of a part of a training batch, other ones in every epoch.

    Parameters
    ----------
    images : array, shape (part, ...)
        In [0, 1].
    places : array of int, shape (part,)
        Places in the batch: a sample's spikes do not depend on how the batch is divided.
    steps : int
    seed, epoch, number : int
        Of the run, and which batch of which epoch.

    Returns
    -------
    array, float32, shape (steps, part, ...)
    """
    spikes = np.empty((steps, *images.shape), dtype=np.float32)
    for index, (image, place) in enumerate(zip(images, places.tolist(), strict=True)):
        rng = np.random.default_rng([seed, epoch, number, place, _PURPOSE])
        spikes[:, index] = rng.random((steps, *image.shape), dtype=np.float32) < image
    return spikes
