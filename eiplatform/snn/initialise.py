"""E-I Init: weights from the moments of each layer's own input (arXiv 2509.23253, Eq. 53, 54).

Layers with signed weights are drawn in the manner of He et al. (2015), from their number of inputs
alone.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn

from eiplatform.errors import TrainingError, choose
from eiplatform.snn.backei import BackEILayer
from eiplatform.snn.dann import DANNLayer, DANNReadout
from eiplatform.snn.equilibrium.layers import LoopLayer
from eiplatform.snn.layers import EICircuit
from eiplatform.snn.signed import BatchNorm, SignedLayer, SignedReadout
from eiplatform.snn.stepwise import StepwiseNeuron

__all__ = ["SCHEMES", "InputMoments", "ei_init_scales", "initialise_ei", "initialise_network", "input_moments"]

_SPIKES_PER_STEP = 0.2
"""About what a neuron fires when its drive has unit variance (tau = 2, threshold 1, a few steps)."""
_THRESHOLDS = 0x57
"""Sets the random numbers of thresholds apart from those of weights."""
SCHEMES = ("ei", "fan-in")
"""How E-I layers are initialised: from their input's moments, or (an ablation) from its size alone."""


class InputMoments(NamedTuple):
    """Moments of the values that reach a layer, over samples, steps and inputs."""

    mean: float
    variance: float
    mean_square: float


def input_moments(x: Tensor, repeats: int | None = None) -> InputMoments:
    """Measure the moments that E-I Init needs, in float64.

    Parameters
    ----------
    x : Tensor, shape (T, B, ...) or, if `repeats` is given, (B, ...)
    repeats : int, optional
        The pattern is shown so many times; the unbiased variance counts every showing.

    Returns
    -------
    InputMoments
        ``variance`` is the unbiased variance over time and samples, averaged over inputs.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> input_moments(x, repeats=2) == input_moments(torch.stack((x, x)))
    True
    """
    merged = (x if repeats is not None else x.flatten(0, 1)).double()
    showings = merged.shape[0] * (repeats or 1)
    unbiased = showings / (showings - 1) if showings > 1 else math.nan
    variance, mean = torch.var_mean(merged, 0, correction=0)
    return InputMoments(mean.mean().item(), variance.mean().item() * unbiased, (variance + mean.square()).mean().item())


def ei_init_scales(moments: InputMoments, fan_in: int) -> tuple[float, float]:
    """Return the scale of the exponential weights and the gain g_I.

    Parameters
    ----------
    moments : InputMoments
    fan_in : int
        Number of inputs of one neuron, ``d``.

    Returns
    -------
    scale : float
        ``sqrt(Var x / (d (E x^2 + Var x)))`` (Eq. 53): mean excitation equals mean
        subtractive inhibition.
    gain_inh : float
        ``sqrt(E x^2 + Var x) / (sqrt(d) E x)`` (Eq. 54): mean divisive inhibition equals the
        standard deviation of the excitation.

    Examples
    --------
    >>> p, d = 0.25, 100  # independent spikes with probability p
    >>> scale, gain = ei_init_scales(InputMoments(p, p * (1 - p), p), d)
    >>> math.isclose(scale, math.sqrt((1 - p) / (d * (2 - p)))), math.isclose(gain, math.sqrt((2 - p) / (d * p)))
    (True, True)
    """
    spread = moments.mean_square + moments.variance
    return math.sqrt(moments.variance / (fan_in * spread)), math.sqrt(spread / fan_in) / moments.mean


def initialise_ei(network: nn.Module, x: Tensor, generator: torch.Generator, **forward: Any) -> None:
    """Initialise every E-I layer of `network` from its real input, in one forward pass (E-I Init).

    Each layer is filled just before it runs, so that the next one sees its output; any
    topology works.  Random numbers are drawn on the CPU in float64: the same weights result
    on every device.

    Parameters
    ----------
    network : nn.Module
        Contains :class:`~eiplatform.snn.layers.EICircuit` modules.
    x : Tensor
        One batch of inputs, values >= 0.
    generator : torch.Generator
        On the CPU.
    **forward
        Passed on to ``network(x, ...)``, e.g. ``steps``.

    Raises
    ------
    TrainingError
        If a layer receives no input, a constant or a negative one, or is never reached; the
        message names the layer.

    Examples
    --------
    >>> from eiplatform.config import Config
    >>> from eiplatform.snn import build_network
    >>> network = build_network(Config(), (1, 8, 8), 10)
    >>> initialise_ei(network, torch.rand(32, 1, 8, 8), torch.Generator().manual_seed(1))
    >>> bool((network.layers["fc1"].weight_exc >= 0).all())
    True
    """
    layers = {name: module for name, module in network.named_modules() if isinstance(module, EICircuit)}
    reached = []
    handles = []
    for name, layer in layers.items():

        def fill(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], name: str = name) -> None:
            assert isinstance(module, EICircuit)
            values = args[0]
            _fill(module, name, input_moments(values, kwargs.get("steps")), values, generator)
            reached.append(name)

        handles.append(layer.register_forward_pre_hook(fill, with_kwargs=True))
    try:
        with torch.no_grad():
            network(x, **forward)
    finally:
        for handle in handles:
            handle.remove()
    missed = sorted(set(layers) - set(reached))
    if missed:
        raise TrainingError("the forward pass does not reach this layer", where=missed[0])


