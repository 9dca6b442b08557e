"""Checkpoints of the public code: its tensors' names and shapes are written out here by hand."""

import json
import pickle
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from eiplatform import networks
from eiplatform.analyses.lesions import accuracy
from eiplatform.cli import main
from eiplatform.config import load_config
from eiplatform.errors import ConfigError, EIPlatformError
from eiplatform.networks import CheckpointError, lif_step
from eiplatform.networks.deepeisnn import export_checkpoint, import_checkpoint

Tensors = dict[str, Tensor]
CONFIG = {
    "dataset": "MNIST",
    "data_path": "/somewhere",
    "T": 3,
    "ei_ratio": 4,
    "neuron": {"tau": 2.0},
    "epochs": 200,
    "batch_size": 64,
    "loss": "CE",
}


def ei(first: str, norm: str, n_exc: int, inputs: tuple[int, ...], *, conv: bool = False) -> dict[str, tuple[int, ...]]:
    n_inh = n_exc // 4
    exc, inh = ("conv_ee.weight", "conv_ie.weight") if conv else ("weight_ee", "weight_ie")

    def per(n: int) -> tuple[int, ...]:
        return (n, 1, 1) if conv else (1, n)

    return {
        f"{first}.{exc}": (n_exc, *inputs),
        f"{first}.{inh}": (n_inh, *inputs),
        f"{norm}.weight_ei": (n_exc, n_inh),
        f"{norm}.gain_i": per(n_inh),
        f"{norm}.gain_e": per(n_exc),
        f"{norm}.bias": per(n_exc),
    }


def bn(first: str, norm: str, n: int, inputs: tuple[int, ...], *, conv: bool = False) -> dict[str, tuple[int, ...]]:
    linear = {f"{first}.conv.weight": (n, *inputs)} if conv else {f"{first}.linear.weight": (n, *inputs)}
    bias = {} if conv else {f"{first}.linear.bias": (n,)}
    parts = {f"{norm}.bn.{part}": (n,) for part in ("weight", "bias", "running_mean", "running_var")}
    return linear | bias | parts | {f"{norm}.bn.num_batches_tracked": ()}


def mlp(kind: Callable[..., dict[str, tuple[int, ...]]]) -> dict[str, tuple[int, ...]]:
    shapes = kind("layers.2", "layers.3", 500, (784,)) | kind("layers.7", "layers.8", 500, (500,))
    shapes |= kind("layers.12", "layers.13", 300, (500,))
    return shapes | (ei("layers.17", "layers.18", 10, (300,)) if kind is ei else classifier("layers.17", 10, 300))


