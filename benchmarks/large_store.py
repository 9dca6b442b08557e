"""Statistics of recordings larger than the memory: time and peak memory of a process of its own.

Writes recordings of ten layers of 256 neurons (E, I, gain, voltage, spikes; labelled samples, membrane
and bias, so that no statistic lacks anything), each of the given size, then runs the analysis ``balance``,
with all statistics that the number of steps allows, on each in a fresh process.

Usage: python benchmarks/large_store.py FOLDER [--gigabytes 0.2 0.5 2] [--steps 4] [--bootstrap 1000] [--keep]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import xarray as xr

from eiplatform.analyses.balance import Balance

LAYERS, NEURONS, SHARD_VALUES = 10, 256, 2**20
BYTES = 4 * 4 + 1 / 8  # per neuron and step: four signals, and a bit


def layer(rng: np.random.Generator, samples: np.ndarray, steps: int) -> xr.Dataset:
    """Return a layer whose images differ in brightness."""
    from eiplatform.store.schema import population_dataset

    shape = (len(samples), steps, NEURONS)
    bright = rng.gamma(4, 0.25, (len(samples), 1, 1)).astype(np.float32)
    exc = bright * (1 + rng.random(shape, dtype=np.float32))
    inh = 0.5 * bright * (1 + rng.random(shape, dtype=np.float32))
    spikes, height = rng.random(shape, dtype=np.float32) < 0.2, rng.random(shape, dtype=np.float32)
    signals = {
        "current_exc": exc,
        "current_inh": inh,
        "gain": 0.5 + rng.random(shape, dtype=np.float32),
        "voltage": np.where(spikes, 1.5 + height, 0.9 * height),
        "spikes": spikes,
    }
    return population_dataset(
        signals, sample=samples, time=np.arange(steps), neuron=np.arange(NEURONS), dt=1.0, time_units="step",
        current_units="1", n_neurons=NEURONS, role="E", sample_coords={"label": samples % 10},
        parameters={"bias": np.zeros(NEURONS, np.float32)},
        attrs={"threshold": 1.0, "membrane_decay": 0.5, "reset": "soft"},
    )  # fmt: skip


def write(path: Path, gigabytes: float, steps: int) -> None:
    """Write a recording of about this size, shard by shard."""
    from eiplatform.store.writer import RecordingWriter

    n_samples = round(gigabytes * 1e9 / (LAYERS * NEURONS * steps * BYTES))
    size = max(1, SHARD_VALUES // (steps * NEURONS))
    rng = np.random.default_rng(1)
    source = {"kind": "network", "name": "synthetic", "label": path.name}
    with RecordingWriter(path, source=source, config={}, overwrite=True, checked_samples=1) as writer:
        for start in range(0, n_samples, size):
            samples = np.arange(start, min(start + size, n_samples))
            writer.append({f"fc{k + 1}/E": layer(rng, samples, steps) for k in range(LAYERS)})


def peak_mib() -> float:
    """Return the most memory this program has held; unlike getrusage's, not that of who started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(path: Path, n_bootstrap: int) -> None:
    """Run the analysis in this process and print what it took."""
    import eiplatform

    tree = eiplatform.open(path)
    before = peak_mib()
    started, cpu = time.perf_counter(), time.process_time()
    result = Balance().run(tree, n_bootstrap=n_bootstrap).data
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = peak_mib()
    n_samples = next(iter(tree.leaves)).sizes["sample"]
    size = sum(file.stat().st_size for file in path.rglob("*.h5")) / 1e9
    print(
        f"{size:6.2f} GB, {n_samples:7d} samples: {wall:7.1f} s wall, {cpu:7.1f} s of CPU, peak {peak:5.0f} MiB "
        f"(opened: {before:.0f}), {int(np.isfinite(result['value']).sum())} values, load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def main() -> None:
    """Write and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.2, 0.5, 2.0])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--bootstrap", type=int, default=1000)
    parser.add_argument("--keep", action="store_true", help="leave the recordings there")
    parser.add_argument("--measure", action="store_true", help="measure the recording FOLDER in this process")
    options = parser.parse_args()
    if options.measure:
        measure(options.folder, options.bootstrap)
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    for gigabytes in options.gigabytes:
        path = options.folder / f"{gigabytes:g}GB-{options.steps}"
        if not (options.keep and path.exists()):
            write(path, gigabytes, options.steps)
        here = [sys.executable, __file__, str(path), "--measure", "--bootstrap", str(options.bootstrap)]
        subprocess.run(here, check=True, env={**os.environ, "TMPDIR": str(options.folder)})
        if not options.keep:
            shutil.rmtree(path)


if __name__ == "__main__":
    main()
