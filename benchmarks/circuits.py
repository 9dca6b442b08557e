"""Speed and memory of the reference circuits, side by side with NEST where it is importable.

Usage: python benchmarks/circuits.py [--cases pd14-10 brunel ...] [--nest PYTHON] [--store]

Each case runs in an empty cache (build), then again with another seed (cached).  Memory is the sum
over all processes of a run, read every 20 ms.  ``--nest`` names a Python that has `nest` and
`microcircuit`; it runs the same model on one thread.  ``--store`` records each case into a store
instead, for its time and for ten times that: the peak should not grow.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from eiplatform.microcircuits import estimate_memory, load, simulate
from eiplatform.recording.circuit import record_circuit

CASES: dict[str, tuple[str, dict[str, Any], float]] = {
    "pd14-2": ("potjans-diesmann-2014", {"scale": 0.02}, 1_000.0),
    "brunel": ("brunel-2000", {}, 1000.0),
    "pd14-10": ("potjans-diesmann-2014", {"scale": 0.1}, 10_000.0),
    "pd14-20": ("potjans-diesmann-2014", {"scale": 0.2}, 2_000.0),
    "pd14-50": ("potjans-diesmann-2014", {"scale": 0.5}, 1_000.0),
    "pd14-full": ("potjans-diesmann-2014", {}, 1_000.0),
}
"""Circuit, parameters, biological time in ms."""

NEST = Path(__file__).with_name("nest_microcircuit.py")


class Watch(threading.Thread):
    """Largest sum of the resident memory of this process's descendants, in bytes, and this process's CPU time."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._done = threading.Event()

    def run(self) -> None:
        """Watch until stopped."""
        while not self._done.wait(0.02):
            self.peak = max(self.peak, _resident(os.getpid()))

    def stop(self) -> int:
        """Stop watching; return the peak."""
        self._done.set()
        self.join()
        return self.peak


def _resident(root: int) -> int:
    parents: dict[int, list[int]] = {}
    pages: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                pages[int(entry.name)] = int((entry / "statm").read_text().split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    total, pending = 0, [root]
    while pending:
        process = pending.pop()
        total += pages.get(process, 0)
        pending += parents.get(process, [])
    return total * os.sysconf("SC_PAGE_SIZE")


def measure(name: str, parameters: dict[str, Any], duration: float, seed: int) -> dict[str, float]:
    """Return wall seconds per stage, CPU seconds of all child processes and peak memory of one simulation."""
    stages: dict[str, float] = {}
    stage, since = "start", time.perf_counter()

    def progress(fraction: float, message: str) -> None:
        nonlocal stage, since
        now = time.perf_counter()
        stages[stage] = stages.get(stage, 0.0) + now - since
        stage, since = message.rsplit(": ", 1)[1], now

    watch = Watch()
    watch.start()
    begin, cpu = time.perf_counter(), os.times()
    list(simulate(name, parameters=parameters, seeds=(seed,), duration_ms=duration, warmup_ms=0.0, progress=progress))
    wall, after = time.perf_counter() - begin, os.times()
    stages.pop("done", None)
    spent = sum(after[:4]) - sum(cpu[:4])
    return {"wall": wall, "cpu": spent, "peak": float(watch.stop()), **stages}


def store(case: str) -> None:
    """Print the peak memory of recording a case into a store, for its time and ten times that."""
    name, parameters, duration = CASES[case]
    estimate = estimate_memory(load(name, parameters), duration_ms=duration, in_memory=False) / 2**20
    for factor in (1, 10):
        with tempfile.TemporaryDirectory() as folder:
            watch, begin = Watch(), time.perf_counter()
            watch.start()
            out = record_circuit(
                name, Path(folder) / "run", parameters=parameters, duration_ms=factor * duration, warmup_ms=0.0
            )
            peak, wall = watch.stop() / 2**20, time.perf_counter() - begin
            stored = sum(file.stat().st_size for file in out.rglob("*.h5")) / 2**20
        seconds = factor * duration / 1000
        print(
            f"{case}, into a store: {seconds:g} s: {wall:.0f} s, {stored:.0f} MiB stored, memory {peak:.0f} MiB "
            f"(estimate {estimate:.0f})",
            flush=True,
        )


def main() -> None:
    """Print a few lines per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", default=["brunel", "pd14-10", "pd14-20"], choices=list(CASES))
    parser.add_argument("--nest", metavar="PYTHON")
    parser.add_argument("--store", action="store_true")
    arguments = parser.parse_args()
    for case in arguments.cases:
        if arguments.store:
            store(case)
            continue
        name, parameters, duration = CASES[case]
        with tempfile.TemporaryDirectory() as cache:
            os.environ["EIPLATFORM_CACHE"] = cache
            first = measure(name, parameters, 10.0, 1)
            cached = measure(name, parameters, duration, 2)
        seconds = duration / 1000
        estimate = estimate_memory(load(name, parameters), duration_ms=duration)
        print(f"{case}: {seconds:g} s of {load(name, parameters).n_neurons} neurons, load {os.getloadavg()[0]:.1f}")
        print(f"  first build                 {first.get('build', 0.0):8.1f} s")
        factor = cached["simulate"] / seconds
        print(f"  simulation, cached          {cached['simulate']:8.2f} s, real-time factor {factor:.2f}")
        print(f"  everything else, cached     {cached['wall'] - cached['simulate']:8.2f} s")
        print(f"  wall / CPU, cached          {cached['wall']:8.2f} s / {cached['cpu']:.2f} s")
        print(f"  memory, peak of the sum     {cached['peak'] / 2**20:8.0f} MiB (estimate {estimate / 2**20:.0f})")
        if arguments.nest and case.startswith("pd14"):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "spikes.npz"
                command = [
                    arguments.nest,
                    str(NEST),
                    str(parameters.get("scale", 1.0)),
                    str(duration),
                    "0",
                    "1",
                    str(out),
                ]
                environment = {**os.environ, "OMP_NUM_THREADS": "1"}
                watch = Watch()
                watch.start()
                subprocess.run(command, capture_output=True, check=True, env=environment)
                peak = watch.stop()
                with np.load(out) as file:
                    build, simulated = float(file["build_s"]), float(file["simulate_s"])
            factor = simulated / seconds
            print(f"  NEST, one thread            {simulated:8.2f} s, real-time factor {factor:.2f}")
            print(f"  NEST, build and memory      {build:8.2f} s, {peak / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
