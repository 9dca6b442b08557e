"""Whether an intervention did something, and whether it did what follows from the intact network.

Mean and variance of the net input in the first layer where it acts follow from the intact network's means and
covariances of both currents, whatever the neurons do with them.  With A the current that stays and X the one that is
changed: scaling by f gives ``<A> - f <X>`` and ``V_A + f^2 V_X - 2 f C``, the mean ``V_A``, other samples
``V_A + V_X`` on average, other neurons ``V_A + V_X - 2 C_cross``, a delay ``V_A + V_X - 2 C(k)``.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eiplatform.errors import EIPlatformError
from eiplatform.interventions.intervention import Kind, Seen
from eiplatform.networks.equilibrium.network import FeedbackNetwork
from eiplatform.networks.intervening import Applied, Place, UnchangedWarning, intact
from eiplatform.networks.network import Network

__all__ = ["Check", "check", "checked"]

_NET = {"input_exc": 1.0, "subtractive": -1.0}
"""Sites whose contributions add up to the net current, with their signs."""
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Check:
    """What an intervention did on some samples, and what it should have done.

    Attributes
    ----------
    intervention : str
    signal : str
        The first signal that it acts on, e.g. ``"fc1/E current_inh"``.
    changed : bool
    mean, variance : tuple of float or None
        Of the net current in the neurons, steps and samples where it acts, averaged over neurons: as predicted
        from the intact network, and as it was.  None: no closed form is known here.
    """

    intervention: str
    signal: str
    changed: bool
    mean: tuple[float, float] | None = None
    variance: tuple[float, float] | None = None

    def __str__(self) -> str:
        if not self.changed:
            return f"{self.intervention} changed nothing in {self.signal}"
        if self.mean is None or self.variance is None:
            return f"{self.intervention} changed {self.signal}"
        return (
            f"{self.intervention} changed {self.signal}; mean of the net input {self.mean[1]:.4g} "
            f"(predicted {self.mean[0]:.4g}), variance {self.variance[1]:.4g} (predicted {self.variance[0]:.4g})"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def check(
    network: Network, intervention: Kind, x: Tensor, steps: int | None = None, ids: np.ndarray | None = None
) -> Check:
    """Run an intervention alone, and compare it with its prediction.

    Parameters
    ----------
    network : Network
        Interventions that are in force are left out.
    intervention : Kind
    x : Tensor, shape (B, ...) or (T, B, ...)
    steps : int, optional
        Of a static input.
    ids : array of int, shape (B,), optional
        Of the samples; default: 0, 1, ...

    Returns
    -------
    Check

    Raises
    ------
    EIPlatformError
        If the outcome is not what was predicted: a fault of eiplatform.
    """
    with intact(network), torch.no_grad():
        place, predicts, record = _looked_at(network, intervention)
        before = network.run(x, steps, record).signals
        with network.intervene(intervention):
            applied = network.prepare
            assert isinstance(applied, Applied)
            if ids is not None:
                applied.show(torch.from_numpy(np.asarray(ids)))
            after = network.run(x, steps, record).signals
    signal = f"{place.population} {place.signal}"
    names = [(p, s) for p in record for s in record[p]]
    changed = any(not torch.equal(before[p][s], after[p][s]) for p, s in names)
    if not (changed and predicts):
        return Check(repr(intervention), signal, changed)
    return _compared(intervention, place, before[place.population], after[place.population], applied, signal)


def _looked_at(network: Network, intervention: Kind) -> tuple[Place, bool, dict[str, frozenset[str]]]:
    """Return the first place where it acts, whether its effect can be predicted, and what to record."""
    order = list(network.named_layers())
    place = min(intervention.places(network), key=lambda place: (order.index(place.layer), place.site))
    predicts = place.site in _NET and not isinstance(network, FeedbackNetwork)
    signals = {place.signal} | ({"current_exc", "current_inh", "current_net"} if predicts else set())
    record = {place.population: frozenset(signals)}
    if place.site.startswith("output/"):  # what is sent is not what is recorded: look at who receives it
        infos = network.populations()
        record = {name: frozenset({"current_exc", "current_inh"} & set(info.signals)) for name, info in infos.items()}
    return place, predicts, record


def _compared(
    kind: Kind, place: Place, before: dict[str, Tensor], after: dict[str, Tensor], applied: Applied, signal: str
) -> Check:
    where = _where(kind, place, before["current_net"], applied.reference.samples.numpy())
    real = {name: values.double().flatten(2).cpu().numpy() for name, values in before.items()}
    net = after["current_net"].double().flatten(2).cpu().numpy()[where[:2]]
    own, other = ("current_exc", "current_inh") if place.site == "input_exc" else ("current_inh", "current_exc")
    sign = -_NET[place.site]
    mean = real[own].mean(1)
    partner = np.roll(real[own], 1, 1)
    cut = where[:2]
    seen = Seen(place, real[own][cut], real[other][cut], partner[cut], real[own].std((0, 1)), mean[cut[0][:, 0]])
    found = kind.predict(seen)
    if found is None:
        return Check(repr(kind), signal, True)
    predicted_mean, predicted_variance = (values[where[2]] for values in found)
    mean_there, variance_there = sign * net.mean((0, 1))[where[2]], net.var((0, 1))[where[2]]
    size = (seen.values**2).mean((0, 1))[where[2]] + (seen.other**2).mean((0, 1))[where[2]] + predicted_variance
    wrong = (np.abs(variance_there - predicted_variance) > _TOLERANCE * size) | (
        np.abs(mean_there - predicted_mean) > _TOLERANCE * np.sqrt(size)
    )
    if wrong.any() and kind.exact:
        raise EIPlatformError(
            f"the net input of {int(wrong.sum())} of {len(wrong)} neurons is not what follows from the intact network "
            f"(mean {mean_there.mean():.6g}, predicted {predicted_mean.mean():.6g}; "
            f"variance {variance_there.mean():.6g}, predicted {predicted_variance.mean():.6g})",
            where=f"{kind!r} in {place.layer}",
            remedy="report this, please: it is a fault of eiplatform",
        )
    means = float(sign * predicted_mean.mean()), float(sign * mean_there.mean())
    return Check(repr(kind), signal, True, means, (float(predicted_variance.mean()), float(variance_there.mean())))


def _where(kind: Kind, place: Place, like: Tensor, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the steps and samples (as an open mesh), and the neurons, in which it acts."""
    steps, samples = np.arange(like.shape[0]), np.arange(like.shape[1])
    if kind.steps is not None:
        start, stop = kind.steps
        steps = steps[start:stop]
    if kind.samples is not None:
        samples = np.flatnonzero(np.isin(ids, kind.samples))
    chosen = kind.chosen(place)
    neurons = np.arange(like[0, 0].numel()) if chosen is None else chosen
    rows, columns = np.ix_(steps, samples)
    return rows, columns, neurons


def checked(
    network: Network,
    interventions: Sequence[Kind],
    x: Tensor,
    steps: int | None = None,
    ids: np.ndarray | None = None,
) -> list[Check]:
    """Check every intervention by itself, and warn of those that change nothing.

    Parameters
    ----------
    network, interventions, x, steps, ids
        As of :func:`check`.

    Warns
    -----
    UnchangedWarning
    """
    found = [check(network, one, x, steps, ids) for one in interventions]
    for one, result in zip(interventions, found, strict=True):
        if not result.changed and one.alone:
            warnings.warn(str(result), UnchangedWarning, stacklevel=3)
    return found
