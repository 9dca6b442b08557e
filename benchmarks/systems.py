"""One training step of every trained system, beside plain neurons in the same network.

Fully connected systems are 784-500-500-300-10 (BackEISNN is convolutional: 15C5-P2-40C5-P2-300-10, with plain
neurons beside it), feedback networks 400(F400); random images of 28x28.  Every variant runs in a process of its own:
the least processor and wall time of a step (forward, loss, backward, optimiser, projection), and the peak memory on
top of what the process has before its first step (Linux).

Usage: python benchmarks/systems.py [--batch 128] [--repeats 7] [--threads 1] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from eiplatform.config import Config, load_config
from eiplatform.networks import build_network, dale, initialise_network
from eiplatform.training.losses import balance_loss, task_loss

MLP = ["network.hidden=[500, 500, 300]", "network.steps=4"]
SIGNED = [*MLP, "network.layer=none"]
CONV = ["network.architecture=cnn", "network.channels=[15, P, 40, P]", "network.kernel=5", "network.dense=[300]"]
CONV = [*CONV, "network.steps=4", "network.layer=none"]
BACKEI = ["network.neuron.model=backei", "network.neuron.reset=hard", "network.neuron.tau=1.25"]
BACKEI = [*BACKEI, "network.neuron.threshold=0.5", "network.neuron.surrogate=rectangle", "training.loss=mse"]
STL = ["network.neuron.model=stl", "network.neuron.surrogate=atan"]
BOTH_SIGNS = ["network.neuron.max_spikes=3", "network.neuron.negative_spikes=true"]
LOOP = ["network.architecture=feedback", "network.layer=bn", "network.readout_bias=true", "network.steps=5"]
LOOP = [*LOOP, "network.neuron.threshold=2.0", "network.feedback.decay=0.95"]

VARIANTS = {
    "E-I": MLP,
    "E-I, compiled": [*MLP, "training.backend=compiled"],
    "batch norm": [*MLP, "network.layer=bn"],
    "plain (signed weights)": SIGNED,
    "STL": [*SIGNED, *STL],
    "STL, vote of 10, hard reset, mse": [*SIGNED, *STL, "network.votes=10", "training.loss=mse"]
    + ["network.neuron.reset=hard", "network.neuron.detach_reset=false"],
    "STL on E-I": [*MLP, *STL],
    "circulate-firing, 3 spikes": [*SIGNED, "network.neuron.max_spikes=3"],
    "circulate-firing, both signs": [*SIGNED, *BOTH_SIGNS],
    "learnable surrogate": [*SIGNED, "network.neuron.learn_surrogate=true"],
    "balanced loss": [*SIGNED, "training.balance=0.1"],
    "all three": [*SIGNED, *BOTH_SIGNS, "network.neuron.learn_surrogate=true", "training.balance=0.1"],
    "DANN, T = 1": [*MLP, "network.layer=dann", "network.neuron.model=relu", "network.steps=1"],
    "E-I rates, T = 1": [*MLP, "network.neuron.model=relu", "network.steps=1"],
    "convolutional, plain": [*CONV, "training.loss=mse"],
    "BackEISNN": [*CONV, *BACKEI],
    "400(F400), IDE": LOOP,
    "400(F400), IDE, STL": [*LOOP, "network.neuron.model=stl"],
    "400(F400), SPIDE": [*LOOP, "network.feedback.gradient=spide", "network.feedback.back_steps=100"],
    "400(F400), through time": [*LOOP, "network.feedback.gradient=bptt"],
    "400(F400), E and I, IDE": [*(s for s in LOOP if "circuit" not in s and "bias" not in s), "network.layer=ei"],
}


def step_of(config: Config, batch: int) -> Callable[[], None]:
    """Return a function that takes one training step."""
    network = build_network(config, (1, 28, 28), 10)
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(batch, 1, 28, 28, generator=generator)
    y = torch.randint(10, (batch,), generator=generator)
    initialise_network(network, x, generator)
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-2, momentum=0.9, weight_decay=5e-4)
    dale.attach(optimiser, network)
    part = config.training
    fires = [f"{name}/E" for name, layer in network.named_layers().items() if layer.fires] if part.balance else []
    record = {name: frozenset({"voltage"}) for name in fires}

    def step() -> None:
        optimiser.zero_grad()
        output = network.run(x, record=record)
        loss = task_loss(output.logits, y, part.loss) / batch
        if fires:
            loss = loss + part.balance * balance_loss([output.signals[name]["voltage"] for name in fires]) / batch
        loss.backward()
        optimiser.step()

    return step


def memory(field: str) -> int:
    """Return a size of this process in KiB: VmRSS (now) or VmHWM (peak)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{field}:")[2].split()[0])


def measure(step: Callable[[], None], repeats: int) -> tuple[float, float, float]:
    """Return the least processor and wall milliseconds of a step, and MiB of memory."""
    before = memory("VmRSS")
    step()
    times = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
    cpus, walls = zip(*times, strict=True)
    return min(cpus) * 1e3, min(walls) * 1e3, (memory("VmHWM") - before) / 1024


def child(script: str, arguments: list[str]) -> tuple[float, float, float]:
    """Run one variant in a process of its own; return what it measured."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, script, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if result.returncode:
        sys.exit(result.stderr)
    cpu, wall, mib = json.loads(result.stdout)
    return cpu, wall, mib


def main() -> None:
    """Print the table."""
    from eiplatform.networks.kernels.backend import use_backend

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.child:
        config = load_config(None, VARIANTS[asked.child])
        with use_backend(config.training.backend):
            print(json.dumps(measure(step_of(config, asked.batch), asked.repeats)))
        return
    print(f"batch {asked.batch}, {asked.threads} threads, torch {torch.__version__}")
    print(f"{'':34} | cpu ms | wall ms | MiB")
    options = ["--batch", str(asked.batch), "--repeats", str(asked.repeats), "--threads", str(asked.threads)]
    for name in asked.only:
        cpu, wall, mib = child(__file__, [*options, "--child", name])
        print(f"{name:34} | {cpu:6.1f} | {wall:7.1f} | {mib:5.1f}", flush=True)


if __name__ == "__main__":
    main()
