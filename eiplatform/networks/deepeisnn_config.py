"""Configurations of the public code of arXiv 2509.23253, translated from and to ours."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from eiplatform.config import Config, NetworkConfig, parse_config
from eiplatform.errors import ConfigError, choose
from eiplatform.networks.kernels.surrogate import SURROGATES

__all__ = ["PublicData", "from_config", "to_config"]


class PublicData(NamedTuple):
    """A data set as the public code feeds it to a network."""

    name: str
    input_shape: tuple[int, ...]
    n_classes: int


_DATA = {
    "MNIST": PublicData("mnist", (1, 28, 28), 10),
    "CIFAR10": PublicData("cifar10", (3, 32, 32), 10),
    "CIFAR100": PublicData("cifar100", (3, 32, 32), 100),
    "CIFAR10DVS": PublicData("cifar10-dvs", (2, 48, 48), 10),
    "DVSGesture": PublicData("dvs-gesture", (2, 48, 48), 11),
    "TinyImageNet200": PublicData("tiny-imagenet", (3, 32, 32), 200),
}
# Of the shape of one of those, for which the public code is trained with another loader; named as torchvision does.
_ALIKE = {"FashionMNIST": PublicData("fashion-mnist", (1, 28, 28), 10)}
_LAYERS = {"EI-SNN": "ei", "BN-SNN": "bn"}
_MLP = {
    2: (500,),
    4: (500, 500, 300),
    6: (500,) * 2 + (300,) * 3,
    8: (500,) * 2 + (300,) * 3 + (100,) * 2,
    12: (500,) * 4 + (300,) * 4 + (100,) * 3,
    16: (500,) * 5 + (300,) * 5 + (100,) * 5,
}
# Public ResNet-152 has 16 blocks in a stage where the literature and we have 36.
_DEPTHS = {"MLP": tuple(_MLP), "VGG": (8, 11, 16, 19), "ResNet": (18, 34, 50, 101)}
_NEURON = {
    "tau": 2.0,
    "surrogate_function": "sigmoid",
    "step_mode": "m",
    "decay_input": False,
    "v_threshold": 1.0,
    "v_reset": None,
    "detach_reset": True,
}
_SURROGATES = ("sigmoid", "atan")
_TRAINING = {
    "epochs": "epochs",
    "batch_size": "batch_size",
    "learning_rate": "learning_rate",
    "init_learning_rate": "warmup_from",
    "momentum": "momentum",
    "weight_decay": "weight_decay",
}


def from_config(public: Mapping[str, Any], names: Collection[str], where: str) -> tuple[Config, PublicData]:
    """Return our configuration and the data set of a public one.

    What `public` does not say of type, architecture and depth is inferred from the tensors'
    `names` (none: it must say all).

    Raises
    ------
    ConfigError, UnknownNameError
        If something is missing, contradicts the names, or has no equal here.
    """
    seen = _seen(names) if names else {}
    for key in ("type", "arch"):
        if key in public and key in seen and public[key] != seen[key]:
            raise ConfigError(
                f"the configuration says {key} {public[key]}, the tensors are of {seen[key]}", where=where
            )
    given = {**seen, **public}
    missing = [key for key in ("type", "arch", "num_layers", "dataset", "T", "neuron") if key not in given]
    if given.get("type") == "EI-SNN" and "ei_ratio" not in given:
        missing.append("ei_ratio")
    if missing:
        raise ConfigError(f"the configuration lacks {', '.join(missing)}", where=where)
    layer = _LAYERS[choose(str(given["type"]), _LAYERS, "type", where=where)]
    arch = choose(str(given["arch"]), _DEPTHS, "arch", where=where)
    known = _DATA | _ALIKE
    data = known[choose(str(given["dataset"]), known, "dataset", where=where)]
    depth = given["num_layers"]
    if depth not in _DEPTHS[arch]:
        raise ConfigError(f"{arch} with {depth} layers does not exist", where=where, valid=map(str, _DEPTHS[arch]))
    network: dict[str, Any] = {"layer": layer, "steps": given["T"], "neuron": _neuron(given["neuron"], where)}
    if layer == "ei":
        network["ei_ratio"] = given["ei_ratio"]
    else:
        network["readout_bias"] = True
    if arch == "MLP":
        if len(data.input_shape) != 3 or "dvs" in data.name:
            raise ConfigError("the public MLP takes no event data", where=where)
        if data.name == "tiny-imagenet":
            data = data._replace(input_shape=(3, 64, 64))
        network |= {"architecture": "mlp", "hidden": list(_MLP[depth])}
    else:
        network["architecture"] = f"{arch.lower()}{depth}"
    if arch == "VGG" and given.get("light_classifier") is not True:
        raise ConfigError(
            "a VGG whose classifier has two hidden layers is not supported", where=where, valid="light_classifier: true"
        )
    training = {ours: public[key] for key, ours in _TRAINING.items() if key in public}
    training["warmup_epochs"] = public.get("warmup_epochs", 0)
    return parse_config({"dataset": {"name": data.name}, "network": network, "training": training}, where=where), data


def to_config(config: Config, where: str) -> dict[str, Any]:
    """Return the public configuration of ours, for a network that was not imported.

    Raises
    ------
    ConfigError
        If the public code has no such network or data set.
    """
    part, training = config.network, config.training
    found = re.fullmatch("(vgg|resnet)([0-9]+)", part.architecture)
    layers = {hidden: depth for depth, hidden in _MLP.items()}
    kinds = {ours: public for public, ours in _LAYERS.items()}
    datasets = {data.name: public for public, data in _DATA.items()}
    depth = int(found[2]) if found else layers.get(part.hidden) if part.architecture == "mlp" else None
    arch = {"vgg": "VGG", "resnet": "ResNet"}[found[1]] if found else "MLP"
    surrogate = part.neuron.surrogate
    alphas = (None, SURROGATES[surrogate].alpha)
    fits = {
        f"architecture {part.architecture}": depth in _DEPTHS[arch],
        f"layers {part.layer}": part.layer in kinds,
        f"dataset {config.dataset.name}": config.dataset.name in datasets,
        f"ei_ratio {part.ei_ratio:g}": part.ei_ratio == int(part.ei_ratio),
        f"surrogate {surrogate}": surrogate in _SURROGATES and part.neuron.alpha in alphas,
        f"width {part.width:g}": part.width == 1,
        "prop": part.prop == NetworkConfig().prop,
        "a readout without bias": part.layer != "bn" or part.readout_bias,
    }
    wrong = [what for what, does in fits.items() if not does]
    if wrong:
        raise ConfigError(f"the public code has no network with {', '.join(wrong)}", where=where)
    public: dict[str, Any] = {"dataset": datasets[config.dataset.name], "type": kinds[part.layer]}
    public |= {"arch": arch, "num_layers": depth, "T": part.steps}
    if part.layer == "ei":
        public["ei_ratio"] = int(part.ei_ratio)
    public |= {"light_classifier": True, "dropout": 0.0} if arch == "VGG" else {}
    public |= {"zero_init_residual": False} if arch == "ResNet" else {}
    public["neuron"] = {
        "tau": part.neuron.tau,
        "surrogate_function": surrogate,
        "v_threshold": part.neuron.threshold,
        "v_reset": None if part.neuron.reset == "soft" else 0.0,
        "detach_reset": part.neuron.detach_reset,
    }
    public |= {key: getattr(training, ours) for key, ours in _TRAINING.items()}
    return public | {"warmup_epochs": training.warmup_epochs, "optimizer": "SGD", "scheduler": "CosALR", "loss": "CE"}


def _neuron(given: Any, where: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ConfigError(f"neuron is {given!r}", where=where, valid="keys and values")
    for key in given:
        choose(str(key), _NEURON, "key", where=f"{where}: neuron")
    values = {**_NEURON, **given}
    if values["decay_input"] is not False or values["step_mode"] != "m":
        raise ConfigError(
            "these neurons are not supported", where=f"{where}: neuron", valid="decay_input: false, step_mode: m"
        )
    if values["v_reset"] not in (None, 0):
        raise ConfigError(f"v_reset is {values['v_reset']}", where=f"{where}: neuron", valid="null (soft), 0 (hard)")
    return {
        "tau": values["tau"],
        "threshold": values["v_threshold"],
        "reset": "soft" if values["v_reset"] is None else "hard",
        "detach_reset": values["detach_reset"],
        "surrogate": choose(str(values["surrogate_function"]), _SURROGATES, "surrogate_function", where=where),
    }


def _seen(names: Collection[str]) -> dict[str, Any]:
    """Infer type, architecture and, if it is one of the known, depth from tensors' names."""
    excitatory = any(name.endswith("weight_ei") for name in names)
    blocks = {match[0] for name in names if (match := re.match(r"layer[1-4]\.[0-9]+\.", name))}
    n_conv = sum(name.endswith((".conv_ee.weight", ".conv.weight")) for name in names)
    n_linear = sum(name.endswith((".weight_ee", ".linear.weight")) for name in names)
    depth: int | None
    if blocks:
        arch = "ResNet"
        bottleneck = any(".conv3." in name for name in names)
        depth = {(8, False): 18, (16, False): 34, (16, True): 50, (33, True): 101}.get((len(blocks), bottleneck))
    elif n_conv:
        arch, depth = "VGG", {5: 8, 8: 11, 13: 16, 16: 19}.get(n_conv)
    else:
        arch, depth = "MLP", n_linear
    found = {"type": "EI-SNN" if excitatory else "BN-SNN", "arch": arch}
    return found if depth is None else {**found, "num_layers": depth}
