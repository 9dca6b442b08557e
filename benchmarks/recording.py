"""What recording costs: beside the plain forward pass, beside a plain HDF5 write, and in memory.

All variants run in one process, one after the other in turn; medians of wall time and of processor time
(the writing thread included), which others on the machine change less.  Peak memory is that of
a process of its own.

Usage: python benchmarks/recording.py [--network vgg8|mlp4] [--samples 512] [--repeats 5] [--threads 2]
       [--backend eager|compiled] [--shard 500] [--only "moments of all signals" ...] [--no-writing]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch

from eiplatform.config import load_config
from eiplatform.datasets import Split
from eiplatform.networks import Network, build_network, initialise_network
from eiplatform.networks.kernels.backend import BACKENDS, current, use_backend
from eiplatform.recording.estimate import estimate
from eiplatform.recording.network import record_network
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store import RecordingWriter, population_dataset

SHAPES = {"vgg8": (3, 32, 32), "mlp4": (1, 28, 28)}
SPECS = {
    "moments of all signals": {"keep": "moments"},
    "moments of currents and gain": {"keep": "moments", "signals": ("current_*", "gain")},
    "all reductions, 64 neurons": {"keep": ("moments", "covariance", "histogram", "quantiles"), "neurons": 64},
    "raw, 256 E neurons per layer": {"neurons": 256, "populations": "*/E"},
    "raw, 256 E and 256 I neurons": {"neurons": 256},
    "spikes only": {"keep": "spikes-only"},
}


def prepare(name: str, n_samples: int) -> tuple[Network, Split]:
    """Return an initialised network and random images."""
    architecture = {"vgg8": "vgg8", "mlp4": "mlp"}[name]
    config = load_config(None, [f"network.architecture={architecture}"])
    network = build_network(config, SHAPES[name], 10)
    rng = np.random.default_rng(1)
    images = rng.random((n_samples, *SHAPES[name]), dtype=np.float32)
    initialise_network(network, torch.from_numpy(images[:64]), torch.Generator().manual_seed(1))
    return network.eval(), Split(images, rng.integers(10, size=n_samples), np.arange(n_samples))


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Return wall and processor seconds."""
    start, start_processor = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - start_processor


def passes(name: str, n_samples: int, repeats: int, shard: int | None, only: list[str], folder: Path) -> None:
    """Time recordings beside the plain pass."""
    network, data = prepare(name, n_samples)
    x = torch.from_numpy(data.images)

    def plain() -> None:
        with torch.inference_mode():
            for start in range(0, n_samples, 64):
                network.run(x[start : start + 64])

    def record(options: dict[str, object]) -> Callable[[], None]:
        spec = RecordingSpec(shard_samples=shard, batch_samples=64, **options)  # type: ignore[arg-type]

        def run() -> None:
            record_network(network, data, folder / "r", spec, config={}, label="b", overwrite=True)

        return run

    runs: dict[str, Callable[[], None]] = {"plain forward pass": plain} | {k: record(SPECS[k]) for k in only}
    expected = {
        label: estimate(network, data, RecordingSpec(shard_samples=shard, batch_samples=64, **SPECS[label])).seconds  # type: ignore[arg-type]
        for label in only
    }
    found: dict[str, list[tuple[float, float]]] = {label: [] for label in runs}
    for repeat in range(repeats + 1):
        for label, run in runs.items():
            seconds = timed(run)
            if repeat:
                found[label].append(seconds)
    threads = torch.get_num_threads()
    print(f"{name}, {n_samples} samples in shards of {shard or 'default size'}, T = 4, {threads} threads, {current()}")
    print("  wall, processor, predicted")
    base = [statistics.median(column) for column in zip(*found["plain forward pass"], strict=True)]
    for label, all_seconds in found.items():
        wall, processor = (statistics.median(column) for column in zip(*all_seconds, strict=True))
        predicted = f"{expected[label]:7.2f} s" if label in expected else ""
        ratios = wall / base[0], processor / base[1]
        print(f"  {label:30} {wall:7.3f} s {ratios[0]:5.2f}x {processor:7.3f} s {ratios[1]:5.2f}x {predicted}")


