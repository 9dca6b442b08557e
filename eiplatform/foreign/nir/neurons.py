"""NIR's neurons, advanced one step per call.

NIR gives differential equations; a step of length dt turns them into numbers.  With the factor ``k`` that a leaky
quantity keeps over a step,

    k = 1 - dt / tau            ``method="euler"``: forward Euler, of snnTorch, Norse, spikingjelly, Lava
    k = exp(-dt / tau)          ``method="exponential"``: exact for an input that is constant in the step; sinabs

a step is, in this order,

    i <- k_syn i + (1 - k_syn) w_in x             (CubaLIF, CubaLI; else i = x)
    v <- k v + (1 - k) (R i + v_leak)             (LIF, LI, CubaLIF, CubaLI)
    v <- v + dt R i                               (IF, I)
    z = 1 where v > v_threshold
    v <- v_reset where z = 1, or v <- v - v_threshold z

The membrane sees the synaptic current of the same step, as in all five frameworks' importers.  At rest ``i = 0`` and
``v = v_leak``, of IF ``v = v_reset``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from eiplatform.errors import ConfigError, StoreError

__all__ = ["METHODS", "RESETS", "Held", "NIRDelay", "NIRNeurons", "Stepping", "field"]

METHODS = ("euler", "exponential")
RESETS = ("subtract", "zero")


class Stepping(NamedTuple):
    """How differential equations become steps.

    Attributes
    ----------
    dt : float
        Length of a step, in the unit of the graph's time constants.
    method : {"euler", "exponential"}
    reset : {"subtract", "zero"} or None
        In place of what the nodes say of their reset; None: as they say.
    """

    dt: float
    method: str
    reset: str | None


def field(values: Mapping[str, Any], key: str, node: str) -> np.ndarray:
    """Return a field of a node as numbers.

    Raises
    ------
    StoreError
        If the node has no such field, or it holds no finite real numbers.
    """
    if values.get(key) is None:
        raise StoreError(f"has no field '{key}'", where=f"node '{node}'", valid=[name for name in values])
    found = np.asarray(values[key])
    if found.dtype.kind not in "iufb" or not np.isfinite(found).all():
        raise StoreError(f"its '{key}' holds no finite real numbers", where=f"node '{node}'")
    return found.astype(np.float64)


class Held(nn.Module):
    """A module that keeps something from step to step."""

    def reset(self) -> None:
        """Return to rest."""
        raise NotImplementedError


class NIRNeurons(Held):
    """A node of neurons: IF, LIF, CubaLIF, their integrators I, LI, CubaLI, and Threshold.

    Attributes
    ----------
    kind : str
        NIR's name.
    fires : bool
        Whether the output is spikes; of integrators it is the potential.
    voltage : Tensor or None
        Potential of the step that was run last, before the reset.
    """

    keep: Tensor
    gain: Tensor
    shift: Tensor
    rest: Tensor
    threshold: Tensor
    v_reset: Tensor
    synapse_keep: Tensor
    synapse_gain: Tensor

    def __init__(self, kind: str, values: Mapping[str, Any], stepping: Stepping, name: str) -> None:
        super().__init__()
        self.kind = kind
        self.v: Tensor | None = None
        self.i: Tensor | None = None
        self.voltage: Tensor | None = None
        self.fires = kind in ("IF", "LIF", "CubaLIF", "Threshold")
        self.remembers = kind != "Threshold"
        self.synapse = kind.startswith("Cuba")
        self._subtracts = False
        self._inclusive = False
        constants = _constants(kind, values, stepping, name)
        if self.fires and self.remembers:
            reset_to, self._inclusive = _reset(values, stepping, name)
            self._subtracts = reset_to is None
            if reset_to is not None:
                constants["v_reset"] = reset_to
                if kind == "IF":
                    constants["rest"] = reset_to
        self.shape = max(
            (np.shape(one) for one in constants.values()), key=lambda shape: (math.prod(shape), len(shape))
        )
        for key, one in constants.items():
            fits = one.size == 1 or one.shape == self.shape
            if not fits:
                raise StoreError(
                    f"its fields have the shapes {self.shape} and {one.shape}",
                    where=f"node '{name}'",
                    valid="one shape for all",
                )
            number = one.reshape(()) if one.size == 1 else one
            self.register_buffer(key, torch.tensor(number, dtype=torch.get_default_dtype()))

    def reset(self) -> None:
        """Return to rest."""
        self.v = self.i = self.voltage = None

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes of one step, or the potential of integrators.

        Parameters
        ----------
        x : Tensor, shape (B, neurons...)
            Input current (of CubaLIF and CubaLI: what reaches the synapses).
        """
        if not self.remembers:
            return (x > self.threshold).to(x.dtype)
        if self.synapse:
            arrived = x * self.synapse_gain
            self.i = arrived if self.i is None else self.i * self.synapse_keep + arrived
            x = self.i
        before = self.rest.expand_as(x) if self.v is None else self.v
        voltage = before * self.keep + x * self.gain + self.shift
        if not self.fires:
            self.v = voltage
            return voltage
        spikes = (voltage >= self.threshold if self._inclusive else voltage > self.threshold).to(x.dtype)
        self.voltage = voltage
        if self._subtracts:
            self.v = voltage - self.threshold * spikes
        else:
            self.v = torch.where(spikes > 0, self.v_reset, voltage)
        return spikes

    def extra_repr(self) -> str:
        """Return what ``repr`` shows."""
        reset = "" if not (self.fires and self.remembers) else ", subtracts" if self._subtracts else ", resets"
        return f"{self.kind}, shape={self.shape}{reset}"


