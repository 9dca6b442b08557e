"""Plain convolutional networks: a list of channels and poolings, VGG among them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Unpack

from torch import Tensor

from eiplatform.errors import ConfigError
from eiplatform.snn.network import Call, Network, Options
from eiplatform.snn.transform import Conv2d, average_pool

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
    """Return so many channels times `width`, rounded, at least 1.

    Examples
    --------
    >>> scaled(64, 0.25), scaled(64, 1), scaled(2, 0.1)
    (16, 64, 1)
    """
    if not (math.isfinite(width) and width > 0):
        raise ConfigError(f"a network cannot be {width} times as wide", valid="a number > 0")
    return max(1, round(n_channels * width))


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
    **options
        See :class:`~eiplatform.snn.network.Options`.

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
        **options: Unpack[Options],
    ) -> None:
        super().__init__(input_shape, **options)
        if len(self.input_shape) != 3:
            raise ConfigError(f"images of shape {self.input_shape}", valid="(channels, rows, columns)")
        if not any(isinstance(entry, int) for entry in plan):
            raise ConfigError("a convolutional network without a convolution", valid="e.g. [64, P, 128, P]")
        shape: tuple[int, ...] = self.input_shape
        source = "input"
        self._plan: list[str] = []
        for entry in plan:
            if isinstance(entry, int):
                name = f"conv{len(self.layers) + 1}"
                shape = self._add(name, Conv2d(shape), scaled(entry, width), source)
                source = f"{name}/E"
                self._plan.append(name)
            else:
                if entry != POOL:
                    raise ConfigError(f"'{entry}' is no layer", valid=f"a number of channels, or {POOL} for pooling")
                if min(shape[1:]) < 2:
                    raise ConfigError(
                        f"maps of {shape[1]}x{shape[2]} cannot be pooled any more",
                        where=f"pooling after {source.partition('/')[0]}, images of "
                        + "x".join(map(str, self.input_shape[1:])),
                        valid=f"at most {int(math.log2(min(self.input_shape[1:])))} poolings",
                        remedy="choose architecture cnn and shorter network.channels, or larger images",
                    )
                shape = (shape[0], shape[1] // 2, shape[2] // 2)
                self._plan.append(POOL)
        self._add_readout(math.prod(shape), n_classes, source)

    def _flow(self, x: Tensor, steps: int | None, call: Call) -> Tensor:
        for name in self._plan:
            if name == POOL:
                x = average_pool(x)
            else:
                x = call(name, x, steps)
                steps = None
        return call("readout", x.flatten(2), None)
