"""Feedback networks: simulated in time, trained at their equilibrium or through time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Unpack

import numpy as np
import torch
from torch import Tensor, distributed

from eiplatform.config.feedback import FeedbackConfig, Stage
from eiplatform.errors import ConfigError, choose
from eiplatform.networks.description import Pathway
from eiplatform.networks.equilibrium.dale import DaleFeedbackLayer
from eiplatform.networks.equilibrium.gradient import Equilibrium, equilibrium_rate
from eiplatform.networks.equilibrium.layers import FeedbackLayer, LoopLayer
from eiplatform.networks.equilibrium.monitor import Monitor
from eiplatform.networks.equilibrium.neuron import rate_weights
from eiplatform.networks.equilibrium.simulation import Masks, Simulation
from eiplatform.networks.equilibrium.transposed import TransposedConv2d
from eiplatform.networks.kernels.ei import NOTHING, take
from eiplatform.networks.kernels.lif import Membrane
from eiplatform.networks.kernels.moments import Moments
from eiplatform.networks.layer import n_inhibitory
from eiplatform.networks.network import Call, Network, Options, Output, Record
from eiplatform.networks.transform import Conv2d, Linear, Transform

__all__ = ["BACK", "FeedbackNetwork"]

BACK = "feedback"
"""Under this name ``Output.state`` keeps the spikes that are on their way back."""


class FeedbackNetwork(Network):
    """Layers ``fc1`` .. or ``conv1`` .. in a loop, and a readout of the last one's rate.

    The first layer sees the input and, one step later, the last layer's spikes; ``back1`` ..
    are the layers of a feedback of several stages.  The logits are the readout of the (weighted)
    mean of the spikes, hence the mean over time of what the readout records: there a spike
    counts ``T lambda^(T-t) / sum_t lambda^(T-t)``, which is 1 for IF.

    Parameters
    ----------
    input_shape : tuple of int
    n_classes : int
    feedback : FeedbackConfig
    seed : int
        Of dropout.
    **options
        See :class:`~eiplatform.networks.network.Options`; layers of type ``ei`` are E and I populations
        (:mod:`eiplatform.networks.equilibrium.dale`), and the membrane constant is that of `feedback`.

    Raises
    ------
    ConfigError
        If the layers do not fit the input or each other.

    Examples
    --------
    >>> network = FeedbackNetwork((1, 28, 28), 10, FeedbackConfig(layers="64C5s(F64C5)"), layer="bn")
    >>> {name: info.shape for name, info in network.populations().items()}
    {'conv1/E': (64, 14, 14), 'readout/E': (10,)}
    """

    drawn: Tensor

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        feedback: FeedbackConfig,
        seed: int = 1,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(input_shape, **options)
        self._check_loop(feedback)
        self.feedback, self.seed = feedback, seed
        self.monitor = Monitor()
        loop = feedback.loop
        self._flat = loop.forward[0].kernel is None
        if not self._flat and len(self.input_shape) != 3:
            raise ConfigError(f"images of shape {self.input_shape}", valid="(channels, rows, columns)")
        shape = (math.prod(self.input_shape),) if self._flat else self.input_shape
        kind = "fc" if self._flat else "conv"
        names = [f"{kind}{number}" for number in range(1, len(loop.forward) + 1)]
        names += [f"back{number}" for number in range(1, len(loop.back))]
        stages = (*loop.forward, *loop.back[:-1])
        transforms, shapes = [], []
        for stage in stages:
            transforms.append(_transform(stage, shape))
            shape = transforms[-1].output_shape(stage.n)
            shapes.append(shape)
        back = _transform(loop.back[-1], shape)
        if back.output_shape(loop.back[-1].n) != shapes[0]:
            raise ConfigError(
                f"the feedback ends on a map of {back.output_shape(loop.back[-1].n)}, the first layer's is {shapes[0]}",
                where=f"network.feedback.layers {feedback.layers}, images of {self.input_shape}",
                remedy="let strides (s) and doublings (u) of the loop cancel, on maps whose sides they divide",
            )
        self.read = len(loop.forward) - 1
        self._loop = names
        drop = self.neuron.threshold - feedback.rest
        normalised = self.layer == "bn"
        source = "input"
        for index, (name, stage, transform) in enumerate(zip(names, stages, transforms, strict=True)):
            layer: LoopLayer
            if self.layer == "ei":
                n_inh = n_inhibitory(stage.n, self.ei_ratio)
                own = self.stepwise((stage.n + n_inh,))
                layer = DaleFeedbackLayer(transform.fan_in, stage.n, n_inh, self.neuron, drop, feedback.norm_limit, own)
            elif index:
                own = self.stepwise(shapes[index])
                layer = LoopLayer(transform, stage.n, self.neuron, drop, batch_norm=normalised, stepwise=own)
                layer.signed_input = self.signed_spikes
            else:
                layer = FeedbackLayer(
                    transform,
                    stage.n,
                    self.neuron,
                    drop,
                    batch_norm=normalised,
                    back=back,
                    limit=feedback.norm_limit,
                    stepwise=self.stepwise(shapes[0]),
                )
            self.layers[name] = layer
            self._inputs[name] = source
            source = f"{name}/E"
        self._add_readout(math.prod(shapes[self.read]), n_classes, f"{names[self.read]}/E")
        self.register_buffer("drawn", torch.zeros(()))

    def _check_loop(self, feedback: FeedbackConfig) -> None:
        """Raise for layers that are not built in a loop, and for neurons whose equilibrium is not known."""
        choose(self.layer, ("ei", "bn", "none"), "type of layer of feedback networks", where="network.layer")
        loop = feedback.loop
        if self.layer == "ei" and (len(loop.forward) > 1 or len(loop.back) > 1 or loop.forward[0].kernel is not None):
            raise ConfigError(
                f"feedback.layers {feedback.layers} with layers of type ei",
                where="network.feedback.layers",
                valid="one fully connected layer with feedback onto itself, e.g. 400(F400)",
            )
        if self.model not in ("lif", "stl"):
            raise ConfigError(f"neurons of model {self.model} in a feedback network", valid="lif or stl")
        if self.firing is not None and feedback.rest:
            raise ConfigError(
                "neurons that rest below 0 are plain ones",
                where="network.feedback.rest",
                valid="0, or no further piece",
            )
        if self.firing is not None and self.firing.widths and feedback.gradient != "bptt":
            raise ConfigError(
                f"gradient {feedback.gradient} has no surrogate that could learn", where="network", valid="bptt"
            )

    def pathways(self) -> tuple[Pathway, ...]:
        """Return all pathways; the source of ``recurrent`` is the last layer of the loop."""
        last = f"{self._loop[-1]}/E"
        return tuple(
            path._replace(source=last) if path.source.endswith("/recurrent") else path for path in super().pathways()
        )

    def convergence(self) -> dict[str, float]:
        """Return how well equilibria were reached in training since the last call; see :class:`Monitor`."""
        return self.monitor.take()

    def run(
        self,
        x: Tensor,
        steps: int | None = None,
        record: Record | None = None,
        state: Mapping[str, Membrane] | None = None,
        keep: Callable[[str, str, Tensor], Tensor] | None = None,
        select: Mapping[str, Tensor] | None = None,
        moments: Mapping[str, Moments] | None = None,
    ) -> Output:
        """Run the network from rest, or from `state`; see :meth:`eiplatform.networks.Network.run`.

        `state` has the membranes and, as ``feedback``, the spikes on their way back.
        """
        repeats = self._check_input(x, steps)
        wanted = self._check_record(record or {})
        self._check_moments(moments)
        carried = self._check_names(select, state, (*self._loop, BACK))
        if self.prepare is not None:
            self.prepare(self, x, steps)
        static, n_steps = repeats is not None, len(x) if repeats is None else repeats
        x = x.flatten(-len(self.input_shape)) if self._flat else x
        weights = rate_weights(n_steps, self.neuron.decay)
        mean = x if static else torch.tensordot(x.new_tensor(weights), x, 1)
        through = self.feedback.gradient == "bptt" and torch.is_grad_enabled()

        layers = self._loop_layers()
        head, *tail = layers.values()
        assert isinstance(head, FeedbackLayer)
        masks = self._masks(mean)
        current, first = head.batch_edge(mean, masks.below[0])
        below = [first, *(layer.edge(mask) for layer, mask in zip(tail, masks.below[1:], strict=True))]
        back = head.back_edge(masks.back)
        if self.named_layers()["readout"].edits is not None:
            wanted.setdefault("readout", NOTHING)
        simulation = Simulation(layers, below, back, masks, self.read, wanted, through_time=through)
        fed = carried.pop(BACK).membrane if BACK in carried else None
        simulation.state |= carried
        with torch.set_grad_enabled(through):
            rates = simulation.run(x, current, static, n_steps, fed)
        rate = rates[self.read]
        if torch.is_grad_enabled() and not through:
            equation = Equilibrium(tuple(layers.values()), self.read, below, back, current, masks.below)
            rate = equilibrium_rate(equation, rates, self.feedback, self.monitor)
        every = self.named_layers()
        readout = every["readout"]
        signals: dict[str, dict[str, Tensor]] = {name: {} for name in record or {}}
        if "readout" in wanted:
            factors = x.new_tensor(weights).mul_(n_steps).reshape(-1, 1, 1)
            shown = torch.stack([spikes.flatten(1) for spikes in simulation.shown]) * factors
            outputs, readings = readout(shown, record=wanted["readout"])
        if readout.edits is None:
            rate = layers[self._loop[self.read]].visible(rate)
            logits = self._flow(rate[None], None, lambda name, values, steps: every[name](values, steps=steps)[0])[0]
        else:  # which may depend on the step
            logits = outputs.mean(0)
        for name in [name for name in wanted if wanted[name]]:
            recorded = readings if name == "readout" else simulation.recorded(name)
            for key, values in recorded.items():
                role, _, signal = key.partition("/")
                population = f"{name}/{role}"
                if select and population in select:
                    values = take(values, select[population])
                signals[population][signal] = values if keep is None else keep(population, signal, values)
        assert simulation.fed is not None
        return Output(logits, signals, simulation.state | {BACK: Membrane(simulation.fed)})

    def _flow(self, x: Tensor, steps: int | None, call: Call) -> Tensor:
        """Return the readout's output for rates (1, B, ...) of the layer that it sees; the loop runs before."""
        return call("readout", x.flatten(2), steps)

    def _loop_layers(self) -> dict[str, LoopLayer]:
        found = {}
        for name in self._loop:
            layer = self.layers[name]
            assert isinstance(layer, LoopLayer)
            found[name] = layer
        return found

    def _masks(self, like: Tensor) -> Masks:
        """Draw this pass's dropout, a function of the seed and of how many passes there have been."""
        layers = self._loop_layers()
        rate = self.feedback.dropout
        if not self.training or rate == 0:
            return Masks([None] * len(layers), None)
        rank = distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0
        words = np.random.SeedSequence([self.seed, round(float(self.drawn)), rank]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(words[0]))
        self.drawn += 1

        def mask(layer: LoopLayer) -> Tensor:
            shape = (like.shape[0], *layer.transform.output_shape(layer.n_neurons))
            kept = torch.rand(shape, generator=generator) >= rate
            return (kept / (1 - rate)).to(like.device, like.dtype)

        below = [mask(layer) for layer in layers.values()]
        return Masks(below, mask(next(iter(layers.values()))))


def _transform(stage: Stage, shape: tuple[int, ...]) -> Transform:
    if stage.kernel is None:
        return Linear(shape[0])
    if stage.up:
        return TransposedConv2d(shape, stage.kernel)
    return Conv2d(shape, stage.kernel, stage.stride, stage.kernel // 2)
