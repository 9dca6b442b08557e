"""Times of the first complete road, each the median of several runs in one process tree.

Usage: python benchmarks/first_light.py [--repeats 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

import eiplatform
from eiplatform.microcircuits import simulate
from eiplatform.statistics import summarise
from eiplatform.store import RecordingWriter, population_dataset


def median_seconds(run: Callable[[], object], repeats: int) -> float:
    """Return the median wall time of `run` after one warm-up."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def recording(path: Path, samples: int, neurons: int) -> tuple[Callable[[], object], Callable[[], object], int]:
    """Return a writer of a recording, a plain h5py write of the same bytes, and the number of bytes."""
    rng = np.random.default_rng(0)
    shape = (samples, 4, neurons)
    inh = rng.random(shape, dtype=np.float32)
    exc = inh + rng.random(shape, dtype=np.float32)
    signals = {"current_exc": exc, "current_inh": inh, "current_net": exc - inh, "spikes": exc > 1.2}
    data = population_dataset(
        signals,
        sample=np.arange(samples),
        time=np.arange(4),
        neuron=np.arange(neurons),
        dt=1.0,
        time_units="step",
        current_units="1",
        n_neurons=neurons,
        role="E",
    )

    def write() -> None:
        with RecordingWriter(path, source={"kind": "network", "name": "b"}, config={}, overwrite=True) as writer:
            writer.append({"fc1/E": data})

    def plain() -> None:
        with h5py.File(path.parent / "plain.h5", "w") as file:
            for name, values in signals.items():
                file.create_dataset(name, data=values)
        with (path.parent / "plain.h5").open("rb+") as handle:
            os.fsync(handle.fileno())

    return write, plain, sum(values.nbytes for values in signals.values())


def main() -> None:
    """Print one line per measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    help_command = [sys.executable, "-c", "from eiplatform.cli import main; main(['--help'])"]
    seconds = median_seconds(lambda: subprocess.run(help_command, capture_output=True, check=True), repeats)
    print(f"eiplatform --help                            {seconds:8.3f} s")
    with tempfile.TemporaryDirectory() as place:
        write, plain, size = recording(Path(place) / "r", 400, 1024)
        ours, theirs = median_seconds(write, repeats), median_seconds(plain, repeats)
        print(f"write a recording of {size / 1e6:.0f} MB, checked, hashed  {ours:8.3f} s")
        print(f"write the same bytes with plain h5py         {theirs:8.3f} s")
        opening = median_seconds(lambda: eiplatform.open(Path(place) / "r"), repeats)
        print(f"open it                                      {opening:8.3f} s")
        tree = eiplatform.open(Path(place) / "r")
        print(f"all its statistics, 1000 draws               {median_seconds(lambda: summarise(tree), repeats):8.3f} s")
    start = time.perf_counter()
    list(simulate("brunel-2000", parameters={"state": "C"}, seeds=[1], duration_ms=1000.0))
    first = time.perf_counter() - start
    again = median_seconds(
        lambda: list(simulate("brunel-2000", parameters={"state": "C"}, seeds=[2], duration_ms=1000.0)), min(3, repeats)
    )
    print(f"Brunel 2000 C, 1.2 s of 12 500 neurons: first {first:7.1f} s, cached {again:6.1f} s")


if __name__ == "__main__":
    main()
