"""Residual networks whose blocks add spikes: SEW ResNet with the ADD function (Fang et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Unpack

from torch import Tensor

from eiplatform.errors import ConfigError
from eiplatform.networks.convnet import scaled
from eiplatform.networks.network import Call, Network, Options
from eiplatform.networks.transform import Conv2d

__all__ = ["RESNET", "ResNet", "ResNetPlan"]


class ResNetPlan(NamedTuple):
    """Depth of a residual network.

    Attributes
    ----------
    blocks : tuple of int
        Blocks per stage; stage k has ``64 * 2**k`` channels and, but for the first, halves the maps.
    bottleneck : bool
        Blocks of three convolutions (1x1, 3x3, 1x1 onto four times the channels) instead of
        two of 3x3.
    """

    blocks: tuple[int, ...]
    bottleneck: bool


RESNET: dict[str, ResNetPlan] = {
    "resnet18": ResNetPlan((2, 2, 2, 2), bottleneck=False),
    "resnet34": ResNetPlan((3, 4, 6, 3), bottleneck=False),
    "resnet50": ResNetPlan((3, 4, 6, 3), bottleneck=True),
    "resnet101": ResNetPlan((3, 4, 23, 3), bottleneck=True),
    "resnet152": ResNetPlan((3, 8, 36, 3), bottleneck=True),
}
"""Blocks per stage (He et al. 2016)."""


class _Block(NamedTuple):
    convolutions: tuple[str, ...]
    shortcut: str | None


class ResNet(Network):
    """A ``stem``, blocks ``stage1_block1_conv1`` .. whose spikes are added to those they see, a ``readout``.

    The stem is a 3x3 convolution without stride; a block that changes the number of channels or
    the map's size has a ``.._shortcut`` (a spiking layer of 1x1); the readout sees the maps'
    averages.  Sums of spikes exceed 1 with depth and enter the next layer as they are.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, rows, columns).
    n_classes : int
    plan : ResNetPlan
        E.g. one of :data:`RESNET`.
    width : float
        Factor on all channels.
    **options
        See :class:`~eiplatform.networks.network.Options`.

    Examples
    --------
    >>> network = ResNet((3, 32, 32), 10, RESNET["resnet18"], width=0.125)
    >>> len(network.named_layers()), network.populations()["stage4_block2_conv2/E"].shape
    (21, (64, 4, 4))
    """

    joins = True

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        plan: ResNetPlan,
        width: float = 1.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(input_shape, **options)
        if len(self.input_shape) != 3:
            raise ConfigError(f"images of shape {self.input_shape}", valid="(channels, rows, columns)")
        shape = self._add("stem", Conv2d(self.input_shape), scaled(64, width), "input")
        sources: Sequence[str] = ("stem/E",)
        self.blocks: list[_Block] = []
        for stage, n_blocks in enumerate(plan.blocks, 1):
            for number in range(1, n_blocks + 1):
                stride = 2 if stage > 1 and number == 1 else 1
                base = scaled(64 * 2 ** (stage - 1), width)
                shape, sources = self._add_block(
                    f"stage{stage}_block{number}", shape, sources, base, stride, plan.bottleneck
                )
        self._add_readout(shape[0], n_classes, " + ".join(sources))

    def _add_block(
        self, name: str, shape: tuple[int, ...], sources: Sequence[str], base: int, stride: int, bottleneck: bool
    ) -> tuple[tuple[int, ...], Sequence[str]]:
        """Add a block; return the shape of its spikes and the populations whose sum they are."""
        # channels, kernel, stride of each convolution
        layers = (
            [(base, 1, 1), (base, 3, stride), (4 * base, 1, 1)] if bottleneck else [(base, 3, stride), (base, 3, 1)]
        )
        seen = " + ".join(sources)
        inner, source = shape, seen
        names = []
        for number, (n_exc, kernel, step) in enumerate(layers, 1):
            names.append(f"{name}_conv{number}")
            inner = self._add(names[-1], Conv2d(inner, kernel, step, kernel // 2), n_exc, source)
            source = f"{names[-1]}/E"
        shortcut = None
        if inner != shape:
            shortcut = f"{name}_shortcut"
            self._add(shortcut, Conv2d(shape, 1, stride, 0), inner[0], seen)
            sources = (f"{shortcut}/E",)
        self.blocks.append(_Block(tuple(names), shortcut))
        return inner, (*sources, source)

    def _flow(self, x: Tensor, steps: int | None, call: Call) -> Tensor:
        x = call("stem", x, steps)
        for block in self.blocks:
            inner = x
            for name in block.convolutions:
                inner = call(name, inner, None)
            x = inner + (x if block.shortcut is None else call(block.shortcut, x, None))
        return call("readout", x.mean((-2, -1)), None)
