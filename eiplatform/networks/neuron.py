"""Neurons that can do more than plain leaky integrate-and-fire ones, advanced step by step.

Three independent pieces; each can be switched on by itself (:class:`Firing`):

thresholds
    One trainable threshold per neuron (STL-SNN, arXiv 2206.06129).
several spikes per step
    Circulate-firing, our reading of the abstract of arXiv 2605.27412: the neuron keeps firing
    while its potential exceeds the threshold, on the negative side too if asked for, up to a
    bound.  With theta the threshold, m the bound and H the step, this is the staircase

        n = sum_k H(u - k theta) - sum_k H(-u - k theta),   k = 1 .. m

    and the soft reset ``u - theta n`` conserves charge: what flows in leaks, is fired, or remains.
widths
    One trainable width of the surrogate per time step, our reading of the same abstract.

With all of them off, a step is that of :func:`eiplatform.networks.kernels.lif.lif_step`, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from eiplatform.discovery import gather
from eiplatform.errors import ConfigError, choose
from eiplatform.networks.kernels.lif import LIF, Membrane, real_type
from eiplatform.networks.weights import Initialised
from eiplatform.project import project_folder

__all__ = ["Firing", "NeuronModel", "StepwiseNeuron", "neuron_model", "neuron_models", "plain"]


class Firing(NamedTuple):
    """What neurons can do beyond plain leaky integrate-and-fire.

    Attributes
    ----------
    thresholds : bool
        One trainable threshold per neuron, shared over time; it starts at that of the ``LIF``.
    spread : float
        Standard deviation of the thresholds' start.
    max_spikes : int
        Most spikes of one sign in one step.
    negative : bool
        Whether potentials below minus the threshold fire negative spikes.
    widths : int
        Time steps that have a surrogate width of their own, trainable; 0: the surrogate is fixed.
        Later steps take the last width.
    """

    thresholds: bool = False
    spread: float = 0.0
    max_spikes: int = 1
    negative: bool = False
    widths: int = 0


class StepwiseNeuron(Initialised):
    """A population of neurons, advanced step by step through automatic differentiation.

    Parameters
    ----------
    lif : LIF
        Constants; with trainable thresholds its ``threshold`` is where these start.
    shape : tuple of int
        Of the population, ``(neurons,)`` or ``(channels, rows, columns)``.
    firing : Firing

    Raises
    ------
    ConfigError
        If several or negative spikes are asked for with a hard reset, which has no charge to give back.

    Examples
    --------
    >>> neuron = StepwiseNeuron(LIF(), (2,), Firing(max_spikes=3, negative=True))
    >>> state, spikes, _ = neuron(torch.tensor([[[2.5, -1.25]]]))
    >>> spikes.tolist(), state.membrane.tolist()
    ([[[2.0, -1.0]]], [[0.5, -0.25]])
    """

    fires: ClassVar[bool] = True
    separate = True

    def __init__(self, lif: LIF, shape: tuple[int, ...], firing: Firing) -> None:
        super().__init__()
        if lif.reset != "soft" and (firing.max_spikes > 1 or firing.negative):
            raise ConfigError(
                "several or negative spikes per step need the reset that subtracts the threshold",
                where="neuron",
                valid="reset: soft",
            )
        if firing.max_spikes < 1:
            raise ConfigError(f"{firing.max_spikes} spikes per step", where="neuron", valid="at least 1")
        self.lif, self.firing = lif, firing
        self.threshold = nn.Parameter(torch.full(shape, float(lif.threshold))) if firing.thresholds else None
        # alpha = alpha0 exp(-log width): positive whatever training does, and exactly alpha0 at the start.
        self.log_width = nn.Parameter(torch.zeros(firing.widths)) if firing.widths else None

    @property
    def graded(self) -> bool:
        """Whether there can be more than a spike or none."""
        return self.firing.max_spikes > 1 or self.firing.negative

    def init_(self, generator: torch.Generator) -> None:
        """Draw the thresholds and reset the widths."""
        if self.threshold is not None:
            drawn = torch.empty(self.threshold.shape, dtype=torch.float64).normal_(generator=generator)
            self.threshold.copy_(self.lif.threshold + self.firing.spread * drawn)
        if self.log_width is not None:
            self.log_width.zero_()

    def count(self, voltage: Tensor, step: int) -> Tensor:
        """Return the spikes of one step, negative ones as negative numbers.

        Parameters
        ----------
        voltage : Tensor, shape (B, ...)
        step : int
            Decides the width of the surrogate.
        """
        threshold = self.lif.threshold if self.threshold is None else self.threshold
        fired = None
        for level in range(1, self.firing.max_spikes + 1):
            up = self._spike(voltage - level * threshold, step)
            fired = up if fired is None else fired + up
            if self.firing.negative:
                fired = fired - self._spike(-voltage - level * threshold, step)
        assert fired is not None
        return fired

    def advance(self, drive: Tensor, membrane: Tensor | None, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Advance by one step.

        Parameters
        ----------
        drive : Tensor, shape (B, ...)
        membrane : Tensor or None
            After the last reset; None: at rest.
        step : int
            Decides the width of the surrogate.

        Returns
        -------
        membrane, spikes, voltage : Tensor, shape (B, ...)
        """
        voltage = drive if membrane is None else torch.add(drive, membrane, alpha=self.lif.decay)
        fired = self.count(voltage, step)
        if self.lif.reset == "soft":
            given = (self.lif.threshold if self.threshold is None else self.threshold) * fired
            return voltage - (given.detach() if self.lif.detach_reset else given), fired, voltage
        return voltage * (1 - (fired.detach() if self.lif.detach_reset else fired)), fired, voltage

    def forward(
        self, drive: Tensor, state: Membrane | None = None, *, steps: int | None = None, keep_voltage: bool = False
    ) -> tuple[Membrane, Tensor, Tensor | None]:
        """Advance by all steps of `drive`; parameters and results are those of ``lif_sequence``."""
        real = real_type(drive)
        membrane = None if state is None else state.membrane
        spikes, voltages = [], []
        for step in range(len(drive) if steps is None else steps):
            membrane, fired, voltage = self.advance(drive[0 if steps is not None else step].to(real), membrane, step)
            spikes.append(fired.to(drive.dtype))
            voltages.append(voltage)
        assert membrane is not None
        return Membrane(membrane), torch.stack(spikes), torch.stack(voltages) if keep_voltage else None

    def neuron_parameters(self) -> dict[str, Tensor]:
        """Return the parameters per neuron that the sum rules need, by the names of the schema."""
        return {} if self.threshold is None else {"threshold": self.threshold}

    def attrs(self) -> dict[str, Any]:
        """Return further attributes for the store, of neurons that fire more than a spike or none."""
        if not self.graded:
            return {}
        return {"max_spikes": self.firing.max_spikes, "negative_spikes": int(self.firing.negative)}

    def _spike(self, distance: Tensor, step: int) -> Tensor:
        if self.log_width is None:
            return self.lif.surrogate.spike(distance)
        log_width = self.log_width[min(step, len(self.log_width) - 1)]
        return self.lif.surrogate.spike_learnt(distance, self.lif.surrogate.alpha * torch.exp(-log_width))


