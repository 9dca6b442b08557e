"""Currents side by side: parts of a layer that are joined, and steps that are listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from eiplatform.foreign.current import Calls, Current, Term

__all__ = ["calls_of", "joined", "listed"]

Place = Callable[[list[Tensor]], Tensor]


def calls_of(found: list[Current]) -> dict[str, Calls] | None:
    """Return the calls of all weights of some currents, None if they hold several calls of the same weights."""
    calls: dict[str, Calls] = {}
    for current in found:
        if any(calls.get(name, call) != call for name, call in current.calls.items()):
            return None
        calls |= current.calls
    return calls


def joined(
    found: list[Current], tensors: list[Tensor], place: Place, calls: Mapping[str, Calls], trailed: bool
) -> Current:
    """Return the current of tensors that lie side by side, each with its own part of the neurons or channels.

    Parameters
    ----------
    found : list of Current
    tensors : list of Tensor
        What carries them.
    place : callable
        Puts tensors side by side.
    calls : mapping of str to int or tuple of int
        Of all weights, see :func:`calls_of`.
    trailed : bool
        Whether currents keep what was done to them.
    """
    terms: dict[str, Term | None] = {}
    for name in calls:
        parts = [
            current.terms.get(name, Term(torch.zeros_like(tensor), torch.zeros_like(tensor)))
            for current, tensor in zip(found, tensors, strict=True)
        ]
        known = [part for part in parts if part is not None]
        terms[name] = None
        if len(known) == len(parts):
            terms[name] = _side_by_side(known, place)
    trails: dict[str, Any] | None = {} if trailed else None
    if trails is not None:
        zeros = [torch.zeros_like(tensor) for tensor in tensors]
        for at, current in enumerate(found):

            def join(part: Tensor, at: int = at) -> Tensor:
                given = [part if k == at else zero.to(part.dtype) for k, zero in enumerate(zeros)]
                return place(given)

            for name, trail in (current.trails or {}).items():
                trail = (*trail, ("step", join))
                trails[name] = (("sum", (trails[name], trail)),) if name in trails else trail
    scaled = any(current.was_scaled for current in found)
    bias, shift = (_constant([getattr(one, which) for one in found], place) for which in ("bias", "shift"))
    return Current(terms, calls, bias, shift, was_scaled=scaled, trails=trails)


def listed(found: list[Current], place: Place) -> Current | None:
    """Return the current of a list of steps: calls of the same weights, side by side; None if they are not alike."""
    names = list(found[0].calls)
    numbers = {name: [one.calls.get(name) for one in found] for name in names}
    calls: dict[str, Calls] = {
        name: tuple(n for n in several if isinstance(n, int)) for name, several in numbers.items()
    }
    distinct = all(isinstance(several, tuple) and len(set(several)) == len(found) for several in calls.values())
    if not distinct or any(list(one.calls) != names or one.sign != found[0].sign for one in found):
        return None

    terms: dict[str, Term | None] = {}
    for name in names:
        parts = [one.terms[name] for one in found]
        known = [part for part in parts if part is not None]
        terms[name] = None
        if len(known) == len(parts):
            terms[name] = _side_by_side(known, place)
    trails: dict[str, Any] | None = None
    if all(one.trails is not None for one in found):
        trails = {
            name: (("calls", ([((one.trails or {})[name], one.calls[name]) for one in found], place)),)
            for name in names
        }
    bias, shift = (_constant([getattr(one, which) for one in found], place) for which in ("bias", "shift"))
    return Current(terms, calls, bias, shift, was_scaled=found[0].was_scaled, trails=trails)


def _side_by_side(terms: list[Term], place: Place) -> Term:
    return Term(place([term.exc for term in terms]), place([term.inh for term in terms]))


def _constant(values: list[Tensor | None], place: Place) -> Tensor | None:
    known = [value for value in values if value is not None]
    return place(known) if len(known) == len(values) else None
