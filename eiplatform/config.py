"""The configuration of a training run: read strictly, frozen, and hashed.

Nothing is guessed: an unknown key, a value of the wrong type or an impossible number is one
clear message.  This module needs neither torch nor any data.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from eiplatform.errors import ConfigError, suggest
from eiplatform.feedback_config import FeedbackConfig, check_feedback

__all__ = [
    "Config",
    "DatasetConfig",
    "NetworkConfig",
    "NeuronConfig",
    "PropConfig",
    "TrainingConfig",
    "config_hash",
    "load_config",
    "parse_assignment",
    "parse_config",
    "parse_model",
    "read_yaml",
]

Model = TypeVar("Model", bound=BaseModel)

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

Positive = Annotated[int, Field(ge=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DatasetConfig(_Frozen):
    """Which images, how many of the training images validate, and how training varies them."""

    name: str = "digits"
    validation: float = Field(0.1, gt=0, lt=1, description="part of the training split kept for validation")
    root: str | None = Field(None, description="folder with the data sets' files")
    download: bool = Field(False, description="get missing files from their source")
    augment: tuple[Literal["crop", "flip", "cutout"], ...] = Field((), description="applied in this order")
    crop_padding: int = Field(4, ge=1, description="pixels of zeros around an image before its random crop")
    cutout_size: int = Field(8, ge=1, description="side of the square that cutout sets to zero, in pixels")
    bins: Literal["number", "time"] = Field(
        "number", description="frames of event data hold equally many events, or last equally long"
    )

    @model_validator(mode="after")
    def _augment_once(self) -> DatasetConfig:
        if len(set(self.augment)) < len(self.augment):
            raise ValueError(f"augment names something twice: {', '.join(self.augment)}")
        return self


class NeuronConfig(_Frozen):
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
    model: Literal["lif", "stl", "backei", "relu"] = Field(
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
        for name in foreign:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} does not apply to model {self.model}")
        if self.reset == "hard" and (self.max_spikes > 1 or self.negative_spikes):
            raise ValueError("max_spikes and negative_spikes need reset soft, which subtracts the threshold per spike")
        return self


class PropConfig(_Frozen):
    """Parts of E-I Prop, each of which can be switched off."""

    stabilise: bool = True
    straight_through: bool = True
    scale_gradient: bool = True


class NetworkConfig(_Frozen):
    """Architecture and circuit.

    A field of another architecture or circuit than the chosen one must keep its default.
    """

    architecture: Architecture = "mlp"
    circuit: Literal["ei", "bn", "none", "dann"] = Field(
        "ei",
        description="E-I circuits; or signed weights with batch normalisation, or with a bias alone; "
        "or the E-I layer of DANN, for rates",
    )
    hidden: tuple[Positive, ...] = Field((500, 500, 300), min_length=1, description="neurons per layer, of mlp")
    channels: tuple[int | str, ...] = Field(
        (32, "P", 64, "P", 128, "P"), min_length=1, description="channels and poolings, of cnn"
    )
    width: float = Field(1.0, gt=0, description="factor on all channels, of every architecture but mlp")
    kernel: Literal[3, 5, 7] = Field(3, description="places on either axis of a convolution, of cnn")
    pooling: Literal["average", "max"] = Field("average", description="what P means, of cnn")
    dense: tuple[Positive, ...] = Field((), description="neurons of fully connected layers before the readout, of cnn")
    dropout: float = Field(0.0, ge=0, lt=1, description="part of the dense layers' input silenced in training, of cnn")
    ei_ratio: float = Field(4.0, gt=0, description="E neurons (channels) per I neuron, of circuits ei and dann")
    initialise: Literal["ei", "fan-in"] = Field(
        "ei", description="E-I Init from the data, or weights scaled by the number of inputs alone; of circuit ei"
    )
    readout_bias: bool = Field(False, description="a bias in the readout, of circuits bn and none")
    steps: int = Field(4, ge=1, description="time steps T")
    encoding: Literal["constant", "bernoulli"] = Field(
        "constant", description="an image at every step, or spikes with its intensities as probabilities"
    )
    votes: int = Field(
        0, ge=0, description="spiking neurons per class whose mean rate is the answer; 0: a readout of currents"
    )
    neuron: NeuronConfig = NeuronConfig()
    prop: PropConfig = Field(PropConfig(), description="of circuit ei; scale_gradient of circuit dann too")
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
            "dropout": self.architecture == "cnn" and bool(self.dense),
            "width": self.architecture not in ("mlp", "feedback"),
            "ei_ratio": self.circuit in ("ei", "dann"),
            "initialise": self.circuit == "ei" and self.architecture != "feedback",
            "readout_bias": self.circuit in ("bn", "none") and not self.votes,
            "prop": self.circuit in ("ei", "dann") and self.architecture != "feedback",
            "feedback": self.architecture == "feedback",
        }
        for name, does in applies.items():
            if not does and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} does not apply to {self.architecture} with circuit {self.circuit}")
        if self.architecture == "feedback":
            if not self.neuron.fused or self.votes:
                raise ValueError("feedback networks have plain neurons (model lif, no further piece) and no votes")
            check_feedback(self.feedback, self.circuit, self.neuron.tau, self.neuron.reset)
        return self

    @model_validator(mode="after")
    def _neurons_fit(self) -> NetworkConfig:
        model, dale = self.neuron.model, self.circuit in ("ei", "dann")
        if self.circuit == "dann" and (model != "relu" or self.prop not in (PropConfig(), _UNSCALED)):
            raise ValueError("circuit dann has neurons of model relu, and of prop scale_gradient alone")
        if dale and self.neuron.negative_spikes:
            raise ValueError("negative spikes of E neurons would break Dale's law; they need circuit bn or none")
        if model == "backei" and (dale or self.architecture == "mlp"):
            raise ValueError("model backei is for convolutional networks of circuit bn or none: its spikes have signs")
        if model == "relu" and self.votes:
            raise ValueError("votes are counted in spikes, which model relu has not")
        if self.architecture == "feedback" and (not self.neuron.fused or self.votes or self.circuit == "dann"):
            raise ValueError("feedback networks have plain lif neurons, a readout of currents, and no circuit dann")
        return self


_UNSCALED = PropConfig(scale_gradient=False)


class TrainingConfig(_Frozen):
    """Optimisation; defaults of arXiv 2509.23253."""

    epochs: int = Field(300, ge=1)
    batch_size: int = Field(128, ge=2)
    optimiser: Literal["sgd", "adamw", "adam"] = "sgd"
    learning_rate: float = Field(2e-3, gt=0)
    warmup_epochs: int = Field(10, ge=0, description="epochs of linear rise of the learning rate")
    warmup_from: float = Field(1e-7, ge=0, description="learning rate at the start of the rise")
    schedule: Literal["cosine", "constant", "step", "decay"] = "cosine"
    milestones: tuple[Positive, ...] = Field((), description="of step: epochs after which the rate falls tenfold")
    decay: float = Field(0.1, gt=0, le=1, description="factor on the learning rate, of schedule decay")
    decay_epochs: int = Field(40, ge=1, description="epochs after which it acts, again and again, of schedule decay")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: float = Field(5e-4, ge=0, description="L2 on all parameters (sgd, adam), decoupled (adamw)")
    loss: Literal["cross-entropy", "mse"] = Field("cross-entropy", description="mse: to one-hot labels")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="of cross-entropy")
    balance: float = Field(0.0, ge=0, description="weight of the loss that balances positive and negative potentials")
    trained: Literal["all", "weights", "thresholds"] = Field("all", description="what learns, of neuron model stl")
    accumulate: int = Field(1, ge=1, description="parts in which a batch is worked off, to need less memory")
    precision: Literal["float32", "bf16"] = Field("float32", description="bf16: autocast while training")
    backend: Literal["eager", "compiled", "auto"] = Field(
        "eager",
        description="compiled: faster on a CPU, through a C++ compiler, with other rounding errors; "
        "auto: compiled where it can be",
    )
    tensorboard: bool = Field(False, description="write the metrics for TensorBoard too")
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int | None = Field(
        None, ge=1, description="CPU threads; a fixed number makes runs equal on machines with more or fewer cores"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> TrainingConfig:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs ({self.warmup_epochs}) must be less than epochs ({self.epochs})")
        if (self.schedule == "step") != bool(self.milestones):
            raise ValueError("milestones go with schedule step, and with no other")
        if self.accumulate > self.batch_size:
            raise ValueError(f"accumulate ({self.accumulate}) must not exceed batch_size ({self.batch_size})")
        if self.backend == "compiled" and self.device != "cpu":
            raise ValueError(f"the compiled backend is for device cpu, not {self.device}")
        applies = {
            "label_smoothing": self.loss == "cross-entropy",
            "decay": self.schedule == "decay",
            "decay_epochs": self.schedule == "decay",
        }
        for name, does in applies.items():
            if not does and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} does not apply to loss {self.loss} and schedule {self.schedule}")
        return self


class Config(_Frozen):
    """Everything that decides the outcome of a training run.

    Examples
    --------
    >>> Config().network.steps
    4
    """

    seed: int = Field(1, ge=0, lt=2**32)
    dataset: DatasetConfig = DatasetConfig()
    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _parts_fit(self) -> Config:
        neuron, training = self.network.neuron, self.training
        if not neuron.fused and training.backend == "compiled":
            raise ValueError("the compiled backend is for plain lif neurons; these need training.backend eager")
        if training.trained != "all" and neuron.model != "stl":
            raise ValueError(f"training.trained {training.trained} is for network.neuron.model stl")
        if training.balance and neuron.model == "relu":
            raise ValueError("training.balance acts on membrane potentials, which model relu has not")
        implicit = self.network.architecture == "feedback" and self.network.feedback.gradient != "bptt"
        if training.balance and implicit:
            raise ValueError("training.balance acts through time; of feedback networks it needs feedback.gradient bptt")
        return self


def load_config(path: Path | str | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration.

    Parameters
    ----------
    path : path, optional
        YAML file; without it the defaults.
    overrides : sequence of str
        ``dotted.key=value``, the value in YAML; the last one wins.

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
        For a file that cannot be read, a key that does not exist (with the valid keys and the
        nearest), or a value that is not possible.

    Examples
    --------
    >>> load_config(None, ["network.hidden=[64, 32]", "training.learning_rate=1e-2"]).network.hidden
    (64, 32)
    """
    where = "configuration" if path is None else str(path)
    data = {} if path is None else read_yaml(path)
    for override in overrides:
        key, value = parse_assignment(override, where=where)
        parts = key.split(".")
        branch: Any = data
        for part in parts[:-1]:
            branch = branch.setdefault(part, {})
            if not isinstance(branch, dict):
                raise ConfigError(f"'{part}' has no keys of its own", where=f"{where}: {key}")
        branch[parts[-1]] = value
    return parse_config(data, where=where)


