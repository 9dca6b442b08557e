"""One training step of a feedback network, at its equilibrium and through time, by number of steps T.

400(F400) on 784 inputs (Xiao et al. 2021, arXiv 2109.14247), leaky neurons, random images.  Per
gradient and T: the least processor and wall time of a training step, and the peak memory that
a process of its own needs on top of what it has before its first step (Linux).

Usage: python benchmarks/equilibrium.py [--batch 128] [--repeats 5] [--steps 5 10 30 100] [--threads 1]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import torch
from systems import child, measure
from torch.nn import functional

from eiplatform.config import load_config
from eiplatform.networks import build_network, initialise_network

VARIANTS = {
    "ide, fixed-point": ["feedback.solver=fixed-point"],
    "ide, Broyden": ["feedback.solver=broyden"],
    "spide, T_B = 100": ["feedback.gradient=spide", "feedback.back_steps=100"],
    "bptt": ["feedback.gradient=bptt"],
}
NETWORK = ["architecture=feedback", "layer=bn", "readout_bias=true", "neuron.threshold=2.0", "feedback.decay=0.95"]


def step_of(variant: str, steps: int, batch: int) -> Callable[[], None]:
    """Return a function that takes one training step, after a few to warm up."""
    chosen = [f"network.{setting}" for setting in (*NETWORK, f"steps={steps}", *VARIANTS[variant])]
    network = build_network(load_config(None, chosen), (1, 28, 28), 10)
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(batch, 1, 28, 28, generator=generator)
    y = torch.randint(10, (batch,), generator=generator)
    initialise_network(network, x, generator)
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-2, momentum=0.9, weight_decay=5e-4, fused=True)

    def step() -> None:
        optimiser.zero_grad()
        functional.cross_entropy(network.run(x).logits, y).backward()
        optimiser.step()

    return step


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, nargs="+", default=[5, 10, 30, 100])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.child:
        variant, steps = asked.child
        print(json.dumps(measure(step_of(variant, int(steps), asked.batch), asked.repeats)))
        return
    print(f"400(F400), batch {asked.batch}, {asked.threads} threads, torch {torch.__version__}")
    print(f"{'':18} | " + " | ".join(f"T = {steps:<4} cpu ms, wall ms, MiB" for steps in asked.steps))
    options = ["--batch", str(asked.batch), "--repeats", str(asked.repeats), "--threads", str(asked.threads)]
    for variant in VARIANTS:
        cells = []
        for steps in asked.steps:
            cpu, wall, mib = child(__file__, [*options, "--child", variant, str(steps)])
            cells.append(f"         {cpu:7.1f} {wall:8.1f} {mib:5.1f}")
        print(f"{variant:18} | " + " | ".join(cells), flush=True)


if __name__ == "__main__":
    main()