def classifier(name: str, n: int, n_inputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.linear.weight": (n, n_inputs), f"{name}.linear.bias": (n,)}


def vgg8(kind: Callable[..., dict[str, tuple[int, ...]]], channels: int, places: tuple[int, ...]) -> Any:
    shapes = {}
    for place, (n_in, n) in zip(places, [(channels, 64), (64, 128), (128, 256), (256, 512), (512, 512)], strict=False):
        shapes |= kind(f"layers.{place}", f"layers.{place + 1}", n, (n_in, 3, 3), conv=True)
    last = f"layers.{places[-1]}"
    norm = f"layers.{places[-1] + 1}"
    return shapes | (ei(last, norm, 10, (512,)) if kind is ei else classifier(last, 10, 512))


def resnet18(kind: Callable[..., dict[str, tuple[int, ...]]]) -> dict[str, tuple[int, ...]]:
    norm = "norm" if kind is ei else "bn"
    shapes = kind("conv1", f"{norm}1", 64, (3, 3, 3), conv=True)
    n_in = 64
    for stage, n in enumerate((64, 128, 256, 512), 1):
        for block in (0, 1):
            at = f"layer{stage}.{block}"
            shapes |= kind(f"{at}.conv1", f"{at}.{norm}1", n, (n_in, 3, 3), conv=True)
            shapes |= kind(f"{at}.conv2", f"{at}.{norm}2", n, (n, 3, 3), conv=True)
            if n_in != n:
                shapes |= kind(f"{at}.downsample.0", f"{at}.downsample.1", n, (n_in, 1, 1), conv=True)
            n_in = n
    return shapes | (ei("fc", "final_ei_norm", 10, (512,)) if kind is ei else classifier("fc", 10, 512))


VGG = {"arch": "VGG", "num_layers": 8, "light_classifier": True, "dropout": 0.0, "dataset": "CIFAR10"}
RESNET = {"arch": "ResNet", "num_layers": 18, "zero_init_residual": False, "dataset": "CIFAR10"}
CASES: dict[str, tuple[dict[str, Any], Any, str]] = {
    "ei-mlp": ({"type": "EI-SNN", "arch": "MLP", "num_layers": 4}, mlp(ei), "mlp"),
    "bn-mlp": ({"type": "BN-SNN", "arch": "MLP", "num_layers": 4}, mlp(bn), "mlp"),
    "ei-vgg": ({"type": "EI-SNN", **VGG}, vgg8(ei, 3, (2, 9, 16, 23, 30, 38)), "vgg8"),
    "ei-vgg-events": (
        {"type": "EI-SNN", **VGG, "dataset": "CIFAR10DVS"},
        vgg8(ei, 2, (1, 8, 15, 22, 29, 37)),
        "vgg8",
    ),
    "bn-vgg": ({"type": "BN-SNN", **VGG}, vgg8(bn, 3, (2, 8, 14, 20, 26, 33)), "vgg8"),
    "ei-resnet": ({"type": "EI-SNN", **RESNET}, resnet18(ei), "resnet18"),
    "bn-resnet": ({"type": "BN-SNN", **RESNET}, resnet18(bn), "resnet18"),
}


def tensors_of(case: str, dtype: torch.dtype = torch.float32) -> Tensors:
    generator = torch.Generator().manual_seed(5)
    found = {}
    for name, shape in CASES[case][1].items():
        values = torch.rand(shape, generator=generator, dtype=torch.float64)
        if name.endswith("num_batches_tracked"):
            found[name] = torch.tensor(17)
            continue
        if len(shape) > 1 and values[0].numel() > 1 and "gain" not in name and "bias" not in name:
            values = values / values[0].numel()
        if case.startswith("bn") and not name.endswith("running_var"):
            values = values - 0.4 * values.mean()
        found[name] = values.to(dtype)
    return found


def public_config(case: str, **changes: Any) -> dict[str, Any]:
    return {**CONFIG, **CASES[case][0], **changes}


def write(folder: Path, tensors: Tensors, config: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def spikes_of(drive: Tensor) -> Tensor:
    state, fired = None, []
    for step in drive:
        state, spikes, _ = lif_step(step, state, networks.LIF())
        fired.append(spikes)
    return torch.stack(fired)


@pytest.mark.parametrize("case", sorted(CASES))
def test_round_trip_bit_for_bit(case: str, tmp_path: Path) -> None:
    tensors, config = tensors_of(case), public_config(case)
    source = write(tmp_path / "public", tensors, config)
    network, ours = import_checkpoint(source, tmp_path / "ours.safetensors")
    assert ours.network.architecture == CASES[case][2]
    assert ours.network.layer == case[:2]
    assert (ours.network.steps, ours.training.epochs, ours.training.batch_size) == (3, 200, 64)
    loaded, again = networks.load(tmp_path / "ours.safetensors")
    assert again == ours
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), network.state_dict().values(), strict=True)
    )
    export_checkpoint(tmp_path / "ours.safetensors", tmp_path / "back")
    back = load_file(tmp_path / "back" / "model.safetensors")
    assert set(back) == set(tensors)
    for name, values in tensors.items():
        assert back[name].dtype == values.dtype and torch.equal(back[name], values), name
    assert json.loads((tmp_path / "back" / "config.json").read_text()) == config


