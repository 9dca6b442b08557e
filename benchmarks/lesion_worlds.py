"""A lesion study stacked and one by one: layers x pathways x doses, with five controls of each.

Both run the same cells of the same network on the same images; processor time and wall time of the runs, without
the construction of the cells and their verification, which are timed separately.

Usage: python benchmarks/lesion_worlds.py TRAINING [--samples 2000] [--doses 6] [--draws 2] [--threads 1]
       [--stacked-only]
"""

from __future__ import annotations

import argparse
import time

import torch

import eiplatform as ei
from eiplatform.front.recording import wanted_of
from eiplatform.lesions.designs.dose_response import DoseResponse
from eiplatform.lesions.engine import Engine

PATHWAYS = ("I->E subtractive", "input->E", "input->I")
CONTROLS = ("random", "mean", "shift", "restored")
DOSES = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0)


def main() -> None:
    """Time both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("training")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--doses", type=int, default=6)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stacked-only", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    network = ei.load(given.training).network
    wanted = wanted_of(network, "test", None, {"samples": given.samples}, None, None, False)
    layers = tuple(network.named_layers())
    design = DoseResponse(
        pathways=PATHWAYS, layers=layers, doses=DOSES[: given.doses], controls=CONTROLS, draws=given.draws
    )
    times = {}
    for stacked in (True,) if given.stacked_only else (True, False):
        engine = Engine(network, wanted.data, wanted.spec, stacked=stacked)
        begun = time.perf_counter(), time.process_time()
        cells = design.cells(engine)
        for one in dict.fromkeys(one for cell in cells for one in cell.interventions):
            engine.verify(one)
        prepared = time.perf_counter(), time.process_time()
        engine.run(cells)
        ended = time.perf_counter(), time.process_time()
        times[stacked] = ended[1] - prepared[1]
        name = "stacked" if stacked else "one by one"
        print(  # noqa: T201
            f"{name}: {len(cells)} cells, made and verified in {prepared[0] - begun[0]:.1f} s, run in "
            f"{ended[0] - prepared[0]:.1f} s ({times[stacked]:.1f} s of processor)"
        )
    if len(times) == 2:
        print(f"ratio of processor times: {times[False] / times[True]:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
