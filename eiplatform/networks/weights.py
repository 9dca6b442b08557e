"""How weights start: from their number of inputs, or from moments of the input (E-I Init, arXiv 2509.23253)."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Initialised", "InputMoments", "draw_exponential", "ei_init_scales", "input_moments"]


class InputMoments(NamedTuple):
    """Moments of the values that reach a layer, over samples, steps and inputs."""

    mean: float
    variance: float
    mean_square: float


class Initialised(nn.Module):
    """A module whose start :func:`eiplatform.networks.initialise_network` sets.

    Attributes
    ----------
    from_input : bool
        Whether E-I Init fills it from the moments of its input.
    separate : bool
        Whether its random numbers come from a generator of their own, so that the other weights do not depend on it.
    """

    from_input: ClassVar[bool] = False
    separate: ClassVar[bool] = False

    def init_(self, generator: torch.Generator) -> None:
        """Fill what depends on the number of inputs alone, and constants.

        Parameters
        ----------
        generator : torch.Generator
            On the CPU; numbers are drawn in float64, so that the same weights result on every device.
        """
        raise NotImplementedError

    def init_from_input_(self, moments: InputMoments, generator: torch.Generator) -> None:
        """Fill the module from the moments of its input, just before it runs for the first time."""
        raise NotImplementedError


def input_moments(x: Tensor, repeats: int | None = None) -> InputMoments:
    """Measure the moments that E-I Init needs, in float64.

    Parameters
    ----------
    x : Tensor, shape (T, B, ...) or, if `repeats` is given, (B, ...)
    repeats : int, optional
        The pattern is shown this many times; the unbiased variance counts every showing.

    Returns
    -------
    InputMoments
        ``variance`` is the unbiased variance over time and samples, averaged over inputs.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> input_moments(x, repeats=2) == input_moments(torch.stack((x, x)))
    True
    """
    merged = (x if repeats is not None else x.flatten(0, 1)).double()
    showings = merged.shape[0] * (repeats or 1)
    unbiased = showings / (showings - 1) if showings > 1 else math.nan
    variance, mean = torch.var_mean(merged, 0, correction=0)
    return InputMoments(mean.mean().item(), variance.mean().item() * unbiased, (variance + mean.square()).mean().item())


def ei_init_scales(moments: InputMoments, fan_in: int) -> tuple[float, float]:
    """Return the scale of the exponential weights and the gain g_I.

    Parameters
    ----------
    moments : InputMoments
    fan_in : int
        Number of inputs of one neuron, ``d``.

    Returns
    -------
    scale : float
        ``sqrt(Var x / (d (E x^2 + Var x)))`` (Eq. 53): mean excitation equals mean
        subtractive inhibition.
    gain_inh : float
        ``sqrt(E x^2 + Var x) / (sqrt(d) E x)`` (Eq. 54): mean divisive inhibition equals the
        standard deviation of the excitation.

    Examples
    --------
    >>> p, d = 0.25, 100  # independent spikes with probability p
    >>> scale, gain = ei_init_scales(InputMoments(p, p * (1 - p), p), d)
    >>> math.isclose(scale, math.sqrt((1 - p) / (d * (2 - p)))), math.isclose(gain, math.sqrt((2 - p) / (d * p)))
    (True, True)
    """
    spread = moments.mean_square + moments.variance
    return math.sqrt(moments.variance / (fan_in * spread)), math.sqrt(spread / fan_in) / moments.mean


def draw_exponential(weights: tuple[Tensor, ...], scale: float, generator: torch.Generator) -> None:
    """Fill weights with exponential random numbers, drawn on the CPU in float64."""
    for weight in weights:
        drawn = torch.empty(weight.shape, dtype=torch.float64).exponential_(generator=generator)
        weight.copy_(drawn * scale)
