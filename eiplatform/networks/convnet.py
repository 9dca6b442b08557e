"""Plain convolutional networks: a list of channels and poolings, VGG among them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from eiplatform.errors import ConfigError
from eiplatform.networks.network import Call, Network, Options
from eiplatform.networks.transform import Conv2d, Linear, average_pool, dropped, max_pool

__all__ = ["POOL", "VGG", "ConvNet", "scaled"]

POOL = "P"
"""Stands for an average over squares of 2x2 in a list of channels."""

Plan = tuple[int | str, ...]

VGG: dict[str, Plan] = {
    "vgg8": (64, "P", 128, "P", 256, "P", 512, "P", 512, "P"),
    "vgg11": (64, "P", 128, "P", 256, 256, "P", 512, 512, "P", 512, 512, "P"),
    "vgg16": (64, 64, "P", 128, 128, "P", *(256,) * 3, "P", *(512,) * 3, "P", *(512,) * 3, "P"),
    "vgg19": (64, 64, "P", 128, 128, "P", *(256,) * 4, "P", *(512,) * 4, "P", *(512,) * 4, "P"),
}
"""Channels and poolings of arXiv 2509.23253 (after Simonyan and Zisserman 2015); the readout follows at once."""


def scaled(n_channels: int, width: float) -> int:
    """Return a number of channels times `width`, rounded, at least 1.

    Examples
    --------
    >>> scaled(64, 0.25), scaled(64, 1), scaled(2, 0.1)
    (16, 64, 1)
    """
    if not (math.isfinite(width) and width > 0):
        raise ConfigError(f"a network cannot be {width} times as wide", valid="a number > 0")
    return max(1, round(n_channels * width))


class Form(NamedTuple):
    """How a plain convolutional network is built apart from its channels.

    Attributes
    ----------
    kernel : int
        Places on either axis, odd; maps keep their size.
    pooling : {"average", "max"}
        Over squares of 2x2.
    dense : tuple of int
        Neurons of the fully connected layers ``fc1`` .. before the readout, which are not normalised.
    dropout : float
        In training, this part of the values that reach ``fc1`` .. and the readout is set to zero,
        anew at every step, and the others are scaled up.
    """

    kernel: int = 3
    pooling: str = "average"
    dense: tuple[int, ...] = ()
    dropout: float = 0.0


class ConvNet(Network):
    """Layers ``conv1`` .. ``convN`` with kernels of 3x3 that keep the map's size, and a ``readout``.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, rows, columns).
    n_classes : int
    plan : sequence of int or "P"
        E channels of a layer, or an average pooling over 2x2; e.g. one of :data:`VGG`.
    width : float
        Factor on all channels.
    form : Form
    **options
        See :class:`~eiplatform.networks.network.Options`.

    Raises
    ------
    ConfigError
        If pooling leaves nothing of the maps.

    Examples
    --------
    >>> network = ConvNet((1, 28, 28), 10, (8, "P", 16, "P"))
    >>> {name: info.shape for name, info in network.populations().items()}  # doctest: +NORMALIZE_WHITESPACE
    {'conv1/E': (8, 28, 28), 'conv1/I': (2, 28, 28), 'conv2/E': (16, 14, 14), 'conv2/I': (4, 14, 14),
     'readout/E': (10,), 'readout/I': (2,)}
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        plan: Sequence[int | str],
        width: float = 1.0,
        form: Form = Form(),  # noqa: B008 - a tuple
        **options: Unpack[Options],
    ) -> None:
        super().__init__(input_shape, **options)
        self.form = form
        if len(self.input_shape) != 3:
            raise ConfigError(f"images of shape {self.input_shape}", valid="(channels, rows, columns)")
        if not any(isinstance(entry, int) for entry in plan):
            raise ConfigError("a convolutional network without a convolution", valid="e.g. [64, P, 128, P]")
        shape: tuple[int, ...] = self.input_shape
        source = "input"
        self.plan: list[str] = []
        for entry in plan:
            if isinstance(entry, int):
                name = f"conv{len(self.layers) + 1}"
                shape = self._add(name, Conv2d(shape, form.kernel, 1, form.kernel // 2), scaled(entry, width), source)
                source = f"{name}/E"
                self.plan.append(name)
            else:
                if entry != POOL:
                    raise ConfigError(f"'{entry}' is not a layer", valid=f"a number of channels, or {POOL} for pooling")
                if min(shape[1:]) < 2:
                    raise ConfigError(
                        f"maps of {shape[1]}x{shape[2]} cannot be pooled any more",
                        where=f"pooling after {source.partition('/')[0]}, images of "
                        + "x".join(map(str, self.input_shape[1:])),
                        valid=f"at most {int(math.log2(min(self.input_shape[1:])))} poolings",
                        remedy="choose architecture cnn and shorter network.channels, or larger images",
                    )
                shape = (shape[0], shape[1] // 2, shape[2] // 2)
                self.plan.append(POOL)
        n_inputs = math.prod(shape)
        for number, n_exc in enumerate(form.dense, 1):
            (n_inputs,) = self._add(f"fc{number}", Linear(n_inputs), n_exc, source, normalise=False)
            source = f"fc{number}/E"
        self._add_readout(n_inputs, n_classes, source)

    def _flow(self, x: Tensor, steps: int | None, call: Call) -> Tensor:
        for name in self.plan:
            if name == POOL:
                x = average_pool(x) if self.form.pooling == "average" else max_pool(x)
            else:
                x = call(name, x, steps)
                steps = None
        x = x.flatten(2)
        generator = torch.Generator().manual_seed(self.noise)
        for name in [f"fc{number}" for number in range(1, len(self.form.dense) + 1)] + ["readout"]:
            x = call(name, dropped(x, self.form.dropout if self.training else 0.0, generator), None)
        return x
