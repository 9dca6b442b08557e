"""Controls of a lesion: synapses lost at random, whatever their sign, with as much current as the lesion takes.

Less accuracy after a lesion says little by itself: any loss of input costs some.  The control asks
whether it matters *which* synapses are lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from eiplatform.datasets import Split
from eiplatform.errors import ConfigError, match_names
from eiplatform.lesions.apply import layers_with
from eiplatform.lesions.spec import Lesion
from eiplatform.networks.layers.ei import EIBase
from eiplatform.networks.network import Network
from eiplatform.networks.pathways import PathwayScale
from eiplatform.recording.plan import evaluation, make_plan, shown
from eiplatform.recording.spec import RecordingSpec

__all__ = ["RandomLoss", "deprived", "matched_losses"]

_REMOVES = {"input->E": "current_exc", "input->I": "current_inh", "I->E subtractive": "current_inh"}


class RandomLoss(BaseModel):
    """Every synapse onto E neurons (``input->E`` and ``I->E subtractive``) is lost with the same probability.

    Attributes
    ----------
    lesion : Lesion
        Whose size it has.
    seed : int
        Decides which synapses; a loss of a larger fraction includes those of a smaller one.
    fractions : mapping of str to float
        The probability, by layer.  A synapse of a convolution is an entry of its kernel, lost at all places.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lesion: Lesion
    seed: int
    fractions: Mapping[str, float]


def matched_losses(
    network: Network, data: Split, spec: RecordingSpec, lesions: Sequence[Lesion], seeds: Sequence[int]
) -> dict[Lesion, list[RandomLoss]]:
    """Find the random losses that take as much current as lesions do.

    A lesion of dose ``d`` takes ``d * current_inh`` (of ``input->E``: ``d * current_exc``) from a neuron.
    Losing the fraction ``p`` of all synapses takes ``p * (current_exc + current_inh)`` on average, so
    that with means over all neurons, samples and steps of the intact layer ``p`` is their ratio.

    Parameters
    ----------
    network : Network
        Intact; of E-I layers.
    data : Split
    spec : RecordingSpec
        Its samples, input and steps are those of the means.
    lesions : sequence of Lesion
        Those of dose 0 have no control.
    seeds : sequence of int

    Returns
    -------
    dict of Lesion to list of RandomLoss
        One per seed.

    Raises
    ------
    ConfigError
        For divisive inhibition, which is not a current, and for a layer without I neurons.
    UnknownNameError
        If no layer that matches has the pathway.
    """
    found: dict[Lesion, list[RandomLoss]] = {}
    circuits = network.named_layers()
    for lesion in lesions:
        having = layers_with(network, lesion.pathway)
        layers = match_names([lesion.layers], having, f"layer with the pathway '{lesion.pathway}'")
        for name in layers:
            if not isinstance(circuits[name], EIBase):
                raise ConfigError(
                    f"'{name}' has no I neurons, which controls need", where="lesion", remedy="choose none"
                )
        if lesion.pathway not in _REMOVES:
            raise ConfigError(
                f"a lesion of '{lesion.pathway}' has no random control",
                where="lesion",
                valid=sorted(_REMOVES),
                remedy="choose none",
            )
        if lesion.dose > 0:
            means = _mean_currents(network, data, spec, layers)
            taken = {name: lesion.dose * means[name][_REMOVES[lesion.pathway]] for name in layers}
            fractions = {name: taken[name] / (sum(means[name].values()) or 1.0) for name in layers}
            found[lesion] = [RandomLoss(lesion=lesion, seed=seed, fractions=fractions) for seed in seeds]
    return found


def _mean_currents(
    network: Network, data: Split, spec: RecordingSpec, layers: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return the mean excitatory and subtractive inhibitory current of intact layers."""
    plan = make_plan(network, data, spec)
    signals = ("current_exc", "current_inh")
    sums = {name: dict.fromkeys(signals, 0.0) for name in layers}

    def add(population: str, signal: str, values: Tensor) -> Tensor:
        sums[population.removesuffix("/E")][signal] += values.double().mean((0, *range(2, values.ndim))).sum().item()
        return values[:0]

    with evaluation(network) as parameter:
        for first in range(0, len(plan.positions), spec.batch):
            batch = data.take(plan.positions[first : first + spec.batch])
            record = {f"{name}/E": frozenset(signals) for name in layers}
            network.run(shown(plan, batch, parameter), steps=plan.steps, record=record, keep=add)
    return {name: {signal: total / len(plan.positions) for signal, total in sums[name].items()} for name in layers}


@contextmanager
def deprived(network: Network, loss: RandomLoss) -> Iterator[Network]:
    """Run a network without the lost synapses; on exit it is as it was, to the last bit.

    Examples
    --------
    >>> from eiplatform.config import load_config
    >>> from eiplatform.networks import build_network
    >>> network = build_network(load_config(None, ["network.hidden=[8]"]), (4,), 2)
    >>> lesion = Lesion(pathway="I->E subtractive", dose=0.5)
    >>> with deprived(network, RandomLoss(lesion=lesion, seed=1, fractions={"fc1": 0.5})):
    ...     network.named_layers()["fc1"].lesion.input_exc.shape
    torch.Size([8, 4])
    """
    circuits = network.named_layers()
    before = {name: circuits[name].lesion for name in loss.fractions}
    try:
        for name, fraction in loss.fractions.items():
            circuit = circuits[name]
            assert isinstance(circuit, EIBase)
            random = np.random.default_rng([loss.seed, list(circuits).index(name)])
            exc, inh = (
                torch.from_numpy(random.random(tuple(weight.shape)) >= fraction)
                for weight in (circuit.weight_exc, circuit.weight_inh_out)
            )
            circuit.lesion = PathwayScale(input_exc=exc, subtractive=inh)
        yield network
    finally:
        for name, scale in before.items():
            circuits[name].lesion = scale
