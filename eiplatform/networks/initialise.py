"""E-I Init: weights from the moments of each layer's own input (arXiv 2509.23253, Eq. 53, 54).

Layers with signed weights are drawn in the manner of He et al. (2015), from their number of inputs
alone.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, distributed, nn

from eiplatform.errors import TrainingError, choose
from eiplatform.networks.weights import Initialised, InputMoments, input_moments

__all__ = ["SCHEMES", "initialise_ei", "initialise_network"]

_THRESHOLDS = 0x57
"""Sets the random numbers of thresholds apart from those of weights."""
SCHEMES = ("ei", "fan-in")
"""How E-I layers are initialised: from their input's moments, or (an ablation) from its size alone."""


def initialise_ei(network: nn.Module, x: Tensor, generator: torch.Generator, **forward: Any) -> None:
    """Initialise every E-I layer of `network` from its real input, in one forward pass (E-I Init).

    Each layer is filled just before it runs, so that the next one sees its output; any
    topology works.  Random numbers are drawn on the CPU in float64: the same weights result
    on every device.

    Parameters
    ----------
    network : nn.Module
        Contains :class:`~eiplatform.networks.layers.ei.EIBase` modules.
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
    >>> from eiplatform.networks import build_network
    >>> network = build_network(Config(), (1, 8, 8), 10)
    >>> initialise_ei(network, torch.rand(32, 1, 8, 8), torch.Generator().manual_seed(1))
    >>> bool((network.layers["fc1"].weight_exc >= 0).all())
    True
    """
    layers = {n: m for n, m in network.named_modules() if isinstance(m, Initialised) and m.from_input}
    reached = []
    handles = []
    for name, layer in layers.items():

        def fill(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], name: str = name) -> None:
            assert isinstance(module, Initialised)
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
    """Initialise every layer of a network, of any type, alike on all ranks.

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
            if not isinstance(module, Initialised):
                continue
            if module.from_input and scheme == "ei":
                with_data = True
            else:
                module.init_(own if module.separate else generator)
    if with_data:
        initialise_ei(network, x, generator, **forward)


def _fill(layer: Initialised, name: str, moments: InputMoments, x: Tensor, generator: torch.Generator) -> None:
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
    layer.init_from_input_(moments, generator)