def test_logits_of_an_ei_network(tmp_path: Path) -> None:
    t = tensors_of("ei-mlp", torch.float64)
    source = write(tmp_path, t, public_config("ei-mlp"))
    network, _ = import_checkpoint(source, tmp_path / "ours.safetensors")
    images = torch.rand(4, 1, 28, 28, dtype=torch.float64)
    x = images.flatten(1).expand(3, 4, 784)
    for first, norm in ((2, 3), (7, 8), (12, 13), (17, 18)):
        w, n = f"layers.{first}.", f"layers.{norm}."
        graded = x @ t[w + "weight_ie"].T
        net = x @ t[w + "weight_ee"].T - graded @ t[n + "weight_ei"].T
        divisive = (graded * t[n + "gain_i"]) @ t[n + "weight_ei"].T
        x = spikes_of(t[n + "gain_e"] * net / divisive + t[n + "bias"]) if first < 17 else net
        assert first == 17 or 0.05 < x.mean() < 0.95
    torch.testing.assert_close(network.run(images).logits, x.mean(0), rtol=1e-12, atol=1e-14)


def test_logits_of_a_normalised_network_with_its_biases(tmp_path: Path) -> None:
    t = tensors_of("bn-mlp", torch.float64)
    source = write(tmp_path, t, public_config("bn-mlp"))
    network, _ = import_checkpoint(source, tmp_path / "ours.safetensors")
    images = torch.rand(4, 1, 28, 28, dtype=torch.float64)
    x = images.flatten(1).expand(3, 4, 784)
    for first in (2, 7, 12):
        x = nn.functional.linear(x, t[f"layers.{first}.linear.weight"], t[f"layers.{first}.linear.bias"])
        norm = f"layers.{first + 1}.bn."
        parts = [t[norm + part] for part in ("running_mean", "running_var", "weight", "bias")]
        x = spikes_of(nn.functional.batch_norm(x.flatten(0, 1), *parts).unflatten(0, (3, 4)))
        assert 0.05 < x.mean() < 0.95
    expected = nn.functional.linear(x, t["layers.17.linear.weight"], t["layers.17.linear.bias"]).mean(0)
    torch.testing.assert_close(network.run(images).logits, expected, rtol=1e-12, atol=1e-14)


def test_the_readouts_bias_is_told_with_the_recorded_current(tmp_path: Path) -> None:
    source = write(tmp_path, tensors_of("bn-mlp", torch.float64), public_config("bn-mlp"))
    network, _ = import_checkpoint(source, tmp_path / "ours.safetensors")
    output = network.run(torch.rand(2, 1, 28, 28).double(), record={"readout/E": frozenset({"current_net"})})
    bias = torch.tensor(network.populations()["readout/E"].parameters["bias"])
    assert bias.abs().min() > 0
    torch.testing.assert_close(output.signals["readout/E"]["current_net"].mean(0) + bias, output.logits)


def test_accuracy_from_a_recording_counts_the_readouts_bias() -> None:
    readout = xr.Dataset(
        {"current_net": (("sample", "time", "neuron"), np.array([[[1.0, 0.0]], [[3.0, 0.0]]]))},
        coords={"label": ("sample", [1, 0])},
        attrs={"n_neurons": 2},
    )
    assert accuracy(readout)[0] == 0.5
    assert accuracy(readout.assign(bias=("neuron", [0.0, 2.0])))[0] == 1.0


@pytest.mark.parametrize("given", [".", "model.safetensors", "config.json"])
def test_the_pair_is_found_from_either_file(given: str, tmp_path: Path) -> None:
    source = write(tmp_path / "public", tensors_of("ei-mlp"), public_config("ei-mlp"))
    network, _ = import_checkpoint(source / given, tmp_path / "ours.safetensors")
    assert len(network.named_layers()) == 4


