"""Good inputs of every kind, small and made here."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from eiplatform.cli import main

__all__ = ["REGISTRY", "make_seeds"]

_ABOUT = {"title": "fuzz", "source": "here", "licence": "none", "citation": "none", "n_classes": 10}
_IDX = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
REGISTRY: dict[str, dict[str, Any]] = {
    "fuzz-idx": _ABOUT
    | {"reader": "idx", "input_shape": [1, 4, 4], "samples": [6, 4], "files": dict.fromkeys(_IDX), "archives": {}},
    "fuzz-cifar": _ABOUT
    | {
        "reader": "cifar",
        "input_shape": [3, 32, 32],
        "samples": [3, 2],
        "folder": "batches",
        "train_files": ["a.bin"],
        "test_files": ["b.bin"],
        "label_bytes": 1,
        "files": {"a.bin": None, "b.bin": None},
        "archives": {"cifar.tar.gz": {"url": "", "sha256": None, "md5": None}},
    },
    "fuzz-tiny": _ABOUT
    | {
        "reader": "tiny-imagenet",
        "input_shape": [3, 64, 64],
        "samples": [2, 1],
        "n_classes": 2,
        "folder": "tiny",
        "files": {},
        "archives": {"tiny.zip": {"url": "", "sha256": None, "md5": None}},
    },
}
"""Data sets like the real ones, of a few images."""


def make_seeds(root: Path) -> None:
    """Write every seed into its own folder below `root`."""
    root.mkdir(parents=True)
    _recording(root / "recording" / "in", complete=True)
    _recording(root / "interrupted" / "in", complete=False)
    _circuit(root / "circuit" / "in")
    _graph(root / "nir")
    for kind in ("packed", "zarr", "results", "checkpoint", "configs", "deepeisnn", "idx", "cifar", "tiny"):
        (root / kind).mkdir()
    _run("pack", root / "recording/in", "--out", root / "packed/in.h5")
    _run("export", "zarr", root / "recording/in", "--out", root / "zarr/in")
    for name, options in {"balance": ("--bootstrap", 10), "traces": (), "distributions": ()}.items():
        _run("analyse", name, root / "recording/in", "--out", root / f"results/{name}.nc", *options)
    reference = Path(__file__).parents[2] / "data" / "reference" / "brunel-2000-C.nc"
    (root / "reference").mkdir()
    shutil.copy(reference, root / "reference" / "in.nc")
    _network(root)
    _configs(root / "configs")
    _images(root)


def _run(*arguments: object) -> None:
    if main([str(argument) for argument in arguments]) != 0:
        raise AssertionError(f"no seed from {arguments}")


def _recording(path: Path, *, complete: bool) -> None:
    from eiplatform.store import RecordingWriter, population_dataset

    random = np.random.default_rng(1)
    spec = {"input": "constant", "warmup": 0}
    source = {"kind": "network", "label": "fuzz", "name": "MLP", "steps": 8, "spec": spec, "lesions": []}
    writer = RecordingWriter(path, source=source, config={"seed": 1, "dataset": {"name": "digits"}})
    for shard in range(2):
        populations = {}
        for name in ("fc1/E", "fc1/I", "readout/E"):
            exc, inh = random.random((2, 3, 8, 4)).astype(np.float32)
            signals = {"current_exc": exc, "current_inh": inh, "current_net": exc - inh, "spikes": exc > 0.7}
            populations[name] = population_dataset(
                signals,
                sample=np.arange(3) + 3 * shard,
                time=np.arange(8),
                neuron=np.arange(4),
                dt=1.0,
                time_units="step",
                current_units="1",
                n_neurons=4,
                role=name[-1],
                sample_coords={"label": np.arange(3)},
            )
        writer.append(populations)
    if complete:
        writer.complete()
    writer.close()


def _circuit(path: Path) -> None:
    from eiplatform.store import RecordingWriter, population_dataset

    random = np.random.default_rng(2)
    source = {"kind": "circuit", "label": "fuzz", "name": "brunel-2000", "theory": {"rate": 10.0}}
    with RecordingWriter(path, source=source, config={"tau_ms": 20.0}) as writer:
        populations = {}
        for name in ("E", "I"):
            exc, inh = random.random((2, 2, 50, 4)).astype(np.float32)
            events = {
                "spike_time": np.sort(random.random((2, 40)) * 50).ravel(),
                "spike_neuron": random.integers(0, 9, 80),
                "spike_sample": np.repeat([1, 2], 40),
            }
            populations[name] = population_dataset(
                {"current_exc": exc, "current_inh": inh, "current_net": exc - inh},
                sample=np.array([1, 2]),
                time=np.arange(50.0),
                neuron=np.arange(4),
                dt=1.0,
                time_units="ms",
                current_units="mV",
                n_neurons=9,
                role=name,
                events=events,
                attrs={"duration": 50.0, "tau_membrane": 20.0, "threshold": 20.0},
            )
        writer.append(populations)


def _graph(folder: Path) -> None:
    """Write a network as NIR, with a loop and a convolution, as the package nir lays it out."""
    import h5py

    random, six = np.random.default_rng(3), np.ones(6)
    lif = {"type": "LIF", "tau": 0.02 * six, "r": 9 * six, "v_leak": 0 * six, "v_threshold": six, "v_reset": 0 * six}
    conv = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1, "input_shape": [4, 4]}
    conv |= {"type": "Conv2d", "weight": random.normal(size=(2, 1, 3, 3)), "bias": np.zeros(2)}
    nodes = {
        "input": {"type": "Input", "shape": [1, 4, 4]},
        "conv": conv,
        "flat": {"type": "Flatten", "start_dim": 0, "end_dim": -1, "input_type": [2, 2, 2]},
        "fc": {"type": "Affine", "weight": random.normal(size=(6, 8)), "bias": np.zeros(6)},
        "lif": lif,
        "loop": {"type": "Linear", "weight": random.normal(size=(6, 6))},
        "output": {"type": "Output", "shape": [6]},
    }
    edges = "input conv,conv flat,flat fc,fc lif,lif loop,loop lif,lif output".split(",")
    folder.mkdir()
    with h5py.File(folder / "in.h5", "w") as file:
        file["version"] = "1.0.8"
        file["node/type"] = "NIRGraph"
        file["node/edges"] = np.array([edge.split() for edge in edges], dtype=h5py.string_dtype())
        for name, fields in nodes.items():
            for key, value in fields.items():
                file[f"node/nodes/{name}/{key}"] = value


def _network(root: Path) -> None:
    """Train a tiny network, and write what public code would have of another."""
    import torch
    from safetensors.torch import save_file

    from eiplatform.config import load_config
    from eiplatform.networks import build_network
    from eiplatform.networks.deepeisnn import to_public
    from eiplatform.networks.deepeisnn_config import to_config

    small = [
        "network.hidden=[4]",
        "training.epochs=1",
        "training.warmup_epochs=0",
        "training.batch_size=256",
        "network.steps=2",
    ]
    _run("train", "--out", root / "checkpoint/in", "--set", *small)
    settings = ["network.hidden=[500]", "network.layer=bn", "network.readout_bias=true", "dataset.name=mnist"]
    config = load_config(None, settings)
    network = build_network(config, (1, 28, 28), 10)
    public, tensors = to_config(config, "fuzz"), to_public(network, config, {})
    folder = root / "deepeisnn/in"
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(public))
    values = {"learning_rate": np.float64(0.1), "seen": np.arange(3)}
    torch.save({"model_state_dict": tensors, "config": public | values}, root / "deepeisnn/in.pth")


def _configs(folder: Path) -> None:
    (folder / "config.yml").write_text(
        "seed: 2\nnetwork: {hidden: [8, 4], steps: 4, neuron: {tau: 2.0}}\ntraining: {epochs: 2, learning_rate: 1e-2}\n"
    )
    (folder / "spec.yml").write_text(
        "populations: ['fc*/E']\nsignals: [current_exc, spikes]\nsamples: [1439, 1440]\nsteps: 3\n"
    )
    (folder / "study.yml").write_text(
        "title: Fuzz\nquestion: Does it read?\naxes: {seed: [1, 2]}\nsteps:\n"
        "  train: {kind: train, over: seed, config: config.yml, set: {seed: '{seed}'}}\n"
        "  record: {kind: record, over: seed, of: train, spec: {samples: 5}, label: 'seed {seed}'}\n"
        "  balance: {kind: analyse, analysis: distributions, inputs: record}\n"
        "  draw: {kind: figure, figure: current_distributions, of: balance}\n"
    )


def _images(root: Path) -> None:
    random = np.random.default_rng(3)
    for part, n in (("train", 6), ("t10k", 4)):
        images, labels = random.integers(0, 256, (n, 4, 4), np.uint8), np.arange(n, dtype=np.uint8)
        header = bytes([0, 0, 8, 3]) + struct.pack(">3I", n, 4, 4)
        (root / f"idx/{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images.tobytes()))
        header = bytes([0, 0, 8, 1]) + struct.pack(">I", n)
        (root / f"idx/{part}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    folder = root / "cifar/batches"
    folder.mkdir()
    for name, n in (("a.bin", 3), ("b.bin", 2)):
        rows = [bytes([k]) + random.integers(0, 256, 3072, np.uint8).tobytes() for k in range(n)]
        (folder / name).write_bytes(b"".join(rows))
    with tarfile.open(root / "cifar/cifar.tar.gz", "w:gz") as archive:
        archive.add(folder, "batches")
    shutil.rmtree(folder)
    _jpegs(root / "tiny", random)


def _jpegs(folder: Path, random: np.random.Generator) -> None:
    import io

    from PIL import Image

    def jpeg() -> bytes:
        content = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8)).save(content, "JPEG")
        return content.getvalue()

    with zipfile.ZipFile(folder / "tiny.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny/wnids.txt", "n01\nn02\n")
        archive.writestr("tiny/val/val_annotations.txt", "val_0.JPEG\tn02\t0\t0\t62\t62\n")
        archive.writestr("tiny/val/images/val_0.JPEG", jpeg())
        for name in ("n01", "n02"):
            archive.writestr(f"tiny/train/{name}/images/{name}_0.JPEG", jpeg())
