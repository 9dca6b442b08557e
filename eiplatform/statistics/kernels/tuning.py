"""Tuning of excitation and inhibition to classes, and how alike the two are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.errors import choose
from eiplatform.statistics.kernels.moments import CurrentPair, FloatArray
from eiplatform.statistics.kernels.spill import row_blocks_of
from eiplatform.statistics.kernels.tracking import RESIDUAL_PAIRS

__all__ = ["ClassTuning"]

_DRAWS = 2**21  # elements of one (draw, class, neuron) block: 16 MiB


def _scored(means: FloatArray, floor: FloatArray) -> FloatArray:
    """z-score over the classes that were drawn; classes that were not are 0 and do not count."""
    drawn = np.isfinite(means)
    count = drawn.sum(axis=1, keepdims=True)
    filled = np.where(drawn, means, 0.0)
    centred = np.where(drawn, means - filled.sum(axis=1, keepdims=True) / np.maximum(count, 1), 0.0)
    variance = (centred**2).sum(axis=1, keepdims=True) / np.maximum(count, 1)
    varies = variance > floor
    # The mean over all classes of products of these is the mean over the drawn ones.
    scale = np.sqrt(means.shape[1] / np.maximum(count, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        scored: FloatArray = np.where(varies, centred / np.sqrt(variance) * scale, np.nan)
    return scored


class ClassTuning:
    """Mean excitation and inhibition of every class.

    Parameters
    ----------
    pair : CurrentPair
        Of time-averaged currents.
    labels : array, shape (sample,)
        Class of every sample.

    Examples
    --------
    >>> import numpy as np
    >>> label = np.repeat([0, 1, 2], 20)
    >>> exc = label[:, None] + np.random.default_rng(0).normal(size=(60, 2))
    >>> tuning = ClassTuning(CurrentPair(exc, label[:, None] * np.array([1.0, -1.0])), label)
    >>> tuning.correlation(np.ones((1, 60)), "own").round(1)
    array([[ 1., -1.]])
    """

    def __init__(self, pair: CurrentPair, labels: npt.NDArray[Any]) -> None:
        self._pair = pair
        self.classes, self._index = np.unique(labels, return_inverse=True)

    def means(self, weights: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Mean deviation of each class from the mean of all samples, (draw, class, neuron); NaN if none was drawn."""
        weights = np.asarray(weights, dtype=np.float64)
        shape = (weights.shape[0], len(self.classes), self._pair.n_neurons)
        exc, inh, drawn = np.zeros(shape), np.zeros(shape), np.zeros((*shape[:2], 1))
        for rows, parts in row_blocks_of(self._pair.exc, self._pair.inh):
            for position in range(len(self.classes)):
                members = np.flatnonzero(self._index[rows] == position)
                some = weights[:, rows][:, members]
                drawn[:, position, 0] += some.sum(axis=1)
                for total, part in zip((exc, inh), parts, strict=True):
                    total[:, position] += some @ part[members]
        with np.errstate(invalid="ignore", divide="ignore"):
            return exc / drawn, inh / drawn

    def correlation(self, weights: npt.NDArray[Any], pairs: str, *, received: bool = False) -> FloatArray:
        """Correlation of the class means of E and I over classes, each class counting once, shape (draw, neuron).

        Parameters
        ----------
        weights : array, shape (draw, sample)
        pairs : {"own", "cross", "excess"}
            I of the same neuron; mean over the other neurons; own minus that.
        received : bool
            E of the other neurons with I of this one instead.
        """
        choose(pairs, RESIDUAL_PAIRS, "pairing")
        weights = np.asarray(weights, dtype=np.float64)
        size = max(1, _DRAWS // (len(self.classes) * self._pair.n_neurons))
        rows = [self._rows(weights[start : start + size], pairs, received) for start in range(0, len(weights), size)]
        return np.concatenate(rows)

    def _rows(self, weights: FloatArray, pairs: str, received: bool) -> FloatArray:
        floors = self._pair.floor_exc, self._pair.floor_inh
        exc, inh = (_scored(means, floor) for means, floor in zip(self.means(weights), floors, strict=True))
        own: FloatArray = (exc * inh).mean(axis=1)
        if pairs == "own":
            return own
        varies = np.isfinite(own)
        others = varies.sum(axis=1, keepdims=True) - 1
        mine, theirs = (inh, exc) if received else (exc, inh)
        total = np.where(varies[:, None], theirs, 0.0).sum(axis=2, keepdims=True)
        summed = (mine * total).mean(axis=1)
        cross: FloatArray = (summed - own) / np.where(others > 0, others, np.nan)
        return cross if pairs == "cross" else own - cross
