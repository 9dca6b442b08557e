"""Potjans & Diesmann (2014) in NEST, by the authors' package: an oracle that shares no code and no tables with ours.

Usage: python benchmarks/nest_microcircuit.py SCALE DURATION_MS WARMUP_MS SEED OUT.npz

Needs ``pip install nest-simulator microcircuit`` (GPL; neither is a dependency of eiplatform).  One
thread, Poisson background.  The file holds the spikes of each population after the warm-up,
``<population>/spike_time`` (ms) and ``<population>/spike_neuron``, its size ``<population>/n_neurons``,
and the seconds that building and simulating took.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np


def main(scale: float, duration: float, warmup: float, seed: int, out: Path) -> None:
    """Simulate and write `out`."""
    import nest
    from microcircuit.network import Network
    from microcircuit.network_params import default_net_dict
    from microcircuit.sim_params import default_sim_dict
    from microcircuit.stimulus_params import default_stim_dict

    parameters = {**default_net_dict, "N_scaling": scale, "K_scaling": scale, "bg_input_type": "poisson"}
    with tempfile.TemporaryDirectory() as folder:
        options = {
            **default_sim_dict,
            "rng_seed": seed,
            "local_num_threads": 1,
            "print_time": False,
            "store_metadata": False,
            "rec_dev": [],
            "data_path": f"{folder}/",
        }
        begin = time.perf_counter()
        network = Network(options, parameters, default_stim_dict)
        network.create()
        recorders = nest.Create("spike_recorder", n=len(network.pops))
        for population, recorder in zip(network.pops, recorders, strict=True):
            nest.Connect(population, recorder)
        network.connect()
        built = time.perf_counter()
        nest.Simulate(warmup + duration)
        done = time.perf_counter()
    result: dict[str, object] = {"build_s": built - begin, "simulate_s": done - built}
    for name, population, recorder in zip(parameters["populations"], network.pops, recorders, strict=True):
        events = recorder.events
        times = np.asarray(events["times"]) - warmup
        kept = (times >= 0) & (times < duration)
        result[f"{name}/spike_time"] = times[kept]
        result[f"{name}/spike_neuron"] = np.asarray(events["senders"])[kept] - population[0].global_id
        result[f"{name}/n_neurons"] = len(population)
    np.savez_compressed(out, **result)  # type: ignore[arg-type]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("scale", "duration", "warmup"):
        parser.add_argument(name, type=float)
    parser.add_argument("seed", type=int)
    parser.add_argument("out", type=Path)
    main(**vars(parser.parse_args()))
