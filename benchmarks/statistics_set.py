"""What the default set of statistics costs, each and together, on a recording of a network.

A recording of `--gigabytes` (10 layers of 256 neurons, 1000 steps; E and I currents, gain, voltage as float32,
spikes as bool) is made layer by layer, so that only one layer is in memory.  Statistics run in the order of
tables; what several share (spike trains, sums) is paid by the first.  Times are of one process: seconds of wall
clock and of processor (on a busy machine the latter counts), and the share of the aim, 60 s for 2 GB on 2 cores.

Usage: python benchmarks/statistics_set.py [--gigabytes 2.0] [--layers 10] [--draws 1000] [--by-statistic] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.errors import NotApplicableError, TooShortError
from eiplatform.statistics import STATISTICS, summarise
from eiplatform.statistics.kernels import hierarchical_bootstrap
from eiplatform.statistics.population import Population
from eiplatform.store.schema import population_dataset

NEURONS, STEPS, BYTES = 256, 1000, 17
AIM_S, AIM_GB, AIM_LAYERS = 60.0, 2.0, 10


def layer(seed: int, n_samples: int) -> xr.Dataset:
    """Return a layer whose excitation and inhibition share a slow fluctuation and drive the spikes."""
    rng = np.random.default_rng(seed)
    shape = (n_samples, STEPS, NEURONS)
    slow = np.repeat(rng.gamma(2.0, size=(n_samples, STEPS // 10, 1)).astype(np.float32), 10, axis=1)
    exc = slow + rng.random(shape, dtype=np.float32)
    inh = slow + rng.random(shape, dtype=np.float32)
    voltage = exc - inh
    labels = np.arange(n_samples) % 10
    return population_dataset(
        {
            "current_exc": exc,
            "current_inh": inh,
            "gain": 0.5 + rng.random(shape, dtype=np.float32),
            "voltage": voltage,
            "spikes": voltage + 0.05 * slow > 0.7,
        },
        sample=np.arange(n_samples),
        time=np.arange(STEPS),
        neuron=np.arange(NEURONS),
        dt=1.0,
        time_units="step",
        current_units="1",
        n_neurons=NEURONS,
        role="E",
        sample_coords={"label": labels},
        attrs={"threshold": 1.0, "membrane_decay": 0.5, "reset": "soft"},
    )


class Clock:
    """Sums wall and processor seconds by name."""

    def __init__(self) -> None:
        self.spent: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))

    def __call__(self, name: str, run: Callable[[], Any]) -> Any:
        """Run and add the time to `name`."""
        start = np.array([time.perf_counter(), time.process_time()])
        try:
            return run()
        finally:
            self.spent[name] += np.array([time.perf_counter(), time.process_time()]) - start


def each(data: xr.Dataset, clock: Clock, draws: int) -> None:
    """Time the estimate and the bootstrap of every statistic of a layer."""
    population = Population(data, "layer")
    for key, entry in STATISTICS.items():
        if population.missing(entry.needs):
            continue
        try:
            estimate = clock(f"{key} estimate", lambda entry=entry: entry.estimate(population))
        except (TooShortError, NotApplicableError):
            continue
        unit = estimate.kernel
        clock(f"{key} bootstrap", lambda unit=unit: hierarchical_bootstrap([unit], n_bootstrap=draws))


def table(clock: Clock, scale: float, layers: float) -> None:
    """Print times by statistic, most expensive first, scaled to the aim's size."""
    cells = {key: [clock.spent[f"{key} {part}"][1] for part in ("estimate", "bootstrap")] for key in STATISTICS}
    print(f"{'statistic':34} {'estimate s':>11} {'bootstrap s':>12} {'of 60 s':>9}   (processor, all layers)")
    for key, (estimate, bootstrap) in sorted(cells.items(), key=lambda item: -sum(item[1])):
        # A longer recording of as many layers costs more estimates, not more bootstraps.
        share = (estimate * scale + bootstrap * layers) / AIM_S
        print(f"{key:34} {estimate:11.3f} {bootstrap:12.3f} {100 * share:8.1f} %")
    estimates, bootstraps = (sum(cell[k] for cell in cells.values()) for k in (0, 1))
    share = (estimates * scale + bootstraps * layers) / AIM_S
    print(f"{'together':34} {estimates:11.2f} {bootstraps:12.2f} {100 * share:8.1f} %")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=0.2)
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1, help="layers at the same time")
    parser.add_argument("--by-statistic", action="store_true")
    parser.add_argument("--profile", action="store_true")
    chosen = parser.parse_args()
    n_samples = max(1, round(chosen.gigabytes * 1e9 / (chosen.layers * STEPS * NEURONS * BYTES)))
    size = n_samples * chosen.layers * STEPS * NEURONS * BYTES / 1e9
    print(f"{chosen.layers} layers x {NEURONS} neurons x {n_samples} samples x {STEPS} steps: {size:.2f} GB")
    clock, profile = Clock(), cProfile.Profile(time.process_time)
    for start in range(0, chosen.layers, chosen.threads):
        made = [layer(seed, n_samples) for seed in range(start, min(start + chosen.threads, chosen.layers))]
        if chosen.by_statistic:
            for data in made:
                each(data, clock, chosen.draws)
            continue
        if chosen.profile:
            profile.enable()
        if chosen.threads == 1:
            clock("summarise", lambda made=made: summarise(made[0], n_bootstrap=chosen.draws))
        else:
            with ThreadPoolExecutor(chosen.threads) as pool:
                run = lambda data: summarise(data, n_bootstrap=chosen.draws)  # noqa: E731
                clock("summarise", lambda made=made, pool=pool, run=run: list(pool.map(run, made)))
        profile.disable()
    if chosen.by_statistic:
        table(clock, AIM_GB / size, AIM_LAYERS / chosen.layers)
    else:
        wall, processor = clock.spent["summarise"]
        print(f"summarise: {wall:.1f} s of wall clock, {processor:.1f} s of processor")
    if chosen.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    main()
