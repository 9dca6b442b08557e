"""Controls of a lesion: synapses lost at random, whatever their sign, with as much current as the lesion takes.

Less accuracy after a lesion says little by itself: any loss of input costs some.  The control asks
whether it matters *which* synapses are lost.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from eiplatform.datasets import Split
from eiplatform.errors import ConfigError
from eiplatform.interventions import RandomSynapseLoss, Scale
from eiplatform.networks.network import Network
from eiplatform.recording.plan import evaluation, make_plan, shown
from eiplatform.recording.spec import RecordingSpec

__all__ = ["matched_losses", "mean_currents"]

_SIGNALS = ("current_exc", "current_inh")


def matched_losses(
    network: Network, data: Split, spec: RecordingSpec, lesions: Sequence[Scale], seeds: Sequence[int]
) -> dict[Scale, list[tuple[RandomSynapseLoss, ...]]]:
    """Find the random losses that take as much current as lesions do.

    A lesion of dose ``d`` takes ``d * current_inh`` (of ``input->E``: ``d * current_exc``) from a neuron.
    Losing the part ``p`` of all synapses takes ``p * (current_exc + current_inh)`` on average, so
    that with means over all neurons, samples and steps of the intact layer ``p`` is their ratio.

    Parameters
    ----------
    network : Network
        Intact.
    data : Split
    spec : RecordingSpec
        Its samples, input and steps are those of the means.
    lesions : sequence of Scale
        Those that take nothing have no control.
    seeds : sequence of int

    Returns
    -------
    dict of Scale to list of tuple of RandomSynapseLoss
        One per seed, with one loss per layer.

    Raises
    ------
    ConfigError
        For divisive inhibition, which is no current, for feedback, and where a synapse has no sign of its own.
    UnknownNameError
        If no layer that matches has the pathway.
    """
    found: dict[Scale, list[tuple[RandomSynapseLoss, ...]]] = {}
    means: dict[str, dict[str, float]] = {}
    for lesion in lesions:
        places = lesion.places(network)
        wrong = [place for place in places if place.signal not in (*_SIGNALS, "activity")]
        if wrong:
            raise ConfigError(
                f"a lesion of '{lesion.target}' has no random control",
                where="lesion",
                valid=("input->E", "input->I", "I->E subtractive", "input->E subtractive"),
                remedy="choose no controls",
            )
        if lesion.factor >= 1:
            continue
        names = [place.layer for place in places]
        for name in names:
            RandomSynapseLoss(0.5, layers=name).factors(network)  # or why there is none
        means |= mean_currents(network, data, spec, [name for name in names if name not in means])
        taken = "current_exc" if places[0].signal == "current_exc" else "current_inh"
        parts = {name: (1 - lesion.factor) * means[name][taken] / (sum(means[name].values()) or 1.0) for name in names}
        found[lesion] = [
            tuple(RandomSynapseLoss(parts[name], layers=name, seed=seed) for name in names) for seed in seeds
        ]
    return found


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