def test_what_the_configuration_leaves_out_is_inferred(tmp_path: Path) -> None:
    for case in ("ei-mlp", "bn-vgg", "ei-resnet"):
        config = public_config(case)
        for key in ("type", "arch", "num_layers"):
            del config[key]
        source = write(tmp_path / case, tensors_of(case), config)
        _, ours = import_checkpoint(source, tmp_path / f"{case}.safetensors")
        assert (ours.network.architecture, ours.network.layer) == (CASES[case][2], case[:2])


DEFECTS: dict[str, tuple[Callable[[Tensors], object], str]] = {
    "missing": (lambda t: t.pop("layers.3.gain_i"), r"missing: layers\.3\.gain_i\."),
    "unknown": (lambda t: t.update({"layers.99.extra": torch.ones(1)}), r"unknown: layers\.99\.extra\."),
    "shape": (
        lambda t: t.update({"layers.13.bias": torch.ones(300)}),
        r"wrong shape: layers\.13\.bias \(300,\) instead of \(1, 300\)",
    ),
    "dtype": (
        lambda t: t.update({"layers.13.bias": torch.ones(1, 300).long()}),
        r"wrong dtype: layers\.13\.bias torch\.int64 instead of torch\.float32",
    ),
    "negative": (lambda t: t["layers.2.weight_ie"][3].neg_(), r"negative: layers\.2\.weight_ie\."),
    "infinite": (lambda t: t["layers.8.bias"].fill_(np.inf), r"not finite: layers\.8\.bias\."),
    "all": (
        lambda t: (
            t.pop("layers.3.gain_i"),
            t.update({"layers.99.extra": torch.ones(1), "layers.13.bias": torch.ones(300)}),
            t["layers.2.weight_ie"].neg_(),
        ),
        # Values are looked at only once all tensors fit: before that, nobody knows how many there are.
        r"missing: layers\.3\.gain_i; unknown: layers\.99\.extra; of wrong shape: layers\.13\.bias [^;]*\.\n?$",
    ),
    "values": (
        lambda t: (
            t["layers.8.bias"].fill_(np.inf),
            t["layers.2.weight_ie"].neg_(),
            t["layers.7.weight_ee"].neg_(),
        ),
        r"not finite: layers\.8\.bias; negative: layers\.2\.weight_ie, layers\.7\.weight_ee\.",
    ),
}