@dataclass(frozen=True)
class NeuronModel:
    """A model of neurons, which a configuration chooses with ``network.neuron.model``.

    It is one file in ``neurons/`` (or in the folder ``neurons/`` of a project) with one of these called ``MODEL``.

    Attributes
    ----------
    neurons : callable
        ``neurons(lif, shape, firing)`` returns the neurons of a layer, None for plain ones, which all layers run
        in one operation; `firing` is None where nothing beyond plain ones is asked for.
    signed_spikes : bool
        Whether neurons may always send negative spikes.
    layer : callable, optional
        ``layer(design, transform, n, batch_norm)`` returns the layer of signed weights on maps, where the model needs
        weights of its own there.
    """

    neurons: Callable[[LIF, tuple[int, ...], Firing | None], StepwiseNeuron | None]
    signed_spikes: bool = False
    layer: Callable[[Any, Any, int, bool], Any] | None = None


def plain(lif: LIF, shape: tuple[int, ...], firing: Firing | None) -> StepwiseNeuron | None:
    """Return leaky integrate-and-fire neurons with what `firing` adds to them."""
    return None if firing is None else StepwiseNeuron(lif, shape, firing)


def _declared(module: ModuleType) -> list[tuple[str, NeuronModel]]:
    found = getattr(module, "MODEL", None)
    return [] if found is None else [(module.__name__.rpartition(".")[2], found)]


def neuron_models() -> dict[str, NeuronModel]:
    """Return all models by name: the package's, the project's, those of installed packages."""
    return _gathered(project_folder())


@cache
def _gathered(project: Path | None) -> dict[str, NeuronModel]:
    return gather("neurons", _declared)


def neuron_model(name: str) -> NeuronModel:
    """Return a model of neurons.

    Raises
    ------
    UnknownNameError
        If there is none of this name.
    """
    return neuron_models()[choose(name, neuron_models(), "neuron model")]
