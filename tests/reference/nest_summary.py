"""What NEST gives for the microcircuit at 5 %, summarised like our own runs.

``python -m tests.reference.nest_summary`` simulates it again and writes ``nest_summary.json``
(needs tests/frameworks.txt; half a minute).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.microcircuits.potjans_diesmann_2014 import POPULATIONS
from eiplatform.reference import summarise_run
from eiplatform.store.importing.arrays import from_arrays

FILE = Path(__file__).with_suffix(".json")
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "nest_microcircuit.py"
SCALE, DURATION, WARMUP, SEEDS = 0.05, 2000.0, 500.0, (1, 2, 3)
KEYS, VARIABLES = ("spike_time", "spike_neuron", "n_neurons"), ("rate", "lv", "synchrony")


def simulate_nest(seed: int, duration: float, folder: Path) -> xr.Dataset:
    """Return the summary of one run of NEST."""
    out = folder / f"{seed}.npz"
    command = [sys.executable, str(SCRIPT), str(SCALE), str(duration), str(WARMUP), str(seed), str(out)]
    subprocess.run(command, check=True, capture_output=True)
    with np.load(out) as file:
        held = {name: {key: file[f"{name}/{key}"] for key in KEYS} for name in POPULATIONS}
    populations = {}
    for name, (time, neuron, number) in ((name, of.values()) for name, of in held.items()):
        order = np.argsort(neuron, kind="stable")
        trains = np.split(time[order], np.searchsorted(neuron[order], np.arange(1, number)))
        populations[name] = from_arrays(spikes=trains, dt=1.0, duration=duration, population=name)[name].to_dataset()
    return summarise_run(populations)


def stored() -> list[xr.Dataset]:
    """Return the summaries in ``nest_summary.json``, one per seed."""
    runs = json.loads(FILE.read_text())["runs"]
    return [
        xr.Dataset({key: ("population", np.array(values, dtype=float)) for key, values in run.items()}) for run in runs
    ]


def main() -> None:
    """Simulate all seeds and write the file."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [simulate_nest(seed, DURATION, Path(folder)) for seed in SEEDS]
    content: dict[str, Any] = {
        "command": f"benchmarks/nest_microcircuit.py {SCALE} {DURATION} {WARMUP} SEED OUT",
        "versions": {name: version(name) for name in ("nest-simulator", "microcircuit")},
        "populations": list(POPULATIONS),
        "seeds": SEEDS,
        "runs": [
            {key: [None if np.isnan(v) else float(f"{v:.8g}") for v in run[key].values] for key in VARIABLES}
            for run in runs
        ],
    }
    FILE.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
