"""From a configuration to a network."""

from __future__ import annotations

from operator import attrgetter

from eiplatform.config import Config, NetworkConfig, NeuronConfig
from eiplatform.errors import ConfigError
from eiplatform.networks.convnet import VGG, ConvNet, Form
from eiplatform.networks.equilibrium.network import FeedbackNetwork
from eiplatform.networks.equilibrium.neuron import feedback_tau
from eiplatform.networks.kernels.lif import LIF
from eiplatform.networks.kernels.prop import EIProp
from eiplatform.networks.kernels.surrogate import make_surrogate
from eiplatform.networks.layer import SETTINGS, layer_type
from eiplatform.networks.mlp import MLP
from eiplatform.networks.network import Network, Options
from eiplatform.networks.neuron import Firing
from eiplatform.networks.resnet import RESNET, ResNet

__all__ = ["build_network"]


def build_network(config: Config, input_shape: tuple[int, ...], n_classes: int) -> Network:
    """Build the network that `config` describes; an initialisation or a checkpoint fills its weights.

    Parameters
    ----------
    config : Config
    input_shape : tuple of int
        Shape of one input, e.g. ``(1, 8, 8)``.
    n_classes : int

    Returns
    -------
    Network
        It carries `config`.

    Raises
    ------
    ConfigError
        If the images are too small for the architecture, or something is set that the type of layer does not use.

    Examples
    --------
    >>> network = build_network(Config(), (1, 8, 8), 10)
    >>> list(network.populations())[:2]
    ['fc1/E', 'fc1/I']
    """
    _check_settings(config.network)
    network = _built(config, input_shape, n_classes)
    network.config = config
    return network


def _check_settings(part: NetworkConfig) -> None:
    used = layer_type(part.layer).settings
    for name in SETTINGS:
        found, default = (attrgetter(name)(one) for one in (part, NetworkConfig()))
        if name not in used and found != default:
            raise ConfigError(
                f"layers of type {part.layer} do not use {name}",
                where=f"network.{name}",
                valid=f"{default}, its default",
            )


def _built(config: Config, input_shape: tuple[int, ...], n_classes: int) -> Network:
    part = config.network
    options: Options = {
        "layer": part.layer,
        "ei_ratio": part.ei_ratio,
        "readout_bias": part.readout_bias,
        "steps": part.steps,
        "neuron": LIF(
            tau=part.neuron.tau,
            threshold=part.neuron.threshold,
            reset=part.neuron.reset,
            detach_reset=part.neuron.detach_reset,
            surrogate=make_surrogate(part.neuron.surrogate, part.neuron.alpha),
        ),
        "prop": EIProp(part.prop.stabilise, part.prop.straight_through, part.prop.scale_gradient),
        "model": part.neuron.model,
        "firing": _firing(part.neuron, part.steps),
        "feedback_kernel": part.neuron.feedback_kernel,
        "encoding": part.encoding,
        "votes": part.votes,
    }
    if part.architecture == "feedback":
        options["neuron"] = options["neuron"]._replace(tau=feedback_tau(part.feedback.decay))
        return FeedbackNetwork(input_shape, n_classes, part.feedback, config.seed, **options)
    if part.architecture == "mlp":
        return MLP(input_shape, n_classes, part.hidden, part.dropout, **options)
    if part.architecture == "cnn":
        form = Form(part.kernel, part.pooling, part.dense, part.dropout)
        return ConvNet(input_shape, n_classes, part.channels, part.width, form, **options)
    if part.architecture in VGG:
        return ConvNet(input_shape, n_classes, VGG[part.architecture], part.width, **options)
    return ResNet(input_shape, n_classes, RESNET[part.architecture], part.width, **options)


def _firing(part: NeuronConfig, steps: int) -> Firing | None:
    """Return what the neurons can do beyond plain ones, None if nothing."""
    if not part.stepwise or part.model == "backei":
        return None
    return Firing(
        thresholds=part.model == "stl",
        spread=part.threshold_spread,
        max_spikes=part.max_spikes,
        negative=part.negative_spikes,
        widths=steps if part.learn_surrogate else 0,
    )
