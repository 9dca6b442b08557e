"""Controls of a lesion: synapses lost at random, whatever their sign, with as much current as the lesion takes.

Less accuracy after a lesion says little by itself: any loss of input costs some.  The control asks
whether it matters *which* synapses are lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from eiplatform.datasets import Split
from eiplatform.interventions import RandomSynapseLoss, Scale
from eiplatform.networks.network import Network
from eiplatform.recording.plan import evaluation, make_plan, shown
from eiplatform.recording.spec import RecordingSpec

__all__ = ["losses_of", "matchable", "mean_currents"]

_SIGNALS = ("current_exc", "current_inh")


def matchable(lesion: Scale, network: Network) -> bool:
    """Return whether random losses can take as much as a lesion: not of divisive inhibition, and not of feedback."""
    return all(place.signal in (*_SIGNALS, "activity") for place in lesion.places(network))


def losses_of(
    lesion: Scale, network: Network, means: Mapping[str, Mapping[str, float]], seeds: Sequence[int]
) -> list[tuple[RandomSynapseLoss, ...]]:
    """Return the random losses, one per layer and seed, that take as much current as a lesion.

    A lesion of dose ``d`` takes ``d * current_inh`` (of ``input->E``: ``d * current_exc``) from a neuron.
    Losing the part ``p`` of all synapses takes ``p * (current_exc + current_inh)`` on average, so
    that with means over all neurons, samples and steps of the intact layer ``p`` is their ratio.

    Parameters
    ----------
    lesion : Scale
    network : Network
    means : mapping of str to mapping of str to float
        Mean currents of its layers (:func:`mean_currents`).
    seeds : sequence of int
    """
    places = lesion.places(network)
    taken = "current_exc" if places[0].signal == "current_exc" else "current_inh"
    parts = {
        name: lesion.dose * means[name][taken] / (sum(means[name].values()) or 1.0)
        for name in (place.layer for place in places)
    }
    return [tuple(RandomSynapseLoss(part, layers=name, seed=seed) for name, part in parts.items()) for seed in seeds]


def mean_currents(
    network: Network, data: Split, spec: RecordingSpec, layers: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return the mean excitatory and subtractive inhibitory current of intact layers."""
    if not layers:
        return {}
    plan = make_plan(network, data, spec)
    sums = {name: dict.fromkeys(_SIGNALS, 0.0) for name in layers}

    def add(population: str, signal: str, values: Tensor) -> Tensor:
        sums[population.removesuffix("/E")][signal] += values.double().mean((0, *range(2, values.ndim))).sum().item()
        return values[:0]

    with evaluation(network) as parameter:
        for first in range(0, len(plan.positions), spec.batch):
            batch = data.take(plan.positions[first : first + spec.batch])
            record = {f"{name}/E": frozenset(_SIGNALS) for name in layers}
            network.run(shown(plan, batch, parameter), steps=plan.steps, record=record, keep=add)
    return {name: {signal: total / len(plan.positions) for signal, total in sums[name].items()} for name in layers}
