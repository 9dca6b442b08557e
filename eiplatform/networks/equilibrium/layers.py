"""Layers in the loop of a feedback network: signed weights, one step at a time.

Recorded are, with the scale of batch normalisation folded into the feed-forward weight,

    current_exc = current_exc_external + current_exc_recurrent      (positive weights)
    current_inh = current_inh_external + current_inh_recurrent      (negative weights)
    drive       = current_exc - current_inh + bias + norm_shift

``external`` is what comes from the layer below (or the input), ``recurrent`` what is fed back; a
layer that nothing is fed back to has the whole alone.  Where spikes may be negative, a synapse's
weight times the spike decides which of the two currents it belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from eiplatform.errors import UnknownNameError
from eiplatform.networks.description import PopulationInfo, Route
from eiplatform.networks.edits import output_site
from eiplatform.networks.equilibrium.neuron import advance
from eiplatform.networks.equilibrium.norm import FeedbackWeight
from eiplatform.networks.kernels.lif import LIF, Membrane, real_type
from eiplatform.networks.layer import Layer
from eiplatform.networks.neuron import StepwiseNeuron
from eiplatform.networks.pathways import Factor, PathwayScale, scale_rows
from eiplatform.networks.signed import BatchNorm
from eiplatform.networks.transform import Transform

__all__ = ["Edge", "FeedbackLayer", "LoopLayer"]

_OWN = ("current_exc", "current_inh", "current_net", "drive", "voltage", "spikes")
_PARTS = ("current_exc_external", "current_inh_external", "current_exc_recurrent", "current_inh_recurrent")


def _forward(part: str = "") -> tuple[Route, Route]:
    return (
        Route("input->E", "input", "E", "+", "additive", "input_exc", f"current_exc{part}"),
        Route("input->E subtractive", "input", "E", "-", "subtractive", "subtractive", f"current_inh{part}"),
    )


_BACK = (
    Route("recurrent->E", "recurrent", "E", "+", "additive", "recurrent_exc", "current_exc_recurrent"),
    Route("recurrent->E subtractive", "recurrent", "E", "-", "subtractive", "recurrent_inh", "current_inh_recurrent"),
)


class Edge(NamedTuple):
    """An affine map from presynaptic spikes or rates to currents, as it stands in one run.

    Attributes
    ----------
    transform : Transform
    weight : Tensor
        Lesions and the scale of normalisation included.
    shift : Tensor or None
        Per neuron (channel): bias, or shift of normalisation.
    mask : Tensor, shape (B, ...), or None
        Dropout.
    cut : tuple of float or Tensor or None
        Where spikes may be negative, the factors on excitation and on inhibition of a lesion: there
        they act on what a synapse does, which its weight alone does not decide.  None: spikes are >= 0.
    """

    transform: Transform
    weight: Tensor
    shift: Tensor | None
    mask: Tensor | None
    cut: tuple[Factor, Factor] | None = None

    def __call__(self, x: Tensor, /) -> Tensor:
        """Currents (B, ...) of `x` (B, ...)."""
        if self.cut is None or self.cut == (None, None):
            current = self.transform.apply(self.weight, x[None])[0]
        else:
            exc, inh = self._both(x)
            current = exc - inh
        if self.shift is not None:
            current = current + self.transform.per_channel(self.shift)
        return current if self.mask is None else current * self.mask

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Excitation and inhibition, both >= 0: through positive and negative weights, if `x` >= 0."""
        exc, inh = self._both(x)
        return (exc, inh) if self.mask is None else (exc * self.mask, inh * self.mask)

    def _both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        parts = self.weight.clamp(min=0), (-self.weight).clamp(min=0)
        axis = self.transform.channel_axis
        if self.cut is None:
            exc, inh = self.transform.apply_pair(*parts, x[None])[0].chunk(2, axis)
            return exc, inh
        up = self.transform.apply_pair(*parts, x.clamp(min=0)[None])[0].chunk(2, axis)
        down = self.transform.apply_pair(*parts, (-x).clamp(min=0)[None])[0].chunk(2, axis)
        exc, inh = (
            current if factor is None else current * self._on_target(factor, current)
            for current, factor in zip((up[0] + down[1], up[1] + down[0]), self.cut, strict=True)
        )
        return exc, inh

    def _on_target(self, factor: float | Tensor, like: Tensor) -> float | Tensor:
        if isinstance(factor, Tensor) and factor.ndim:
            return self.transform.per_channel(factor.to(like))
        return factor

    def detached(self) -> Edge:
        """Return the same map without gradients."""
        shift = None if self.shift is None else self.shift.detach()
        return self._replace(weight=self.weight.detach(), shift=shift)