def initialise_network(
    network: nn.Module, x: Tensor, generator: torch.Generator, scheme: str = "ei", **forward: Any
) -> None:
    """Initialise every layer of a network, of any circuit, alike on all ranks.

    E-I layers follow `scheme`.  Signed weights are normal: of variance ``5 / d`` in hidden layers
    without normalisation, so that about 0.2 spikes per input and step give a drive of unit
    variance and the activity neither dies nor explodes with depth; ``2 / d`` with it; ``1 / d`` in
    the readout.  Batch normalisation starts as the identity, biases are 0.
    Under :mod:`torch.distributed` rank 0 initialises from its own batch and sends all parameters
    and buffers to the others; an error is raised on every rank.

    Parameters
    ----------
    network : nn.Module
    x : Tensor
        One batch of inputs, values >= 0.
    generator : torch.Generator
        On the CPU.
    scheme : {"ei", "fan-in"}
        E-I Init, see :func:`initialise_ei`; or exponential weights of scale ``1 / sqrt(d)`` and
        gains of 1, whatever the input.
    **forward
        Passed on to ``network(x, ...)``, e.g. ``steps``.

    Raises
    ------
    TrainingError
        As :func:`initialise_ei`.
    UnknownNameError
        For another scheme.
    """
    choose(scheme, SCHEMES, "initialisation")
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        _initialise_here(network, x, generator, scheme, **forward)
        return
    failure: TrainingError | None = None
    if distributed.get_rank() == 0:
        try:
            _initialise_here(network, x, generator, scheme, **forward)
        except TrainingError as error:
            failure = error
    message = [None if failure is None else str(failure)]
    distributed.broadcast_object_list(message, src=0)
    if failure is not None:
        raise failure
    if message[0] is not None:
        raise TrainingError(message[0], where="rank 0")
    for values in network.state_dict().values():
        distributed.broadcast(values, src=0)


def _initialise_here(network: nn.Module, x: Tensor, generator: torch.Generator, scheme: str, **forward: Any) -> None:
    with_data = False
    own = torch.Generator().manual_seed(generator.initial_seed() ^ _THRESHOLDS)  # weights are those of plain neurons
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, SignedLayer | SignedReadout):
                variance = _signed_variance(module) / module.transform.fan_in
                drawn = torch.empty(module.weight.shape, dtype=torch.float64).normal_(generator=generator)
                module.weight.copy_(drawn * math.sqrt(variance))
                if module.bias is not None:
                    module.bias.zero_()
                if isinstance(module, BackEILayer):
                    module.draw(generator)
            elif isinstance(module, StepwiseNeuron):
                module.initialise(own)
            elif isinstance(module, LoopLayer):
                module.initialise(generator)
            elif isinstance(module, BatchNorm):
                module.weight.fill_(1.0)
                module.bias.zero_()
                module.running_mean.zero_()
                module.running_var.fill_(1.0)
            elif isinstance(module, EICircuit):
                with_data = scheme == "ei"
                if not with_data:
                    _draw(module, 1 / math.sqrt(module.transform.fan_in), 1.0, generator)
    if with_data:
        initialise_ei(network, x, generator, **forward)


def _signed_variance(layer: SignedLayer | SignedReadout) -> float:
    if isinstance(layer, SignedReadout):
        return 1.0
    return 2.0 if layer.norm is not None else 1.0 / _SPIKES_PER_STEP


def _fill(layer: EICircuit, name: str, moments: InputMoments, x: Tensor, generator: torch.Generator) -> None:
    short = name.rsplit(".", 1)[-1]
    if not all(map(math.isfinite, moments)):
        raise TrainingError("the input of this layer is not finite, or a single sample", where=short)
    if bool((x < 0).any()):
        raise TrainingError(
            "the input of this layer has negative values",
            where=short,
            valid="values >= 0, e.g. images in [0, 1]",
            remedy="do not subtract a mean from the images",
        )
    if moments.mean == 0 or moments.variance == 0:
        what = "no input reaches this layer" if moments.mean == 0 else "the input of this layer is constant"
        raise TrainingError(
            f"{what}, so E-I Init has nothing to scale by",
            where=short,
            remedy="use a larger batch, a lower neuron.threshold or fewer layers",
        )
    scale, gain_inh = ei_init_scales(moments, layer.transform.fan_in)
    if isinstance(layer, DANNLayer):
        layer.draw(gain_inh, generator)
    elif isinstance(layer, DANNReadout):
        layer.draw(generator)
    else:
        _draw(layer, scale, gain_inh, generator)


def _draw(layer: EICircuit, scale: float, gain_inh: float, generator: torch.Generator) -> None:
    for weight in (layer.weight_exc, layer.weight_inh_in):
        drawn = torch.empty(weight.shape, dtype=torch.float64).exponential_(generator=generator)
        weight.copy_(drawn * scale)
    layer.weight_inh_out.fill_(1.0 / layer.n_inh)
    signed = layer.signed_parameters()
    if "gain_inh" in signed:
        signed["gain_inh"].fill_(gain_inh)
        signed["gain_exc"].fill_(1.0)
        layer.get_parameter("bias").zero_()
