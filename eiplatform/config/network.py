"""Architecture, layers and neurons."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from eiplatform.config.base import Frozen, Positive, check_applies
from eiplatform.config.feedback import FeedbackConfig, check_feedback
from eiplatform.discovery import discovered
from eiplatform.errors import choose

__all__ = ["NetworkConfig", "NeuronConfig", "PropConfig"]

SurrogateName = Literal["sigmoid", "atan", "fast-sigmoid", "triangle", "rectangle"]


Architecture = Literal[
    "mlp",
    "cnn",
    "vgg8",
    "vgg11",
    "vgg16",
    "vgg19",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "feedback",
]


def _named(kind: str, name: str, what: str) -> str:
    """Check a name against the files of a kind, which need not be imported for that."""
    return choose(name, [found.name for found in discovered(kind)], what)


class NeuronConfig(Frozen):
    """Neurons of the hidden layers; defaults of arXiv 2509.23253.

    ``max_spikes``, ``negative_spikes`` and ``learn_surrogate`` are pieces that any spiking model can have.
    A field of another model must keep its default.
    """

    tau: float = Field(2.0, ge=1, description="membrane constant in steps")
    threshold: float = Field(1.0, gt=0)
    reset: Literal["soft", "hard"] = "soft"
    detach_reset: bool = True
    surrogate: SurrogateName = "sigmoid"
    alpha: float | None = Field(None, gt=0, description="steepness; by default the surrogate's own")
    model: Annotated[str, AfterValidator(lambda name: _named("neurons", name, "neuron model"))] = Field(
        "lif",
        description="leaky integrate-and-fire; the same with a trainable threshold per neuron; "
        "with self-feedback and signed output (BackEISNN); rates",
    )
    threshold_spread: float = Field(1e-4, ge=0, description="standard deviation of the thresholds' start, of stl")
    max_spikes: int = Field(1, ge=1, le=127, description="spikes of one sign that a neuron fires per step at most")
    negative_spikes: bool = Field(False, description="potentials below minus the threshold fire negative spikes")
    learn_surrogate: bool = Field(False, description="a trainable width of the surrogate per time step")
    feedback_kernel: Literal[1, 3, 5, 7] = Field(3, description="places on either axis, of backei")

    @property
    def stepwise(self) -> bool:
        """Whether the neurons can do more than plain ones and are advanced step by step."""
        return self.model in ("stl", "backei") or self.max_spikes > 1 or self.negative_spikes or self.learn_surrogate

    @property
    def fused(self) -> bool:
        """Whether the neurons are plain ones, for which there are fused operations, compiled ones too."""
        return self.model == "lif" and not self.stepwise

    @model_validator(mode="after")
    def _all_applies(self) -> NeuronConfig:
        pieces = ("max_spikes", "negative_spikes", "learn_surrogate")
        spiking = ("tau", "threshold", "reset", "detach_reset", "surrogate", "alpha", *pieces)
        foreign = {"relu": spiking, "backei": pieces}.get(self.model, ())
        owners = {"threshold_spread": "stl", "feedback_kernel": "backei"}
        foreign += tuple(name for name, owner in owners.items() if self.model != owner)
        check_applies(self, dict.fromkeys(foreign, False), f"model {self.model}")
        if self.reset == "hard" and (self.max_spikes > 1 or self.negative_spikes):
            raise ValueError("max_spikes and negative_spikes need reset soft, which subtracts the threshold per spike")
        return self


class PropConfig(Frozen):
    """Parts of E-I Prop; each can be switched off."""

    stabilise: bool = True
    straight_through: bool = True
    scale_gradient: bool = True


class NetworkConfig(Frozen):
    """Architecture and layers.

    A field of another architecture than the chosen one must keep its default; what a type of layer uses is checked
    where the network is built.
    """

    architecture: Architecture = "mlp"
    layer: Annotated[str, AfterValidator(lambda name: _named("layers", name, "type of layer"))] = Field(
        "ei",
        description="type of all layers: ei (E and I neurons); bn or none (signed weights with batch normalisation, "
        "or with a bias alone); dann (the E-I layer of DANN, for rates)",
    )
    hidden: tuple[Positive, ...] = Field((500, 500, 300), min_length=1, description="neurons per layer, of mlp")
    channels: tuple[int | str, ...] = Field(
        (32, "P", 64, "P", 128, "P"), min_length=1, description="channels and poolings, of cnn"
    )
    width: float = Field(1.0, gt=0, description="factor on all channels, of every architecture but mlp")
    kernel: Literal[3, 5, 7] = Field(3, description="places on either axis of a convolution, of cnn")
    pooling: Literal["average", "max"] = Field("average", description="what P means, of cnn")
    dense: tuple[Positive, ...] = Field((), description="neurons of fully connected layers before the readout, of cnn")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="part of the spikes to dense layers silenced in training, of mlp and cnn"
    )
    ei_ratio: float = Field(4.0, gt=0, description="E neurons (channels) per I neuron, of layers ei and dann")
    initialise: Literal["ei", "fan-in"] = Field(
        "ei", description="E-I Init from the data, or weights scaled by the number of inputs alone; of layers ei"
    )
    readout_bias: bool = Field(False, description="a bias in the readout, of layers bn and none")
    steps: int = Field(4, ge=1, description="time steps T")
    encoding: Literal["constant", "bernoulli"] = Field(
        "constant", description="an image at every step, or spikes with its intensities as probabilities"
    )
    votes: int = Field(
        0, ge=0, description="spiking neurons per class whose mean rate is the answer; 0: a readout of currents"
    )
    neuron: NeuronConfig = NeuronConfig()
    prop: PropConfig = Field(PropConfig(), description="of layers ei; scale_gradient of layers dann too")
    feedback: FeedbackConfig = Field(FeedbackConfig(), description="of architecture feedback")

    @field_validator("channels")
    @classmethod
    def _channels_or_pooling(cls, channels: tuple[int | str, ...]) -> tuple[int | str, ...]:
        for entry in channels:
            if entry != "P" and (isinstance(entry, str) or entry < 1):
                raise ValueError(f"'{entry}' is neither a number of channels >= 1 nor P for pooling")
        return channels

    @model_validator(mode="after")
    def _all_applies(self) -> NetworkConfig:
        applies = {
            "hidden": self.architecture == "mlp",
            "channels": self.architecture == "cnn",
            "kernel": self.architecture == "cnn",
            "pooling": self.architecture == "cnn",
            "dense": self.architecture == "cnn",
            "dropout": self.architecture in ("mlp", "cnn"),
            "width": self.architecture not in ("mlp", "feedback"),
            "initialise": self.architecture != "feedback",
            "readout_bias": not self.votes,
            "prop": self.architecture != "feedback",
            "feedback": self.architecture == "feedback",
        }
        check_applies(self, applies, f"{self.architecture}{' with votes' if self.votes else ''}")
        if self.architecture == "feedback":
            if self.neuron.model not in ("lif", "stl") or self.votes:
                raise ValueError("feedback networks have neurons lif or stl, and a readout of currents")
            if self.neuron.stepwise and self.feedback.rest:
                raise ValueError("feedback.rest other than 0 is for plain lif neurons")
            if self.neuron.learn_surrogate and self.feedback.gradient != "bptt":
                raise ValueError(
                    f"neuron.learn_surrogate does not apply to feedback.gradient {self.feedback.gradient}, "
                    "which has no surrogate; it needs bptt"
                )
            check_feedback(self.neuron.tau, self.neuron.reset)
        return self

    @model_validator(mode="after")
    def _neurons_fit(self) -> NetworkConfig:
        if self.neuron.model == "backei" and self.architecture == "mlp":
            raise ValueError("model backei is for convolutional networks")
        if self.neuron.model == "relu" and self.votes:
            raise ValueError("votes are counted in spikes; neurons of model relu do not spike")
        return self
