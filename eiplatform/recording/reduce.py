"""Reducing signals on the device where they arise, to states that merge (:mod:`eiplatform.store.reduced`).

A batch is summed in the type in which it was computed, about a value near its mean, and merged in
float64, so that neither many values nor a large mean cost digits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from eiplatform.store.reduced import BUCKETS, GAMMA, LARGEST, LOWEST, PER_SIDE, SMALLEST, merge_moments

__all__ = ["Reduction"]

PIECE = 2**16
"""Values that are sorted into bins together."""
_OWN = "the signal's unit"


class Reduction:
    """The state of one population.

    Parameters
    ----------
    signals : sequence of str
    n_neurons : int
        Recorded neurons.
    keep : collection of str
        Which of ``moments``, ``covariance``, ``histogram``, ``quantiles``.
    edges : mapping of str to Tensor, shape (edge,)
        Of the histograms, per signal.

    Examples
    --------
    >>> state = Reduction(["gain"], 2, {"moments"}, {})
    >>> state.add({"gain": torch.tensor([[[1.0, 2.0]], [[3.0, 2.0]]])})
    >>> data = state.dataset()
    >>> data["mean"].values.tolist(), data["m2"].values.tolist(), int(data["n"])
    ([[2.0, 2.0]], [[2.0, 0.0]], 2)
    """

    def __init__(
        self, signals: Sequence[str], n_neurons: int, keep: frozenset[str] | set[str], edges: Mapping[str, Tensor]
    ) -> None:
        self.signals = tuple(signals)
        self._edges = dict(edges)
        self._products = "covariance" in keep
        self._moments = self._products or "moments" in keep
        k = len(self.signals)
        shape = (k, k, n_neurons) if self._products else (k, n_neurons)
        self._state = (0, np.zeros((k, n_neurons)), np.zeros(shape))
        self._histogram = None
        if "histogram" in keep:
            self._histogram = np.zeros((k, len(next(iter(edges.values()))) + 1), dtype=np.int64)
        self._sketch = np.zeros((k, BUCKETS), dtype=np.int64) if "quantiles" in keep else None

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add one batch: every signal, shape (time, sample, neurons...)."""
        batch = [values[name] for name in self.signals]
        n = batch[0].shape[0] * batch[0].shape[1]
        # What is held for all steps is stored once; its sums are those of one step times the number of steps.
        parts = [signal[:1] if signal.stride(0) == 0 else signal for signal in batch]
        if self._products:
            self._state = merge_moments(self._state, (n, *_products(batch)))
        elif self._moments:
            means, squares = zip(*(_moments(part, n) for part in parts), strict=True)
            self._state = merge_moments(self._state, (n, np.stack(means), np.stack(squares)))
        else:
            self._state = (self._state[0] + n, *self._state[1:])
        for index, (name, part) in enumerate(zip(self.signals, parts, strict=True)):
            times = len(batch[index]) // len(part)
            if self._histogram is not None:
                self._histogram[index] += times * _count(part, self._edges[name])
            if self._sketch is not None:
                self._sketch[index] += times * _sketch(part)

    def dataset(self, inside: Mapping[str, tuple[int, np.ndarray, np.ndarray]] | None = None) -> xr.Dataset:
        """Return the state as variables of the schema.

        Parameters
        ----------
        inside : mapping of str to (n, mean, sum of squared deviations), optional
            Of further signals, if there are only moments.
        """
        n, mean, products = self._state
        names = list(self.signals)
        if inside:
            n = next(iter(inside.values()))[0]
            both = dict(inside) | {name: (n, mean[i], products[i]) for i, name in enumerate(self.signals)}
            names = sorted(both)
            mean, products = (np.stack([both[name][part] for name in names]) for part in (1, 2))
        data: dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, str]]] = {
            "n": ((), np.asarray(n), {"long_name": "values per neuron: samples times steps", "units": "1"})
        }
        coords = {"signal": names}
        if self._moments:
            data["mean"] = (("signal", "neuron"), mean, {"long_name": "mean over samples and steps", "units": _OWN})
        if self._products:
            about = {"long_name": "sum of products of deviations from the means", "units": f"product of {_OWN}"}
            data["comoment"] = (("signal", "other", "neuron"), products, about)
            coords["other"] = names
        elif self._moments:
            about = {"long_name": "sum of squared deviations from the mean", "units": f"square of {_OWN}"}
            data["m2"] = (("signal", "neuron"), products, about)
        if self._histogram is not None:
            edges = np.stack([self._edges[name].double().cpu().numpy() for name in names])
            data["histogram"] = (("signal", "bin"), self._histogram, {"long_name": "counts, all neurons", "units": "1"})
            data["histogram_edges"] = (("signal", "edge"), edges, {"long_name": "edges of the bins", "units": _OWN})
        if self._sketch is not None:
            about = {"long_name": "counts of logarithmic buckets, all neurons", "units": "1"}
            data["sketch"] = (("signal", "bucket"), self._sketch, about)
        return xr.Dataset(data, coords)