def parse_config(data: Any, *, where: str = "configuration") -> Config:
    """Check a configuration given as nested dictionaries, e.g. from a checkpoint.

    Parameters
    ----------
    data : dict
    where : str
        Named in errors.

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
    """
    return parse_model(Config, data, where=where)


def parse_model(model: type[Model], data: Any, *, where: str) -> Model:
    """Check nested dictionaries against any pydantic model of the platform.

    Parameters
    ----------
    model : type of pydantic.BaseModel
        E.g. :class:`Config` or :class:`~eiplatform.recording.spec.RecordingSpec`.
    data : dict
    where : str
        Named in errors.

    Raises
    ------
    ConfigError
        One line: the dotted key, what is wrong, what is valid.
    """
    try:
        # Through JSON: a list is a tuple there, while "3", 3.0 and true remain what they are.
        return model.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        raise _translate(error, model, where) from None


def parse_assignment(text: str, *, where: str) -> tuple[str, Any]:
    """Split ``key=value`` and read the value as YAML.

    Examples
    --------
    >>> parse_assignment("scale=0.1", where="--set")
    ('scale', 0.1)
    """
    key, equals, value = text.partition("=")
    if not equals or not all(key.strip().split(".")):
        raise ConfigError(f"'{text}' is not an override", where=where, valid="key=value")
    return key.strip(), _yaml(value, f"{where}: {key.strip()}")