@pytest.mark.parametrize("defect", sorted(DEFECTS))
def test_every_defect_is_named(defect: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, message = DEFECTS[defect]
    tensors = tensors_of("ei-mlp")
    spoil(tensors)
    source, out = write(tmp_path, tensors, public_config("ei-mlp")), tmp_path / "ours.safetensors"
    with pytest.raises(CheckpointError, match=message):
        import_checkpoint(source, out)
    assert main(["import", "deepeisnn", str(source), "--out", str(out)]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not out.exists()


def test_a_negative_bias_is_allowed_and_a_negative_variance_is_not(tmp_path: Path) -> None:
    tensors = tensors_of("ei-mlp")
    tensors["layers.3.bias"].neg_()
    import_checkpoint(write(tmp_path / "a", tensors, public_config("ei-mlp")), tmp_path / "a.safetensors")
    tensors = tensors_of("bn-mlp")
    tensors["layers.3.bn.running_var"][0] = -1
    with pytest.raises(CheckpointError, match=r"negative: layers\.3\.bn\.running_var"):
        import_checkpoint(write(tmp_path / "b", tensors, public_config("bn-mlp")), tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    ("case", "changes", "message"),
    [
        ("ei-mlp", {"arch": "Transformer"}, "says arch Transformer, the tensors are of MLP"),
        ("ei-mlp", {"num_layers": 5}, "MLP with 5 layers"),
        ("ei-mlp", {"type": "BN-SNN"}, "says type BN-SNN, the tensors are of EI-SNN"),
        ("ei-mlp", {"dataset": "MNISt"}, "did you mean 'MNIST'"),
        ("ei-mlp", {"num_layers": 2}, "unknown: layers.12.weight_ee, layers.12.weight_ie, layers.13.bias"),
        ("ei-mlp", {"neuron": {"tua": 2.0}}, "did you mean 'tau'"),
        ("ei-mlp", {"neuron": {"decay_input": True}}, "not supported"),
        ("ei-mlp", {"neuron": {"v_reset": -1.0}}, "v_reset is -1.0"),
        ("ei-mlp", {"neuron": {"surrogate_function": "leaky_relu"}}, "unknown surrogate_function"),
        ("ei-mlp", {"T": 0}, "steps"),
        ("bn-vgg", {"light_classifier": False}, "two hidden layers"),
    ],
)
def test_configurations_that_describe_no_network_of_ours(
    case: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    source = write(tmp_path, tensors_of(case), public_config(case, **changes))
    with pytest.raises(EIPlatformError, match=re.escape(message)):
        import_checkpoint(source, tmp_path / "ours.safetensors")


def test_a_configuration_that_says_too_little(tmp_path: Path) -> None:
    config = public_config("ei-mlp")
    del config["T"], config["ei_ratio"]
    with pytest.raises(ConfigError, match="lacks T, ei_ratio"):
        import_checkpoint(write(tmp_path, tensors_of("ei-mlp"), config), tmp_path / "ours.safetensors")


def training_checkpoint(path: Path, **more: Any) -> Path:
    content = {
        "next_epoch": 3,
        "model_state_dict": tensors_of("ei-mlp"),
        "config": public_config("ei-mlp"),
        "best_val_acc": 97.5,
        "rng_state": torch.get_rng_state(),
        "np_rng_state": np.random.get_state(),  # noqa: NPY002 - as the public code saves it
        "py_rng_state": random.getstate(),
    }
    torch.save(content | more, path)
    return path


def test_training_checkpoints_give_the_same(tmp_path: Path) -> None:
    import_checkpoint(training_checkpoint(tmp_path / "ckpt-best.pth"), tmp_path / "a.safetensors")
    import_checkpoint(write(tmp_path, tensors_of("ei-mlp"), public_config("ei-mlp")), tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


class Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> Any:
        return Path.touch, (self.victim,)


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    victim = tmp_path / "victim"
    pickle.loads(pickle.dumps(Malicious(victim)))
    assert victim.exists(), "it must be able to do harm"
    victim.unlink()
    path = training_checkpoint(tmp_path / "evil.pth", extra=Malicious(victim))
    assert main(["import", "deepeisnn", str(path), "--out", str(tmp_path / "o.safetensors")]) == 2
    assert "could run code" in capsys.readouterr().err
    assert not victim.exists() and not (tmp_path / "o.safetensors").exists()


def test_files_that_are_damaged_or_missing(tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(CheckpointError, match="does not exist"):
        import_checkpoint(tmp_path / "nowhere", out)
    source = write(tmp_path / "public", tensors_of("ei-mlp"), public_config("ei-mlp"))
    (source / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes()[:-9])
    with pytest.raises(CheckpointError, match="damaged"):
        import_checkpoint(source, out)
    (tmp_path / "a.pth").write_bytes(training_checkpoint(tmp_path / "b.pth").read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="damaged|refused"):
        import_checkpoint(tmp_path / "a.pth", out)
    torch.save({"weights": torch.ones(1)}, tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match="not a training checkpoint"):
        import_checkpoint(tmp_path / "c.pth", out)
    source = write(tmp_path / "public", tensors_of("ei-mlp"), {})
    (source / "config.json").write_text("{")
    with pytest.raises(EIPlatformError, match=r"config\.json.*JSON"):
        import_checkpoint(source, out)
    assert not out.exists()


def test_our_own_networks_are_exported_where_the_public_code_has_them(tmp_path: Path) -> None:
    changes = ["network.hidden=[500, 500, 300]", "dataset.name=mnist", "network.neuron.reset=hard"]
    config = load_config(None, changes)
    network = networks.build_network(config, (1, 28, 28), 10)
    images = torch.rand(4, 1, 28, 28)
    networks.initialise_network(network, images, torch.Generator().manual_seed(1))
    path = networks.save(tmp_path / "own.safetensors", network, config)
    weights, _ = export_checkpoint(path, tmp_path / "public")
    assert {name: tuple(v.shape) for name, v in load_file(weights).items()} == CASES["ei-mlp"][1]
    back, again = import_checkpoint(tmp_path / "public", tmp_path / "back.safetensors")
    assert again.network == config.network and again.training == config.training
    assert torch.equal(back.run(images).logits, network.run(images).logits)


def test_a_network_trained_on_after_import_keeps_its_function(tmp_path: Path) -> None:
    source = write(tmp_path / "public", tensors_of("bn-mlp", torch.float64), public_config("bn-mlp"))
    path = tmp_path / "ours.safetensors"
    network, config = import_checkpoint(source, path)
    with torch.no_grad():
        network.state_dict()["layers.fc1.norm.running_mean"].add_(0.25)
    description = networks.checkpoint.read_tensors(path, "network")[1]["info"]
    networks.save(path, network, config, **description)
    export_checkpoint(path, tmp_path / "back")
    again, _ = import_checkpoint(tmp_path / "back", tmp_path / "again.safetensors")
    images = torch.rand(4, 1, 28, 28).double()
    assert torch.equal(again.run(images).logits, network.run(images).logits)


@pytest.mark.parametrize(
    ("changes", "shape", "message"),
    [
        (["network.hidden=[20]"], (1, 28, 28), "architecture mlp"),
        (["network.layer=none"], (1, 28, 28), "layers none"),
        (["network.layer=bn"], (1, 28, 28), "a readout without bias"),
        (["network.ei_ratio=2.5"], (1, 28, 28), "ei_ratio 2.5"),
        (["network.neuron.alpha=3.0"], (1, 28, 28), "surrogate sigmoid"),
        (["network.prop.stabilise=false"], (1, 28, 28), "with prop"),
        (["dataset.name=digits"], (1, 28, 28), "dataset digits"),
        ([], (1, 20, 20), "builds another network .*fc1"),
    ],
)
def test_networks_that_the_public_code_lacks(
    changes: list[str], shape: tuple[int, ...], message: str, tmp_path: Path
) -> None:
    config = load_config(None, ["dataset.name=mnist", *changes])
    network = networks.build_network(config, shape, 10)
    networks.initialise_network(network, torch.rand(4, *shape), torch.Generator().manual_seed(1))
    path = networks.save(tmp_path / "own.safetensors", network, config)
    with pytest.raises(ConfigError, match=message):
        export_checkpoint(path, tmp_path / "public")
    assert not (tmp_path / "public").exists()


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "public", tensors_of("ei-mlp"), public_config("ei-mlp"))
    out = tmp_path / "ours.safetensors"
    arguments = ["import", "deepeisnn", str(source), "--out", str(out)]
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["architecture"], told["layer"], told["input_shape"]) == ("mlp", "ei", [1, 28, 28])
    assert main(arguments) == 2
    assert "already exists" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0
    back = ["export", "deepeisnn", str(out), "--out", str(tmp_path / "back")]
    assert main(back) == 0
    assert (tmp_path / "back/model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()
    assert main(back) == 2 and main([*back, "--overwrite"]) == 0
    assert main(["import", "deepeisn", str(source), "--out", str(out)]) == 2
    assert main(["export", "deepeisnn", str(tmp_path / "none.safetensors"), "--out", str(tmp_path / "x")]) == 2
    assert "Traceback" not in capsys.readouterr().err