def _rows(x: Tensor) -> tuple[Tensor, list[int]]:
    """Return (time x sample, neurons) in the order of the memory, and the axes that bring it back.

    A layer that convolves keeps its channels last: read in the order of the neurons, its signals
    would be summed twenty times slower.
    """
    x = x.float() if x.dtype in (torch.bfloat16, torch.float16, torch.bool) else x
    axes = sorted(range(2, x.ndim), key=lambda axis: x.stride()[axis], reverse=True)
    return x.permute(0, 1, *axes).flatten(2).flatten(0, 1), [2 + axes.index(axis) for axis in range(2, x.ndim)]


def _in_order(values: Tensor, x: Tensor, back: list[int]) -> np.ndarray:
    """Return values (neuron,) in the order of the neurons from the order of the memory."""
    shape = [0] * (x.ndim - 2)
    for axis, place in enumerate(back):
        shape[place - 2] = x.shape[2 + axis]
    found: np.ndarray = values.view(shape).permute([place - 2 for place in back]).flatten().cpu().numpy()
    return found


def _moments(x: Tensor, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and sum of squared deviations over time and samples, shape (neuron,)."""
    rows, back = _rows(x)
    count = len(rows)
    shift = rows[0].clone()  # some value of each neuron, so that a large mean costs no digits
    total = torch.zeros_like(shift, dtype=torch.float64)
    squares = torch.zeros_like(total)
    part, part_squares, deviation = torch.zeros_like(shift), torch.zeros_like(shift), torch.empty_like(shift)
    for index, row in enumerate(rows, 1):
        torch.sub(row, shift, out=deviation)
        part += deviation
        part_squares.addcmul_(deviation, deviation)
        if index % 16 == 0 or index == count:  # few enough additions for the signal's own precision
            total += part
            squares += part_squares
            part.zero_()
            part_squares.zero_()
    mean = total / count
    size = (squares - total * mean).clamp_min(0) * (n / count)
    return _in_order(shift.double() + mean, x, back), _in_order(size, x, back)


def _products(batch: Sequence[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Return means (signal, neuron) and sums of products of deviations (signal, other, neuron)."""
    values = [x.flatten(2).flatten(0, 1) for x in batch]
    values = [x.float() if x.dtype in (torch.bfloat16, torch.float16, torch.bool) else x for x in values]
    count = len(values[0])
    means, deviations, rests = [], [], []
    for x in values:
        mean = x.mean(0)
        deviations.append(x - mean)
        rests.append(deviations[-1].sum(0).double())
        means.append(mean.double() + rests[-1] / count)
    k, n = len(values), values[0].shape[1]
    products = torch.empty((k, k, n), dtype=torch.float64)
    for i in range(k):
        for j in range(i + 1):
            both = (deviations[i] * deviations[j]).sum(0).double() - rests[i] * rests[j] / count
            products[i, j] = products[j, i] = both.cpu()
    return torch.stack(means).cpu().numpy(), products.numpy()


def _pieces(x: Tensor) -> Iterator[Tensor]:
    """Yield all values of a signal in the order of the memory, in pieces that stay in the cache of a CPU."""
    for row in _rows(x)[0]:
        yield from row.split(PIECE) if x.device.type == "cpu" else (row,)


def _count(x: Tensor, edges: Tensor) -> np.ndarray:
    """Return the counts of the bins, those outside in the first and the last entry."""
    edges = edges.to(x.device, torch.float64)
    single = x.dtype != torch.float64
    # A float32 is at least an edge exactly where it is at least the next float32 from the edge on.
    starts = torch.from_numpy(_up(edges.cpu().numpy())).to(x.device) if single else edges
    counts = torch.zeros(len(edges) + 1, dtype=torch.int64, device=x.device)
    for piece in _pieces(x):
        counts += torch.bincount(torch.bucketize(piece, starts, out_int32=True, right=True), minlength=len(counts))
        if not single or starts[-1].double() == edges[-1]:
            last = (piece == starts[-1]).sum()  # as in numpy, the last bin has its right edge
            counts[-1] -= last
            counts[-2] += last
    return counts.cpu().numpy()


def _up(values: np.ndarray) -> np.ndarray:
    """Return the smallest float32 that is not below each value."""
    near = values.astype(np.float32)
    return np.where(near < values, np.nextafter(near, np.float32(np.inf)), near)


def _sketch(x: Tensor) -> np.ndarray:
    counts = torch.zeros(BUCKETS, dtype=torch.int64, device=x.device)
    for piece in _pieces(x):
        values = piece.float()
        size = values.abs()
        bucket = size.clamp(SMALLEST, LARGEST).log_().div_(math.log(GAMMA)).ceil_().sub_(LOWEST)
        # On either side of the zeros, which are in the middle: PER_SIDE.
        place = bucket.clamp_(0, PER_SIDE - 1).add_(1).mul_(values.sign()).mul_(size >= SMALLEST).add_(PER_SIDE)
        counts += torch.bincount(place.int(), minlength=BUCKETS)
    return counts.cpu().numpy()