def writing(megabytes: int, repeats: int, folder: Path) -> None:
    """Time raw writing beside plain contiguous HDF5 writes of the same bytes."""
    shape = (64, 4, megabytes * 2**20 // (64 * 4 * 4 * 4))
    rng = np.random.default_rng(1)
    names = ("current_exc", "inhibition_div", "gain", "voltage")
    arrays = {name: rng.random(shape, dtype=np.float32) for name in names}

    def dataset(start: int) -> object:
        return population_dataset(
            arrays, sample=np.arange(start, start + 64), time=np.arange(4), neuron=np.arange(shape[2]), dt=1.0,
            time_units="step", current_units="1", n_neurons=shape[2], role="E",
        )  # fmt: skip

    def plain(sync: bool) -> None:
        for shard in range(4):
            with h5py.File(folder / f"plain{shard}.h5", "w") as file:
                for name, values in arrays.items():
                    file.create_dataset(name, data=values)
            if sync:
                handle = os.open(folder / f"plain{shard}.h5", os.O_RDONLY)
                os.fsync(handle)
                os.close(handle)

    def ours() -> None:
        source = {"kind": "network", "name": "b"}
        with RecordingWriter(folder / "w", source=source, config={}, overwrite=True, checked_samples=1) as writer:
            for shard in range(4):
                writer.append({"fc1/E": dataset(64 * shard)})  # type: ignore[dict-item]

    runs = {"plain h5py": lambda: plain(False), "plain h5py, flushed": lambda: plain(True), "RecordingWriter": ours}
    found: dict[str, list[float]] = {label: [] for label in runs}
    for _ in range(repeats):
        for label, run in runs.items():
            found[label].append(timed(run)[0])
            for file in folder.glob("plain*"):
                file.unlink()
            shutil.rmtree(folder / "w", ignore_errors=True)
    print(f"writing 4 shards of {megabytes} MiB (ours: flushed, with checksums and a check of one sample)")
    for label, seconds in found.items():
        print(f"  {label:30} {4 * megabytes / statistics.median(seconds):7.0f} MiB/s")


def memory(threads: int) -> None:
    """Print the peak memory of processes that record 1, 10 and 100 times as many samples."""
    print("peak memory of a process that records MLP-4, 256 neurons raw and moments")
    for times in (1, 10, 100):
        command = [sys.executable, __file__, "--threads", str(threads), "--child", str(200 * times)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"  {200 * times:6} samples {json.loads(done.stdout) / 2**20:7.0f} MiB")


def child(n_samples: int, folder: Path) -> None:
    """Record and print the peak bytes."""
    network, data = prepare("mlp4", 200)
    rows = np.arange(n_samples) % 200
    many = Split(data.images, data.labels[rows], np.arange(n_samples), rows=rows)
    spec = RecordingSpec(neurons=256, keep=("raw", "moments"))
    record_network(network, many, folder / "r", spec, config={}, label="b")
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(json.dumps(int(status.partition("VmHWM:")[2].split()[0]) * 1024))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=sorted(SHAPES), default="vgg8")
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--backend", choices=BACKENDS, default="eager")
    parser.add_argument("--shard", type=int, default=None, help="samples per shard; default: what the spec gives")
    parser.add_argument("--only", nargs="+", choices=SPECS, default=list(SPECS), help="what is recorded")
    parser.add_argument("--no-writing", action="store_true", help="neither writing nor memory")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.child:
            child(asked.child, folder)
            return
        with use_backend(asked.backend):
            passes(asked.network, asked.samples, asked.repeats, asked.shard, asked.only, folder)
        if asked.no_writing:
            return
        writing(64, asked.repeats, folder)
    memory(asked.threads)


if __name__ == "__main__":
    main()