class LoopLayer(Layer):
    """A layer of the loop that sees the layer before it.

    Weights are NaN until :meth:`init_` or a checkpoint fills them.

    Parameters
    ----------
    transform : Transform
    n : int
        Neurons (channels).
    neuron : LIF
    drop : float
        What a spike takes from the membrane.
    batch_norm : bool
        Normalise the feed-forward current (and have no other bias), or add a bias.
    stepwise : StepwiseNeuron, optional
        Fires in place of `neuron`, whose constants are its own; a spike then takes its threshold.
    """

    spiking = True
    signed_input = False
    """Whether the spikes that it sees from below may be negative."""
    signals = {"E": _OWN}
    routes: ClassVar[tuple[Route, ...]] = _forward()
    norm: BatchNorm | None
    bias: nn.Parameter | None

    def __init__(
        self,
        transform: Transform,
        n: int,
        neuron: LIF,
        drop: float,
        *,
        batch_norm: bool,
        stepwise: StepwiseNeuron | None = None,
    ) -> None:
        super().__init__(transform, {"E": n})
        self.neuron, self.drop, self.stepwise = neuron, drop, stepwise
        if self.signed_output:
            self.signals = {role: (*names, "output") for role, names in self.signals.items()}
        self.parts = {"E": slice(0, n)}
        self.weight = nn.Parameter(torch.full(transform.weight_shape(n), torch.nan))
        self.norm = BatchNorm(n) if batch_norm else None
        self.bias = None if batch_norm else nn.Parameter(torch.zeros(n))

    def init_(self, generator: torch.Generator) -> None:
        """Draw the weights uniformly, every row of norm 1; the bias is 0."""
        with torch.no_grad():
            drawn = torch.empty(self.weight.shape, dtype=torch.float64).uniform_(-1, 1, generator=generator)
            self.weight.copy_(functional.normalize(drawn.flatten(1), dim=1).view_as(drawn))
            if self.bias is not None:
                self.bias.zero_()

    def neuron_parameters(self) -> dict[str, Tensor]:
        """Return the bias, and the shift that normalisation has in evaluation."""
        if self.norm is None:
            assert self.bias is not None
            return {"bias": self.bias, "norm_shift": torch.zeros_like(self.bias)}
        shift = self.norm.folded()[1].to(self.norm.bias.dtype)
        return {"bias": torch.zeros_like(shift), "norm_shift": shift}

    def populations(self) -> dict[str, PopulationInfo]:
        """Return the populations by role; one that resets by another amount than its threshold says so."""
        attrs = {} if self.drop == self.neuron.threshold else {"reset_by": self.drop}
        return {role: info._replace(attrs={**info.attrs, **attrs}) for role, info in super().populations().items()}

    @property
    def signed_output(self) -> bool:
        """Whether it may send negative spikes."""
        return self.stepwise is not None and self.stepwise.firing.negative

    @property
    def full(self) -> float | Tensor:
        """Current at which a neuron fires once at every step, or one per neuron: what a spike takes."""
        learnt = None if self.stepwise is None else self.stepwise.threshold
        return self.drop if learnt is None else learnt

    @property
    def rate_range(self) -> tuple[float, float]:
        """Smallest and largest rate."""
        most = 1 if self.stepwise is None else self.stepwise.firing.max_spikes
        return (-float(most) if self.signed_output else 0.0, float(most))

    def edge(self, mask: Tensor | None = None) -> Edge:
        """Return the feed-forward map with the saved statistics of normalisation."""
        scale: Tensor | None = None
        shift: Tensor | None = self.bias
        if self.norm is not None:
            scale = self.norm.weight * torch.rsqrt(self.norm.running_var + self.norm.eps)
            shift = self.norm.bias - scale * self.norm.running_mean
        return self._edge(scale, shift, mask)

    def batch_edge(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Edge]:
        """Return the current of `x` (B, ...), and the map with the statistics that normalised it.

        In training these are those of the batch, and the saved ones follow them.
        """
        if self.norm is None or not self.training:
            edge = self.edge(mask)
            return edge(x), edge
        sign = torch.where(self.norm.weight.detach() < 0, -1.0, 1.0).to(self.weight)
        sign = sign.reshape(-1, *(1,) * (self.weight.ndim - 1))  # a lesion cuts what excites after normalisation
        if self.lesion is not None and self.signed_input:
            currents = Edge(self.transform, self.weight * sign, None, None, self._factors())(x[None][0])
            raw = (currents * self.transform.per_channel(sign.flatten()))[None]
        else:
            weight = self.weight if self.lesion is None else self._cut(self.weight * sign) * sign
            raw = self.transform.apply(weight, x[None])
        values, scale = self.norm(raw)
        mean = raw.detach().movedim(self.transform.channel_axis, -1).flatten(0, -2).mean(0)
        edge = self._edge(scale, self.norm.bias - scale * mean, mask)
        return values[0] if mask is None else values[0] * mask, edge

    def forward(
        self, drive: Tensor, state: Membrane | None = None, *, through_time: bool = False, step: int = 0
    ) -> tuple[Membrane, Tensor, tuple[Tensor, Tensor]]:
        """Advance the neurons by one step; return the state, E spikes (1, B, ...), all spikes and voltages (B, ...)."""
        before = None if state is None else state.membrane
        if self.stepwise is None:
            membrane, spikes, voltage = advance(drive, before, self.neuron, self.drop, through_time=through_time)
        else:
            membrane, spikes, voltage = self.stepwise.advance(drive.to(real_type(drive)), before, step)
        return Membrane(membrane), self.visible(spikes)[None], (spikes, voltage)

    def edited(
        self, drive: Tensor, below: tuple[Tensor, Tensor], back: tuple[Tensor, Tensor] | None, step: int
    ) -> tuple[Tensor, tuple[Tensor, Tensor], tuple[Tensor, Tensor] | None]:
        """Return drive, currents from below and those fed back (B, ...) at one step after edits."""
        fed = [route.signal.endswith("_recurrent") for route in self.routes]
        new_below = self._edited_parts(below, [r for r, loop in zip(self.routes, fed, strict=True) if not loop], step)
        new_back = None
        if back is not None:
            new_back = self._edited_parts(back, [r for r, loop in zip(self.routes, fed, strict=True) if loop], step)
        # The changes are added, so that what no edit changes stays as it is, to the last bit.
        drive = drive + ((new_below[0] - below[0]) - (new_below[1] - below[1]))
        if back is not None and new_back is not None:
            drive = drive + ((new_back[0] - back[0]) - (new_back[1] - back[1]))
        return self._edited("drive", drive, "E", step), new_below, new_back

    def _edited_parts(self, parts: tuple[Tensor, Tensor], routes: Sequence[Route], step: int) -> tuple[Tensor, Tensor]:
        found = list(parts)
        for route in routes:
            part = 1 if route.sign == "-" else 0
            found[part] = self._edited(route.factor, found[part], route.target, step)
        return found[0], found[1]

    def sent(self, spikes: Tensor, step: int) -> Tensor:
        """Return what spikes (B, ...) send on after edits."""
        for role in () if self.edits is None else self.parts:
            spikes = self._edited(output_site(role), spikes, role, step)
        return spikes

    def _edited(self, site: str, values: Tensor, role: str, step: int) -> Tensor:
        assert self.edits is not None
        if len(self.parts) == 1:
            return self.edits(site, values[None], first=step)[0]
        own = self.parts[role]
        pieces = [
            values[..., : own.start],
            self.edits(site, values[None, ..., own], first=step)[0],
            values[..., own.stop :],
        ]
        return torch.cat(pieces, -1)

    @property
    def n_neurons(self) -> int:
        """Neurons (channels) of all populations."""
        return self.n_exc

    def visible(self, spikes: Tensor) -> Tensor:
        """Return those of the spikes or rates (B, ...) that other layers see."""
        return spikes

    def _edge(self, scale: Tensor | None, shift: Tensor | None, mask: Tensor | None) -> Edge:
        weight = self.weight if scale is None else scale.reshape(-1, *(1,) * (self.weight.ndim - 1)) * self.weight
        if self.signed_input:
            return Edge(self.transform, weight, shift, mask, self._factors())
        return Edge(self.transform, self._cut(weight), shift, mask)

    def _factors(self) -> tuple[Factor, Factor]:
        """Return a lesion's factors on excitation and inhibition from below."""
        if self.lesion is None:
            return None, None
        self._check_lesion(self.lesion)
        return self.lesion.input_exc, self.lesion.subtractive

    def _cut(self, weight: Tensor) -> Tensor:
        """Return the feed-forward weight after lesions."""
        if self.lesion is None:
            return weight
        self._check_lesion(self.lesion)
        return _scaled(weight, self.lesion.input_exc, self.lesion.subtractive)

    def _check_lesion(self, lesion: PathwayScale) -> None:
        known = {route.factor for route in self.routes}
        for name, factor in lesion._asdict().items():
            if factor is not None and name not in known:
                raise UnknownNameError(f"this layer has no pathway '{name}'", where="lesion", valid=sorted(known))