def _constants(kind: str, values: Mapping[str, Any], stepping: Stepping, name: str) -> dict[str, np.ndarray]:
    """Return the constants of a step by the names of the buffers."""
    if kind == "Threshold":
        return {"threshold": field(values, "threshold", name)}
    found: dict[str, np.ndarray] = {}
    r = field(values, "r", name)
    if kind in ("I", "IF"):
        found |= {"keep": np.ones(()), "gain": stepping.dt * r, "shift": np.zeros(()), "rest": np.zeros(())}
    else:
        leak = field(values, "v_leak", name)
        keep = _kept(values, "tau_mem" if kind.startswith("Cuba") else "tau", stepping, name)
        found |= {"keep": keep, "gain": (1 - keep) * r, "shift": (1 - keep) * leak, "rest": leak}
    if kind.startswith("Cuba"):
        keep = _kept(values, "tau_syn", stepping, name)
        weight = field({"w_in": 1.0, **values}, "w_in", name)
        found |= {"synapse_keep": keep, "synapse_gain": (1 - keep) * weight}
    if kind in ("IF", "LIF", "CubaLIF"):
        found["threshold"] = field(values, "v_threshold", name)
    return found


def _kept(values: Mapping[str, Any], key: str, stepping: Stepping, name: str) -> np.ndarray:
    """Return the part of a leaky quantity that is left after one step."""
    tau = field(values, key, name)
    if (tau <= 0).any():
        raise StoreError(f"its {key} is {tau.min():g}", where=f"node '{name}'", valid="above 0")
    if stepping.method == "exponential":
        return np.exp(-stepping.dt / tau)
    if (tau < stepping.dt * (1 - 1e-6)).any():
        raise ConfigError(
            f"a step of {stepping.dt:g} is longer than {key} = {tau.min():g}: Euler's method overshoots",
            where=f"node '{name}'",
            remedy=(
                "give the step in the unit of the graph's time constants, at most as long as the shortest: dt=...",
                "method='exponential'",
                "a graph of Norse 1.1, which writes dt x tau: dt=dt**2",
            ),
        )
    return np.maximum(1 - stepping.dt / tau, 0.0)


def _reset(values: Mapping[str, Any], stepping: Stepping, name: str) -> tuple[np.ndarray | None, bool]:
    """Return the potential after a spike, None where the threshold is subtracted; and whether v = threshold fires."""
    own = values.get("metadata") or {}
    inclusive = bool(own.get("eiplatform_fires_at_threshold", 0))
    said = stepping.reset or own.get("eiplatform_reset")
    if said == "subtract":
        return None, inclusive
    if said == "zero":
        return np.zeros(()), inclusive
    if values.get("v_reset") is None:  # before version 1.0.6, which brought v_reset, NIR's neurons subtracted
        return None, inclusive
    return field(values, "v_reset", name), inclusive


class NIRDelay(Held):
    """A node that gives its input back some steps later; before there is any, 0."""

    steps: Tensor

    def __init__(self, steps: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("steps", torch.tensor(steps, dtype=torch.int64))
        self.longest = int(steps.max())
        self.shape = tuple(steps.shape)
        self.past: list[Tensor] = []

    def reset(self) -> None:
        """Forget all input."""
        self.past = []

    def forward(self, x: Tensor) -> Tensor:
        """Return what came `steps` steps before."""
        zeros = torch.zeros_like(x)
        self.past = [x, *self.past][: self.longest + 1]
        if self.steps.numel() == 1:
            return self.past[self.longest] if len(self.past) > self.longest else zeros
        steps = self.steps.expand_as(x)
        for number in sorted(set(self.steps.flatten().tolist())):
            if number < len(self.past):
                zeros = torch.where(steps == number, self.past[number], zeros)
        return zeros
