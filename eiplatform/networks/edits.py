"""Changing what reaches the neurons of a layer, between its synapses and its membranes.

A site is a pathway's contribution to a layer, under the name of its factor in
:class:`~eiplatform.networks.pathways.PathwayScale` (``input_exc``, ``subtractive``, ...), or what a population
sends on: ``output/E``, ``output/I``.  A layer with edits computes every contribution by itself, has it edited, and
only then forms the net current; one without them never comes here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Again", "Edit", "Edits", "Mask", "NoWeights", "no_weights", "output_site"]

Again = Callable[..., Tensor]
"""``again(mask, rows)`` recomputes values with the weights times ``mask(weights)``, for some samples of the batch."""
Mask = Callable[[Tensor], Tensor]


def output_site(role: str) -> str:
    """Return the site of what a population sends on."""
    return f"output/{role}"


class NoWeights(Exception):
    """The values do not come through weights that could be multiplied."""


def no_weights(mask: Mask, rows: slice = slice(None)) -> Tensor:
    """Say that the values cannot be recomputed."""
    raise NoWeights


class Edit(Protocol):
    """One change of the values at one site."""

    timed: bool
    """Whether it treats the steps of a static input differently."""

    def __call__(self, values: Tensor, again: Again, first: int) -> Tensor:
        """Return new values (T, B, ...); the first belong to step `first`."""


@dataclass(frozen=True)
class Edits:
    """All edits of one layer.

    Attributes
    ----------
    worlds : tuple of mapping of str to tuple of Edit
        By site.  Several worlds lie one after another along the batch axis.
    batch : int
        Samples of one world, where there are several.
    """

    worlds: tuple[Mapping[str, tuple[Edit, ...]], ...]
    batch: int = 0

    @property
    def timed(self) -> bool:
        """Whether any edit needs every step of a static input."""
        return any(edit.timed for world in self.worlds for edits in world.values() for edit in edits)

    def __call__(self, site: str, values: Tensor, again: Again = no_weights, first: int = 0) -> Tensor:
        """Return the values (T, B, ...) of a site after its edits; of several worlds (T, worlds * B, ...)."""
        if not any(site in world for world in self.worlds):
            return values
        if len(self.worlds) == 1:
            return _edited(self.worlds[0][site], values, partial(again, rows=slice(None)), first)
        parts = []
        for rows, world in zip(self._rows(values), self.worlds, strict=True):
            parts.append(_edited(world.get(site, ()), values[:, rows], partial(again, rows=rows), first))
        return torch.cat(parts, 1)

    def spread(self, values: Tensor) -> Tensor:
        """Return the values (T, B, ...) for all worlds, if they are still those of one."""
        n = len(self.worlds)
        if n == 1 or values.shape[1] != self.batch:
            return values
        return values.repeat(1, n, *(1,) * (values.ndim - 2))

    def _rows(self, values: Tensor) -> list[slice]:
        if values.shape[1] == self.batch:
            return [slice(None)] * len(self.worlds)
        return [slice(k * self.batch, (k + 1) * self.batch) for k in range(len(self.worlds))]


def _edited(edits: tuple[Edit, ...], values: Tensor, again: Again, first: int) -> Tensor:
    for edit in edits:
        values = edit(values, again, first).expand_as(values)
    return values
