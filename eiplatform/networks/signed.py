"""Layers that obey no Dale's law: signed weights, with batch normalisation or a bias.

They have the architecture of the E-I layers and are recorded in the same words.  With
``c = sign`` of the normalisation's scale (1 without normalisation), ``W+`` and ``W-`` the
positive and negative part of ``c W``, and for inputs ``x >= 0``:

    current_exc = W+ x                current_inh = |W-| x
    current_net = c W x
    gain        = |gamma| / sqrt(variance + eps)        (1 without normalisation)
    bias        = beta - c gain mean                    (the learnt one without normalisation)
    drive       = gain * current_net + bias             -> leaky integrate-and-fire

so that the same sum rules hold.  The parts are computed only when they are recorded.

Where presynaptic spikes may be negative (circulate-firing, BackEISNN), what a synapse does is
decided by its weight times the spike: ``current_exc = W+ x+ + |W-| x-`` and
``current_inh = |W-| x+ + W+ x-`` with ``x+`` and ``x-`` the magnitudes of both signs; lesions act
on these two currents.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from eiplatform.errors import EIPlatformError, UnknownNameError
from eiplatform.networks.description import Route
from eiplatform.networks.edits import Again, Edits, no_weights, output_site
from eiplatform.networks.kernels.ei import NOTHING, READOUT_SIGNALS, check_record, recorded
from eiplatform.networks.kernels.lif import LIF, PAPER_LIF, Membrane, lif_sequence
from eiplatform.networks.layer import Design, Layer
from eiplatform.networks.neuron import StepwiseNeuron, neuron_model
from eiplatform.networks.pathways import Factor, scale_rows
from eiplatform.networks.transform import Transform
from eiplatform.networks.weights import Initialised

__all__ = ["SIGNED_SIGNALS", "BatchNorm", "SignedLayer", "SignedReadout", "hidden", "readout"]

SIGNED_SIGNALS = ("current_exc", "current_inh", "current_net", "gain", "drive", "voltage", "spikes")
"""Signals of the neurons of a hidden layer with signed weights."""

_SPIKES_PER_STEP = 0.2
"""About what a neuron fires when its drive has unit variance (tau = 2, threshold 1, a few steps)."""

_ROUTES = (
    Route("input->E", "input", "E", "+", "additive", "input_exc", "current_exc"),
    Route("input->E subtractive", "input", "E", "-", "subtractive", "subtractive", "current_inh"),
)


class _Normalised(NamedTuple):
    values: Tensor
    scale: Tensor
    """gamma / sqrt(variance + eps), shape (channels,)."""


class BatchNorm(Initialised):
    """Batch normalisation over time, samples and places (Ioffe and Szegedy 2015).

    As :class:`torch.nn.BatchNorm2d` on merged time and batch; in addition it takes a pattern
    shown several times once, and gives its scale.

    Parameters
    ----------
    n_channels : int
    momentum, eps : float

    Examples
    --------
    >>> norm = BatchNorm(1)
    >>> [round(value, 3) for value in norm(torch.tensor([[[1.0], [3.0]]])).values.flatten().tolist()]
    [-1.0, 1.0]
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, n_channels: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum = momentum
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))
        self.register_buffer("running_mean", torch.zeros(n_channels))
        self.register_buffer("running_var", torch.ones(n_channels))

    def init_(self, generator: torch.Generator) -> None:
        """Start as the identity."""
        del generator
        self.weight.fill_(1.0)
        self.bias.zero_()
        self.running_mean.zero_()
        self.running_var.fill_(1.0)

    def forward(self, x: Tensor, repeats: int = 1) -> _Normalised:
        """Normalise `x` (T, B, channels, ...), which stands for `repeats` times as many values.

        Raises
        ------
        EIPlatformError
            In training with a single value per channel.
        """
        merged = x.flatten(0, 1)
        if not self.training:
            values = functional.batch_norm(
                merged, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
            scale = self.weight * torch.rsqrt(self.running_var + self.eps)
            return _Normalised(values.reshape(x.shape), scale)
        n = merged.numel() // len(self.weight)
        if n < 2:
            raise EIPlatformError(
                "a single value per channel cannot be normalised", where="batch normalisation", remedy="a larger batch"
            )
        # With momentum 1 these receive the mean and the unbiased variance of the batch itself.
        mean, variance = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        values = functional.batch_norm(merged, mean, variance, self.weight, self.bias, True, 1.0, self.eps)
        with torch.no_grad():
            biased = variance * ((n - 1) / n)
            scale = self.weight * torch.rsqrt(biased + self.eps)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(biased * (n * repeats / (n * repeats - 1)), self.momentum)
        return _Normalised(values.reshape(x.shape), scale)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return scale and shift (channels,) of evaluation, in float64."""
        scale = self.weight.double() * torch.rsqrt(self.running_var.double() + self.eps)
        return scale, self.bias.double() - scale * self.running_mean.double()


class _SignedWeights(Layer):
    signed_input = False
    """Whether presynaptic spikes may be negative."""
    bias: nn.Parameter | None

    def __init__(self, transform: Transform, n_exc: int) -> None:
        super().__init__(transform, {"E": n_exc})
        self.weight = nn.Parameter(torch.full(transform.weight_shape(n_exc), torch.nan))

    @property
    def _variance(self) -> float:
        """Variance of the weights' start, times their number of inputs."""
        return 1.0

    def synapses(self, site: str) -> Tensor:
        """Return the magnitudes of the positive or negative weights."""
        exc, inh = self._parts()
        return exc if site == "input_exc" else inh

    def init_(self, generator: torch.Generator) -> None:
        """Fill the layer with normal weights, in the manner of He et al. (2015); a bias is 0."""
        drawn = torch.empty(self.weight.shape, dtype=torch.float64).normal_(generator=generator)
        self.weight.copy_(drawn * math.sqrt(self._variance / self.transform.fan_in))
        if self.bias is not None:
            self.bias.zero_()

    def _sign(self) -> Tensor | None:
        """Return the sign of the normalisation's scale per row of the weights, None if all are positive."""
        return None

    def _parts(self) -> tuple[Tensor, Tensor]:
        """Return W+ and |W-| after lesions."""
        sign = self._sign()
        weight = self.weight if sign is None else self.weight * sign
        exc, inh = weight.clamp(min=0), (-weight).clamp(min=0)
        if self.lesion is not None:
            known = {"input_exc", "subtractive"}
            if any(factor is not None for name, factor in self.lesion._asdict().items() if name not in known):
                raise UnknownNameError(
                    "a layer with signed weights has no I neurons and no feedback",
                    where="lesion",
                    valid="input_exc, subtractive",
                )
            exc, inh = scale_rows(exc, self.lesion.input_exc), scale_rows(inh, self.lesion.subtractive)
        return exc, inh

    def _raw(self, x: Tensor) -> Tensor:
        """Return W x after lesions."""
        if self.lesion is None:
            return self.transform.apply(self.weight, x)
        sign = self._sign()
        if self.signed_input:
            exc, inh = self._both(x)
            return (exc - inh) if sign is None else (exc - inh) * self.transform.per_channel(sign.flatten())
        exc_weight, inh_weight = self._parts()
        weight = exc_weight - inh_weight
        return self.transform.apply(weight if sign is None else weight * sign, x)

    def _both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the excitatory and the inhibitory current after lesions."""
        axis = self.transform.channel_axis
        if not self.signed_input:
            first, second = self.transform.apply_pair(*self._parts(), x).chunk(2, axis)
            return first, second
        lesion, self.lesion = self.lesion, None  # acts on the currents, whichever weights they come through
        try:
            exc_weight, inh_weight = self._parts()
        finally:
            self.lesion = lesion
        up = self.transform.apply_pair(exc_weight, inh_weight, x.clamp(min=0)).chunk(2, axis)
        down = self.transform.apply_pair(exc_weight, inh_weight, (-x).clamp(min=0)).chunk(2, axis)
        exc, inh = up[0] + down[1], up[1] + down[0]
        if lesion is None:
            return exc, inh
        return self._scaled(exc, lesion.input_exc), self._scaled(inh, lesion.subtractive)

    def _edited(self, x: Tensor, edits: Edits, steps: int | None) -> tuple[Tensor, dict[str, Tensor], int | None]:
        """Return W x and the three currents after edits, for all worlds, and `steps`, None if every step is there."""
        exc, inh = before = self._both(x)
        raw = self._raw(x)
        if steps is not None and edits.timed:
            exc, inh = (values.expand(steps, *values.shape[1:]) for values in before)
            steps = None

        def again(part: int) -> Again:
            if self.signed_input:
                return no_weights
            weight = self._parts()[part]
            return lambda mask, rows: self.transform.apply(weight * mask(weight), x[:, rows])

        exc, inh = edits("input_exc", exc, again(0)), edits("subtractive", inh, again(1))
        exc, inh, exc_before, inh_before = (edits.spread(values) for values in (exc, inh, *before))
        # The changes are added, so that what no edit changes stays as it is, to the last bit.
        change, sign = (exc - exc_before) - (inh - inh_before), self._sign()
        scale = 1.0 if sign is None else self.transform.per_channel(sign.flatten())
        raw = edits.spread(raw) + change * scale
        return raw, {"E/current_exc": exc, "E/current_inh": inh, "E/current_net": raw * scale}, steps

    def _scaled(self, current: Tensor, factor: Factor) -> Tensor:
        if isinstance(factor, Tensor) and factor.ndim:
            factor = self.transform.per_channel(factor.to(current))
        return current if factor is None else current * factor

    def _currents(self, raw: Tensor, x: Tensor, record: frozenset[str]) -> dict[str, Tensor]:
        """Return those of the three currents that are asked for; `raw` is W x."""
        known = {}
        if {"E/current_exc", "E/current_inh"} & record:
            known["E/current_exc"], known["E/current_inh"] = self._both(x)
        if "E/current_net" in record:
            sign = self._sign()
            known["E/current_net"] = raw if sign is None else raw * self.transform.per_channel(sign.flatten())
        return known


class SignedLayer(_SignedWeights):
    """Hidden layer with signed weights and leaky integrate-and-fire neurons.

    A new layer has weights of NaN: :func:`eiplatform.networks.initialise_network` or a checkpoint
    fills them.

    Parameters
    ----------
    transform : Transform
    n_exc : int
        Number of neurons (channels).
    neuron : LIF
    batch_norm : bool
        Normalise (and have no other bias), or add a bias.
    stepwise : StepwiseNeuron, optional
        Fires in place of `neuron`, whose constants are its own.
    """

    spiking = True
    signals = {"E": SIGNED_SIGNALS}
    routes = _ROUTES
    norm: BatchNorm | None

    def __init__(
        self,
        transform: Transform,
        n_exc: int,
        neuron: LIF = PAPER_LIF,
        *,
        batch_norm: bool = False,
        stepwise: StepwiseNeuron | None = None,
    ) -> None:
        super().__init__(transform, n_exc)
        self.neuron = neuron
        self.stepwise = stepwise
        if stepwise is not None and stepwise.firing.negative:
            self.signals = {"E": (*SIGNED_SIGNALS, "output")}
        elif not self.fires:
            self.signals = {"E": (*SIGNED_SIGNALS[:-2], "activity")}
        self.norm = BatchNorm(n_exc) if batch_norm else None
        self.bias = None if batch_norm else nn.Parameter(torch.zeros(n_exc))

    @property
    def _variance(self) -> float:
        """As for rectified inputs with normalisation; without it a drive of unit variance, which stays with depth."""
        return 2.0 if self.norm is not None else 1.0 / _SPIKES_PER_STEP

    def _sign(self) -> Tensor | None:
        if self.norm is None:
            return None
        gamma = self.norm.weight.detach()
        return torch.where(gamma < 0, -1.0, 1.0).to(gamma).reshape(-1, *(1,) * (self.weight.ndim - 1))

    def neuron_parameters(self) -> dict[str, Tensor]:
        """Return the bias; with normalisation the shift that it has in evaluation."""
        if self.norm is None:
            assert self.bias is not None
            return {"bias": self.bias}
        return {"bias": self.norm.folded()[1].to(self.norm.bias.dtype)}

    def forward(
        self, x: Tensor, state: Membrane | None = None, steps: int | None = None, record: frozenset[str] = NOTHING
    ) -> tuple[Membrane, Tensor, dict[str, Tensor]]:
        """Return the state, the spikes (T, B, ...) and the recorded signals.

        Parameters and results are those of :func:`eiplatform.networks.kernels.ei.ei_layer`, the
        signals ``E/`` + :data:`SIGNED_SIGNALS`.  `x` is >= 0.
        """
        check_record(record, tuple(f"E/{name}" for name in self.signals["E"]))
        if steps is not None:
            x = x[None]
        known: dict[str, Tensor | None] = {}
        if self.edits is None:
            raw = self._raw(x)
            known |= self._currents(raw, x, record)
        else:
            raw, currents, steps = self._edited(x, self.edits, steps)
            known |= currents
        scale: Tensor | None = None
        if self.norm is None:
            assert self.bias is not None
            drive = raw + self.transform.per_channel(self.bias)
        else:
            drive, scale = self.norm(raw, steps or 1)
        if self.edits is not None:
            drive = self.edits("drive", drive)
        if "E/gain" in record:
            gain = torch.ones_like(raw[:1, :1]) if scale is None else self.transform.per_channel(scale.abs())
            known["E/gain"] = gain.expand_as(raw)
        state, spikes, more = self._fire(drive, state, steps, record)
        known |= {"E/drive": drive, "E/spikes": spikes, **more}
        sent = spikes if self.edits is None else self.edits(output_site("E"), spikes)
        return state, sent, recorded(record, known, steps)

    def fire(self, drive: Tensor) -> Tensor:
        """Return what the neurons send on (T, B, ...) for a drive, from rest."""
        return self._fire(drive, None, None, NOTHING)[1]

    def _fire(
        self, drive: Tensor, state: Membrane | None, steps: int | None, record: frozenset[str]
    ) -> tuple[Membrane, Tensor, dict[str, Tensor | None]]:
        """Return the state, what is sent on, and those signals that only the neurons know."""
        keep = "E/voltage" in record
        if self.stepwise is None:
            state, spikes, voltage = lif_sequence(drive, state, self.neuron, steps=steps, keep_voltage=keep)
            return state, spikes, {"E/voltage": voltage}
        state, spikes, voltage = self.stepwise(drive, state, steps=steps, keep_voltage=keep)
        assert state is not None
        more = {"E/spikes": spikes.abs(), "E/output": spikes} if self.fires else {"E/activity": spikes}
        return state, spikes, {"E/voltage": voltage, **more}


class SignedReadout(_SignedWeights):
    """Readout with signed weights; it neither spikes nor normalises.

    Parameters
    ----------
    transform : Transform
    n_exc : int
        Number of classes.
    bias : bool
        Add a bias, which is not part of the recorded net current.
    """

    spiking = False
    signals = {"E": READOUT_SIGNALS}
    routes = _ROUTES

    def __init__(self, transform: Transform, n_exc: int, *, bias: bool = False) -> None:
        super().__init__(transform, n_exc)
        self.bias = nn.Parameter(torch.zeros(n_exc)) if bias else None

    def neuron_parameters(self) -> dict[str, Tensor]:
        """Return the bias, if there is one."""
        return {} if self.bias is None else {"bias": self.bias}

    def forward(
        self, x: Tensor, steps: int | None = None, record: frozenset[str] = NOTHING
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the net current (T, B, n), plus the bias if there is one, and the recorded signals."""
        check_record(record, tuple(f"E/{name}" for name in READOUT_SIGNALS))
        if steps is not None:
            x = x[None]
        known: dict[str, Tensor | None] = {}
        if self.edits is None:
            net = self._raw(x)
            known |= self._currents(net, x, record)
        else:
            net, currents, steps = self._edited(x, self.edits, steps)
            known |= currents
        signals = recorded(record, known, steps)
        output = net if self.bias is None else net + self.bias
        output = output if steps is None else output.expand(steps, *net.shape[1:])
        return output if self.edits is None else self.edits(output_site("E"), output), signals


def hidden(design: Design, transform: Transform, n: int, source: str, *, batch_norm: bool) -> SignedLayer:
    """Return a hidden layer of signed weights, whose neurons are those of the design."""
    shape, special = transform.output_shape(n), neuron_model(design.model).layer
    if special is not None and len(shape) == 3:
        layer: SignedLayer = special(design, transform, n, batch_norm)
    else:
        layer = SignedLayer(transform, n, design.neuron, batch_norm=batch_norm, stepwise=design.stepwise(shape))
    layer.signed_input = design.signed_spikes and source != "input"
    return layer


def readout(design: Design, transform: Transform, n_classes: int, source: str) -> SignedReadout:
    """Return a readout of signed weights."""
    made = SignedReadout(transform, n_classes, bias=design.readout_bias)
    made.signed_input = design.signed_spikes and source != "input"
    return made
