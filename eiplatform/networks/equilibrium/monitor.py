"""Watching whether equilibria are reached, forwards and backwards, over an epoch of training."""

from __future__ import annotations

import math
from collections.abc import Mapping

from eiplatform.errors import TrainingError

__all__ = ["MEANINGLESS", "Monitor", "check_convergence"]

MEANINGLESS = 0.5
"""Mean relative residual of the backward equation from which on the gradient says nothing."""
NOTABLE = 0.01
"""Part of the training steps, or of the neurons, that is worth a warning."""
MOSTLY_SILENT = 0.9
"""Part of the backward neurons without a spike that is worth a warning."""


class Monitor:
    """Collects numbers and gives their means.

    Examples
    --------
    >>> monitor = Monitor()
    >>> monitor.add(residual=0.1, unconverged=0.0)
    >>> monitor.add(residual=0.3, unconverged=1.0)
    >>> monitor.take()
    {'residual': 0.2, 'residual_max': 0.3, 'unconverged': 0.5}
    >>> monitor.take()
    {}
    """

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def add(self, **values: float) -> None:
        """Add what one training step says."""
        for name, value in values.items():
            self._values.setdefault(name, []).append(value)

    def take(self) -> dict[str, float]:
        """Return the means, and the largest residual, and start anew."""
        found = {}
        for name, values in self._values.items():
            found[name] = math.fsum(values) / len(values)
            if name == "residual":
                found["residual_max"] = max(values)
        self._values = {}
        return found


def check_convergence(found: Mapping[str, float], where: str = "equilibrium") -> list[str]:
    """Judge an epoch of training.

    Parameters
    ----------
    found : mapping of str to float
        As :meth:`Monitor.take` gives it: ``residual``, ``unconverged``, ``iterations`` of the
        solver; ``residual``, ``saturated``, ``silent`` of ternary spikes; ``forward_residual``.
    where : str
        Named in the error.

    Returns
    -------
    list of str
        One sentence per thing that is wrong, with what to try.

    Raises
    ------
    TrainingError
        If the gradients were meaningless.

    Examples
    --------
    >>> check_convergence({"residual": 1e-5, "residual_max": 1e-4, "unconverged": 0.0})
    []
    >>> check_convergence({"residual": 0.02, "saturated": 0.3})[0].partition(":")[0]
    'backward spikes saturate in 30 % of the neurons'
    """
    residual = found.get("residual", 0.0)
    if not residual < MEANINGLESS:
        raise TrainingError(
            f"the backward equilibrium was not found: mean relative residual {residual:.2g} over the epoch",
            where=where,
            remedy="try: "
            + (
                "another network.feedback.gradient_scale, more network.feedback.back_steps"
                if "saturated" in found
                else "a lower network.feedback.norm_limit, solver broyden, a smaller damping, more max_iterations"
            ),
        )
    warnings = []
    if found.get("unconverged", 0.0) > NOTABLE:
        warnings.append(
            f"the backward equilibrium was not found to tolerance in {found['unconverged']:.0%} of the steps "
            f"(relative residual up to {found['residual_max']:.2g}): raise network.feedback.max_iterations, "
            "lower norm_limit, or use solver broyden"
        )
    if found.get("saturated", 0.0) > NOTABLE:
        warnings.append(
            f"backward spikes saturate in {100 * found['saturated']:.2g} % of the neurons: "
            "lower network.feedback.gradient_scale"
        )
    if found.get("silent", 0.0) > MOSTLY_SILENT:
        warnings.append(
            f"{found['silent']:.0%} of the backward neurons receive too little to fire: "
            "raise network.feedback.gradient_scale or back_steps"
        )
    return warnings
