"""The configuration of feedback networks: layers in the notation of the papers, and how gradients are found.

This module needs neither torch nor any data.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from eiplatform.config.base import check_applies

__all__ = ["FeedbackConfig", "Loop", "Stage", "check_feedback", "parse_layers"]

_LAYER = re.compile(r"(?P<n>[1-9]\d*)(C(?P<kernel>[1-9]\d*)(?P<step>[su]?))?")


class Stage(NamedTuple):
    """One set of weights in the loop of a feedback network.

    Attributes
    ----------
    n : int
        Neurons, or channels of a convolution.
    kernel : int or None
        Side of the kernel; None: fully connected.
    stride : int
        2 where the map is halved, or doubled if `up`.
    up : bool
        A transposed convolution, which doubles the map.
    """

    n: int
    kernel: int | None
    stride: int
    up: bool


class Loop(NamedTuple):
    """The layers of a feedback network.

    Attributes
    ----------
    forward : tuple of Stage
        Layers from the input on; the readout sees the last of them.
    back : tuple of Stage
        The way back to the first layer: all but the last are layers of neurons of their own, the
        last is the feedback weight, which ends on the first layer's neurons.
    """

    forward: tuple[Stage, ...]
    back: tuple[Stage, ...]


def parse_layers(text: str) -> Loop:
    """Read layers as the papers write them.

    ``400(F400)`` is one fully connected layer with feedback onto itself; ``64C5s(F64C5)`` one
    convolution with 64 channels, kernels of 5x5 and stride 2 (``s``), whose feedback is a 5x5
    convolution; in ``96C3s-256C3(F96C3u)`` the second layer feeds back to the first through a
    transposed convolution that doubles the map (``u``).  Of several stages of feedback, as in
    ``400-300(F200-F400)``, all but the last are layers of their own.

    Raises
    ------
    ValueError
        If the text is not of this form.

    Examples
    --------
    >>> parse_layers("64C5s(F64C5)").forward
    (Stage(n=64, kernel=5, stride=2, up=False),)
    """
    match = re.fullmatch(r"([^()]+)\(([^()]+)\)", text.replace(" ", ""))
    if match is None:
        raise ValueError(f"'{text}' does not name layers and their feedback, e.g. 400(F400) or 64C5s(F64C5)")
    forward = tuple(_stage(word, text) for word in match[1].split("-"))
    words = match[2].split("-")
    if not all(word.startswith("F") for word in words):
        raise ValueError(f"in '{text}' every stage of the feedback must begin with F, e.g. (F96C3u)")
    back = tuple(_stage(word[1:], text) for word in words)
    if len({stage.kernel is None for stage in forward + back}) > 1:
        raise ValueError(f"'{text}' mixes convolutions and fully connected layers")
    if any(stage.up for stage in (*forward, *back[:-1])):
        raise ValueError(f"in '{text}' only the last stage of the feedback can double the map (u)")
    if back[-1].n != forward[0].n:
        raise ValueError(
            f"in '{text}' the feedback ends on {back[-1].n} neurons or channels, the first layer has {forward[0].n}"
        )
    return Loop(forward, back)


def _stage(word: str, text: str) -> Stage:
    match = _LAYER.fullmatch(word)
    if match is None:
        raise ValueError(
            f"'{word}' in '{text}' is not a layer; valid: e.g. 400, 64C5, 64C5s (stride 2), F96C3u (doubled)"
        )
    kernel = None if match["kernel"] is None else int(match["kernel"])
    if kernel is not None and kernel % 2 == 0:
        raise ValueError(f"'{word}' in '{text}' has a kernel of even side; valid: an odd one, which keeps the map")
    return Stage(int(match["n"]), kernel, 2 if match["step"] else 1, match["step"] == "u")


class FeedbackConfig(BaseModel):
    """A network with feedback connections, of ``architecture: feedback``.

    Defaults of Xiao et al. 2021 (arXiv 2109.14247) for Fashion-MNIST, those of ``back_*`` and
    ``gradient_scale`` of Xiao et al. 2023 (arXiv 2302.00232).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    layers: str = Field("400(F400)", description="as the papers write them, e.g. 64C5s(F64C5)")
    decay: float = Field(1.0, gt=0, le=1, description="part of the membrane left after a step; 1: IF, less: LIF")
    rest: float = Field(0.0, le=0, description="potential below 0 to which a spike resets: by threshold - rest")
    gradient: Literal["ide", "spide", "bptt"] = Field(
        "ide", description="implicit at the equilibrium; the same by ternary spikes; or through time with a surrogate"
    )
    solver: Literal["broyden", "fixed-point"] = Field("broyden", description="of ide")
    tolerance: float = Field(1e-3, gt=0, lt=1, description="of ide: residual relative to the gradient that goes in")
    max_iterations: int = Field(30, ge=1, description="of ide")
    damping: float = Field(1.0, gt=0, le=1, description="of ide with fixed-point: length of a step")
    norm_limit: float | None = Field(1.0, gt=0, description="largest spectral norm of the feedback weight; null: none")
    dropout: float = Field(0.2, ge=0, lt=1, description="of currents, the same neurons at all steps")
    back_steps: int = Field(250, ge=1, description="of spide: steps T_B of the backward phase")
    back_threshold: float = Field(0.5, gt=0, description="of spide: threshold of backward spikes, half their size")
    back_decay: float = Field(1.0, gt=0, le=1, description="of spide: as decay, in the backward phase")
    gradient_scale: float = Field(100.0, gt=0, description="of spide: factor on what the backward phase receives")

    @field_validator("layers")
    @classmethod
    def _readable(cls, layers: str) -> str:
        parse_layers(layers)
        return layers

    @model_validator(mode="after")
    def _all_applies(self) -> FeedbackConfig:
        applies = {
            "solver": self.gradient == "ide",
            "tolerance": self.gradient == "ide",
            "max_iterations": self.gradient == "ide",
            "damping": self.gradient == "ide" and self.solver == "fixed-point",
            "back_steps": self.gradient == "spide",
            "back_threshold": self.gradient == "spide",
            "back_decay": self.gradient == "spide",
            "gradient_scale": self.gradient == "spide",
        }
        how = f"{self.gradient} with solver {self.solver}" if self.gradient == "ide" else self.gradient
        check_applies(self, applies, f"gradient {how}")
        return self

    @property
    def loop(self) -> Loop:
        """The layers, read."""
        return parse_layers(self.layers)


def check_feedback(tau: float, reset: str) -> None:
    """Raise a ValueError for a membrane constant or a reset that the equilibrium does not have."""
    if tau != 2.0 or reset != "soft":
        raise ValueError(
            "feedback networks reset softly and leak by feedback.decay; leave neuron.tau and neuron.reset out"
        )