def config_hash(config: Config | Mapping[str, Any]) -> str:
    """Return the SHA-256 of everything that decides the outcome; where files lie and are written does not.

    Parameters
    ----------
    config : Config or mapping
        A mapping is a configuration as it was stored, whose fields may be those of an earlier version.

    Examples
    --------
    >>> config_hash(Config()) == config_hash(Config(dataset=DatasetConfig(root="/elsewhere")))
    True
    """
    data = dict(config) if isinstance(config, Mapping) else config.model_dump(mode="json")
    for part, left_out in (("dataset", ("root", "download")), ("training", ("tensorboard",))):
        data[part] = {key: value for key, value in data[part].items() if key not in left_out}
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class _StrictLoader(yaml.SafeLoader):
    """YAML without duplicate keys, in which ``1e-3`` is a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if not isinstance(name, str):
                raise yaml.YAMLError(f"the key {name!r} is not text")
            if name in seen:
                raise yaml.YAMLError(f"the key '{name}' occurs twice")
            seen.add(name)
        return super().construct_mapping(node, deep)


_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def _yaml(text: str, where: str) -> Any:
    try:
        return yaml.load(text, _StrictLoader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError(f"this is not YAML: {' '.join(str(error).split())}", where=where) from None


def read_yaml(path: Path | str) -> dict[str, Any]:
    """Read a YAML file of keys, strictly: no key twice, no key that is not text.

    Raises
    ------
    ConfigError
        If the file is missing or holds something else.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("there is no such file", where=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the file cannot be read ({error})", where=str(path)) from None
    data = _yaml(text, str(path))
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError("the file holds no keys", where=str(path), valid="key: value")
    return data


def _translate(error: ValidationError, model: type[BaseModel], where: str) -> ConfigError:
    """Say in one line what pydantic found first, and how much more there is."""
    found = sorted(error.errors(include_url=False), key=lambda item: item["type"] != "extra_forbidden")
    first = found[0]
    location = first["loc"]
    at = f"{where}: {'.'.join(map(str, location))}" if location else where
    remedy = f"{len(found) - 1} more mistakes follow" if len(found) > 1 else None
    if first["type"] == "extra_forbidden":
        keys = list(_model_at(model, location[:-1]).model_fields)
        return ConfigError(
            f"unknown key '{location[-1]}'{suggest(str(location[-1]), keys)}", where=at, valid=keys, remedy=remedy
        )
    value = first["input"]
    if first["type"] == "literal_error":
        options = [str(option) for option in _options_at(model, location)]
        return ConfigError(
            f"'{value}' is not possible{suggest(str(value), options)}", where=at, valid=options, remedy=remedy
        )
    if first["type"] in ("model_type", "model_attributes_type"):
        return ConfigError(
            f"{value!r} stands where keys are needed", where=at, valid=list(_model_at(model, location).model_fields)
        )
    if first["type"] == "value_error":
        return ConfigError(first["msg"].removeprefix("Value error, "), where=at, remedy=remedy)
    message = first["msg"].removeprefix("Input ").replace("should be", "must be")
    return ConfigError(f"{value!r} is not possible, it {message}", where=at, remedy=remedy)


def _model_at(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel]:
    for key in location:
        annotation = model.model_fields[str(key)].annotation
        assert isinstance(annotation, type) and issubclass(annotation, BaseModel)
        model = annotation
    return model


def _options_at(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[Any, ...]:
    names = [part for part in location if isinstance(part, str)]
    annotation = _model_at(model, tuple(names[:-1])).model_fields[names[-1]].annotation
    if isinstance(location[-1], int):  # an item of a list
        annotation = get_args(annotation)[0]
    return get_args(annotation)