class FeedbackLayer(LoopLayer):
    """The first layer of the loop, on which the feedback ends.

    Parameters
    ----------
    transform, n, neuron, drop, batch_norm, stepwise
        As of :class:`LoopLayer`.
    back : Transform
        Geometry of the feedback, from the last layer of the loop.
    limit : float or None
        Of the feedback weight's spectral norm.
    """

    signals = {"E": (*_OWN[:3], *_PARTS, *_OWN[3:])}
    routes: ClassVar[tuple[Route, ...]] = (*_forward("_external"), *_BACK)

    def __init__(
        self,
        transform: Transform,
        n: int,
        neuron: LIF,
        drop: float,
        *,
        batch_norm: bool,
        back: Transform,
        limit: float | None,
        stepwise: StepwiseNeuron | None = None,
    ) -> None:
        super().__init__(transform, n, neuron, drop, batch_norm=batch_norm, stepwise=stepwise)
        self.feedback = FeedbackWeight(back, n, limit)

    def init_(self, generator: torch.Generator) -> None:
        """Draw both weights."""
        super().init_(generator)
        self.feedback.init_(generator)

    def back_edge(self, mask: Tensor | None = None) -> Edge:
        """Return the feedback map."""
        weight = self.feedback()
        factors: tuple[Factor, Factor] = (None, None)
        if self.lesion is not None:
            self._check_lesion(self.lesion)
            factors = self.lesion.recurrent_exc, self.lesion.recurrent_inh
        if self.signed_output:  # the whole loop has the same neurons
            return Edge(self.feedback.transform, weight, None, mask, factors)
        return Edge(self.feedback.transform, _scaled(weight, *factors), None, mask)


def _scaled(weight: Tensor, exc: Factor, inh: Factor) -> Tensor:
    """Scale the positive and the negative part of a weight, by a number or per row."""
    if exc is None and inh is None:
        return weight
    return scale_rows(weight.clamp(min=0), exc) - scale_rows((-weight).clamp(min=0), inh)
