"""Make mouse-v1-neuropixels.json from the public files: quantiles ship, the files do not.

The files: folders Neuropixels_data and Synchronization_data/Fano_factor_v1 of the public repository
JavierGalvan9/V1_GLIF_model, commit 9f00cdc.  Put them into one folder.

Usage: python data/measured/mouse_v1_neuropixels.py FOLDER
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

FILES = {
    "OSI_DSI_neuropixels_v4.csv": "78bbdeccead0f38e04a912d81b5e3407f86ecbbac64156ccc73fa6c0391cf669",
    "v1_fano_running_1800ms_spont.npy": "e2f7780194d5f6aefe26acb23d4b14c4164d56b18684e249674da00221d2ccda",
    "v1_fano_running_1800ms_evoked.npy": "fce55fb04b2421b1288f8143fec204df8e063e06536c7913603466760ce4c5a1",
}
CONDITIONS = {"spontaneous": "firing_rate_sp", "drifting gratings": "Ave_Rate(Hz)"}
CLASSES = {"Exc": "E", "PV": "PV", "SST": "SST"}
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
FLOOR_HZ = 0.05
"""Slower units are missed or rejected by spike sorting; they are left out here and in what is compared."""
FEWEST = 30
DRAWS = 10_000
ABOUT = {
    "title": "mouse V1, awake",
    "species": "mouse",
    "area": "primary visual cortex",
    "state": "awake, head-fixed",
    "method": "Neuropixels; E: broad spike, untagged; PV, SST: narrow spike or opto-tagged",
    "source": "Allen Institute for Brain Science, Visual Coding Neuropixels (2019), "
    "portal.brain-map.org/explore/circuits/visual-coding-neuropixels; tables of JavierGalvan9/V1_GLIF_model 9f00cdc",
    "licence": "quantiles of data under the Allen Institute's terms of use, which ask for this citation",
}


def checked(folder: Path) -> dict[str, Path]:
    """Return the files, whose contents must be the very same as ours."""
    found = {name: folder / name for name in FILES}
    for name, path in found.items():
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != FILES[name]:
            sys.exit(f"{path} is missing or is not the file that was used here (SHA-256 {FILES[name]})")
    return found


def rates(path: Path) -> list[dict[str, Any]]:
    """Return one entry per condition, layer and class: quantiles of the rates of single units."""
    groups: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for unit in csv.DictReader(file, delimiter=" "):
            layer, cell = unit["cell_type"].split()
            for condition, column in CONDITIONS.items():
                if cell in CLASSES and unit[column] not in ("", "NA", "nan"):
                    groups[condition, layer, CLASSES[cell]].append(float(unit[column]))
    entries = []
    for (condition, layer, cell), values in sorted(groups.items()):
        all_rates = np.array(values)
        kept = all_rates[all_rates >= FLOOR_HZ]
        if len(kept) < FEWEST:
            continue
        rng = np.random.default_rng(0)
        draws = rng.choice(kept, (DRAWS, len(kept)))
        entries.append(
            {
                **{"statistic": "rate", "condition": condition, "layer": layer, "cell": cell},
                **{"units": "Hz", "n": len(kept), "n_below_floor": int((all_rates < FLOOR_HZ).sum())},
                "quantiles": rounded(dict(zip(QUANTILES, np.quantile(kept, QUANTILES), strict=True))),
                "median_interval": ends(np.median(draws, axis=1)),
                "log_sd": float(np.log(kept).std(ddof=1).round(4)),
                "log_sd_interval": ends(np.log(draws).std(axis=1, ddof=1)),
            }
        )
    return entries


def fano(path: Path, condition: str) -> list[dict[str, Any]]:
    """Return one entry per bin width: quantiles over sessions of the population's Fano factor."""
    table = np.load(path, allow_pickle=False)
    entries: dict[int, dict[str, Any]] = {}
    for width, column in zip(np.logspace(-3, 0, 20) * 1e3, table.T, strict=True):
        values = column[np.isfinite(column)]
        bin_ms = round(width)
        # Two widths round to 1 ms and have one column each; a window of 1.8 s has one bin of 1 s, whose variance is 0.
        if len(values) and values.max() > 0 and bin_ms not in entries:
            entries[bin_ms] = {
                **{"statistic": "synchrony", "condition": condition, "layer": "all layers", "cell": "E"},
                **{"units": "1", "n": len(values), "bin_ms": bin_ms},
                "quantiles": rounded(dict(zip(QUANTILES, np.quantile(values, QUANTILES), strict=True))),
                "mean": float(values.mean().round(4)),
            }
    return list(entries.values())


def rounded(quantiles: dict[float, float]) -> dict[str, float]:
    """Return quantiles with four digits after the point, keyed for JSON."""
    return {f"{share:g}": float(np.round(value, 4)) for share, value in quantiles.items()}


def ends(draws: np.ndarray) -> list[float]:
    """Return the 95 % interval of bootstrap draws."""
    return [float(value) for value in np.quantile(draws, [0.025, 0.975]).round(4)]


def main(folder: str) -> None:
    """Write the file beside this script."""
    files = checked(Path(folder))
    made = {
        **ABOUT,
        "detection_floor_hz": FLOOR_HZ,
        "synchrony_window_ms": 1800,
        "synchrony_neurons": 70,
        "synchrony_note": "pooled spikes of E units while the mouse ran, variance over mean (ddof 0) in windows of "
        "1.8 s; the number of units is not in the files: the authors' model pools 70 (sd 30) beside them",
        "files": FILES,
        "entries": [
            *rates(files["OSI_DSI_neuropixels_v4.csv"]),
            *fano(files["v1_fano_running_1800ms_spont.npy"], "spontaneous"),
            *fano(files["v1_fano_running_1800ms_evoked.npy"], "drifting gratings"),
        ],
    }
    text = json.dumps(made, indent=1)
    Path(__file__).with_name("mouse-v1-neuropixels.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
