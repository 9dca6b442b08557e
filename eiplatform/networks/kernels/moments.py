"""Moments of a layer's signals, formed where the signals arise.

The fused operation hands over every block while it is in the cache, so that no signal has to be
written to memory only to be summed.  Kept are sums of the deviations from a value near the mean
(that of the first few values) and of their squares: a few of them are added in the signals' own type,
these in float64, so that neither many values nor a large mean nor a first value far from it cost digits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from eiplatform.errors import EIPlatformError, choose

__all__ = ["PER_FLUSH", "FIELDS", "PILOT", "Moments", "Sums"]

STATIC = ("exc", "inh", "net", "div", "gain", "drive", "activity")
"""What a static input gives once for all steps."""
FIELDS = (*STATIC, "voltage", "spikes")
PER_FLUSH = 16
"""Additions in the signals' own type before their sum is added in float64."""
PILOT = 8
"""Values whose mean is the one about which all others are summed."""


class Sums(NamedTuple):
    """Of one signal, each of shape (places, channels)."""

    shift: Tensor
    """In the signals' type."""
    total: Tensor
    """Of the deviations, float64."""
    squares: Tensor
    """Of their squares, float64."""


class Moments:
    """The moments of one layer's signals over samples and steps; a run adds to them.

    Parameters
    ----------
    fields : iterable of str
        Of :data:`FIELDS`: ``exc`` is what reaches the E neurons, ``activity`` that of the I
        neurons, and the others as in :class:`~eiplatform.networks.kernels.fused_parts.Fused`.
    warmup, every : int
        Of the steps, every `every`-th one from `warmup` on counts.

    Examples
    --------
    >>> import eiplatform.networks.kernels.fused as fused
    >>> from eiplatform.networks.kernels.lif import LIF
    >>> currents = torch.tensor([[[3.0, 1.0], [5.0, 1.0]]])  # two samples of one E and one I neuron
    >>> half, one = torch.full((1, 1), 0.5), torch.ones(1)
    >>> moments = Moments(["exc", "drive"])
    >>> with torch.no_grad():
    ...     _ = fused.ei_spikes(currents, half, half, one, -one, None, neuron=LIF(), moments=moments)
    >>> n, mean, squares = moments.result("drive")  # (3 - 0.5) / 0.5 - 1 = 4, and 8
    >>> n, mean.item(), squares.item()
    (2, 6.0, 8.0)
    """

    def __init__(self, fields: Iterable[str], *, warmup: int = 0, every: int = 1) -> None:
        self.fields = tuple(choose(name, FIELDS, "signal", where="moments") for name in fields)
        self.warmup, self.every = warmup, every
        self.sums: dict[str, Sums] = {}
        self.fresh = True
        """Whether nothing was added yet, and the shifts are still to be chosen."""
        self._first: dict[str, int] = {}
        self._centred = False
        self._n_samples = 0
        self._steps: tuple[int, int] | None = None
        self._parts: dict[str, tuple[Tensor, Tensor]] = {}
        self._waiting: dict[str, int] = {}

    def takes(self, t: int) -> bool:
        """Whether a step counts."""
        return t >= self.warmup and (t - self.warmup) % self.every == 0

    def begin(self, currents: Tensor, n_exc: int, steps: int, real: torch.dtype) -> None:
        """Prepare for a batch of currents (T, B, places..., channels).

        Raises
        ------
        EIPlatformError
            If it has other steps or neurons than the batches before, or no step that counts.
        """
        n_places = math.prod(currents.shape[2:-1])
        sizes = {name: n_exc for name in FIELDS} | {"activity": currents.shape[-1] - n_exc}
        if self._steps not in (None, (len(currents), steps)) or steps <= self.warmup:
            raise EIPlatformError(
                f"{steps} steps after {self._steps and self._steps[1]}, warm-up {self.warmup}",
                where="moments",
                valid="the same steps in every batch, more than the warm-up",
            )
        self._steps = (len(currents), steps)
        self._n_samples += currents.shape[1]
        for name in self.fields:
            shape = (n_places, sizes[name])
            if name not in self.sums:
                shift = currents.new_zeros(shape, dtype=real)
                self.sums[name] = Sums(shift, *(shift.new_zeros(shape, dtype=torch.float64) for _ in range(2)))
            elif self.sums[name].shift.shape != shape:
                raise EIPlatformError("a batch of another layer", where="moments", valid="one layer")

    def add(self, name: str, values: Tensor, n_samples: int, buffer: Tensor) -> None:
        """Add one step of a block, shape (samples x places, channels); `buffer` has the shape of the values."""
        if name not in self.sums:
            return
        sums = self.sums[name]
        rows, deviation = (x.reshape(n_samples, -1) for x in (values, buffer))
        shift = sums.shift.view(-1)
        if self._first.setdefault(name, 0 if self.fresh else PILOT) < PILOT:
            self._add_first(name, rows)
            return
        if name not in self._parts:
            self._parts[name] = (torch.zeros_like(shift), torch.zeros_like(shift))
        part, part_squares = self._parts[name]
        torch.sub(rows, shift, out=deviation)
        if n_samples == 1:
            part += deviation[0]
            part_squares.addcmul_(deviation[0], deviation[0])
            self._waiting[name] = waiting = self._waiting.get(name, 0) + 1
            if waiting == PER_FLUSH:
                self._flush(name)
            return
        sums.total.view(-1).add_(deviation.sum(0))
        sums.squares.view(-1).add_(deviation.mul_(deviation).sum(0))

    def _add_first(self, name: str, rows: Tensor) -> None:
        """Add the first few values in float64, and take their mean as the shift."""
        shift, total, squares = (x.view(-1) for x in self.sums[name])
        exact = rows.double() - shift
        total += exact.sum(0)
        squares += exact.square_().sum(0)
        self._first[name] += len(rows)
        if self._first[name] >= PILOT:
            self._centre(name, self._first[name])

    def _flush(self, name: str) -> None:
        """Add what was added in the signals' type in float64."""
        for part, total in zip(self._parts[name], self.sums[name][1:], strict=True):
            total.view(-1).add_(part)
            part.zero_()
        self._waiting[name] = 0

    def end(self) -> None:
        """Complete a batch."""
        for name in self._parts:
            self._flush(name)
        if not self._centred:
            for name in self.fields:
                self._centre(name, self._seen(name))
        self.fresh, self._centred = False, True

    def _centre(self, name: str, n: int) -> None:
        """Move the shift to the mean of the n values so far: the first ones may have been far away."""
        shift, total, squares = self.sums[name]
        before = shift.double().clone()
        shift.add_(total / n)
        moved = shift.double() - before
        squares.sub_(moved * (2 * total - n * moved))
        total.sub_(n * moved)

    def settle(self, n_samples: int) -> None:
        """Take the mean of what was added, of so many samples, as the shift, and forget the rest."""
        for name, (shift, total, squares) in self.sums.items():
            shift.add_(total / self._seen(name, n_samples))
            total.zero_()
            squares.zero_()
        self.fresh = False

    def _seen(self, name: str, n_samples: int | None = None) -> int:
        """Return how many values so many samples (default: all) have: of what a static input gives, one each."""
        assert self._steps is not None
        given, steps = self._steps
        held = name in STATIC and given < steps
        n = self._n_samples if n_samples is None else n_samples
        return n * (1 if held else len(range(self.warmup, steps, self.every)))

    def result(self, name: str) -> tuple[int, Tensor, Tensor]:
        """Return n, mean and sum of squared deviations, shape (places, channels)."""
        seen, n = self._seen(name), self._seen("spikes")
        shift, total, squares = self.sums[name]
        mean = total / seen
        m2 = (squares - total * mean).clamp_min_(0) * (n / seen)
        return n, mean.add_(shift), m2
