"""One training step and one inference of deep networks: the published computation beside ours.

All variants run in one process, each in turn; medians of wall and of processor time.  In its turn a
variant takes one step, whose caches are those that the others left, or with ``--consecutive`` several, as
training does; all but the first count.  A speed-up is the median over the repeats of the ratio of
two turns of the same repeat, with its quartiles: what slows the machine for a while slows both.  It is of
processor time with one thread, else of wall time.  With ``--keep-memory`` the process keeps freed memory,
for all variants; eiplatform's training on a CPU does, the published computation does not.
The published computation is written anew in ``published.py``; before anything is timed, both
sides must compute the same logits and gradients from the same weights in float64.  The peak
memory of each variant is that of a process of its own after three steps (Linux).

Usage: python benchmarks/deep_step.py [--network vgg8|mlp4] [--batch 128] [--repeats 7] [--threads 2]
       [--consecutive 1] [--keep-memory] [--no-memory]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from eiplatform.config import load_config
from eiplatform.memory import keep_memory
from eiplatform.networks import build_network, dale, initialise_network
from eiplatform.networks.kernels.backend import use_backend

sys.path.insert(0, str(Path(__file__).parent))
import published

STEPS, CLASSES = 4, 10
VGG8: tuple[int | str, ...] = (64, "P", 128, "P", 256, "P", 512, "P", 512, "P")
NETWORKS: dict[str, tuple[tuple[int, ...], tuple[int | str, ...]]] = {
    "vgg8": ((3, 32, 32), VGG8),
    "mlp4": ((1, 28, 28), (500, 500, 300)),
}
VARIANTS = (
    *("published ei", "published bn", "ours ei", "ours bn", "ours ei compiled", "ours bn compiled"),
    *("ours ei bf16", "ours bn bf16", "ours ei bf16 compiled"),
)

Run = Callable[[], None]


def batch_of(name: str, size: int) -> tuple[Tensor, Tensor]:
    """Return smooth random images in [0, 1] and labels."""
    shape = NETWORKS[name][0]
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(size, shape[0], shape[1] // 4, shape[2] // 4, generator=generator)
    x = functional.interpolate(coarse, shape[1:], mode="bilinear")
    return x, torch.randint(CLASSES, (size,), generator=generator)


def ours(name: str, circuit: str, x: Tensor) -> nn.Module:
    """Build and initialise a network of ours."""
    architecture = {"vgg8": "vgg8", "mlp4": "mlp"}[name]
    config = load_config(None, [f"network.architecture={architecture}", f"network.layer={circuit}"])
    network = build_network(config, NETWORKS[name][0], CLASSES)
    initialise_network(network, x, torch.Generator().manual_seed(1))
    return network


def theirs(name: str, circuit: str, weights: nn.Module) -> nn.Module:
    """Build the published network with the weights of one of ours."""
    shape, plan = NETWORKS[name]
    poolings = plan.count("P")
    places = (shape[1] >> poolings) * (shape[2] >> poolings) if poolings else 0
    n_in = shape[0] if poolings else shape[0] * shape[1] * shape[2]
    network = published.build(plan, n_in, places, CLASSES, STEPS, circuit)
    published.copy_weights(network, weights)
    return network


def check(name: str, circuit: str, used: str) -> tuple[float, float]:
    """Return the relative difference of the logits and of the gradient, in float64."""
    x, y = batch_of(name, 8)
    network = ours(name, circuit, x)
    other = theirs(name, circuit, network).double()
    network.double()
    with use_backend(used):
        logits = [side(x.double()) for side in (network, other)]
        for side in logits:
            functional.cross_entropy(side, y).backward()
    pairs = published.counterparts(other, network)
    gradients = [torch.cat([p.grad.flatten() for p in side if p.grad is not None]) for side in zip(*pairs, strict=True)]
    return relative(*logits), relative(*gradients)


def relative(a: Tensor, b: Tensor) -> float:
    """Return the norm of the difference relative to that of the second."""
    return float((a - b).detach().norm() / b.detach().norm())


def variant(name: str, label: str, size: int) -> tuple[Run, Run]:
    """Return a training step and an inference."""
    who, circuit, *options = label.split()
    bf16, used = "bf16" in options, "compiled" if "compiled" in options else "eager"
    x, y = batch_of(name, size)
    network = ours(name, circuit, x)
    if who == "published":
        network = theirs(name, circuit, network)
        parameters, momenta = list(network.parameters()), {}

        def update() -> None:
            published.sgd_step(parameters, momenta, 1e-3)
    else:
        # As eiplatform.training does.
        fused = True if used == "compiled" else None
        optimiser = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4, fused=fused)
        dale.attach(optimiser, network)
        update = optimiser.step  # type: ignore[assignment]

    def forward() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return network(x)

    def train() -> None:
        network.train()
        network.zero_grad()
        with use_backend(used):
            functional.cross_entropy(forward().float(), y).backward()
        update()

    def infer() -> None:
        network.eval()
        with torch.no_grad(), use_backend(used):
            forward()

    return train, infer


def timed(run: Run, n: int) -> list[tuple[float, ...]]:
    """Return wall and processor seconds of consecutive runs, of several without the first."""
    gc.collect()
    taken: list[tuple[float, ...]] = []
    for _ in range(n):
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        taken.append((time.perf_counter() - wall, time.process_time() - cpu))
    return taken[1:] or taken


def middle(taken: list[tuple[float, ...]]) -> tuple[float, ...]:
    """Return the medians of wall and of processor seconds."""
    return tuple(map(statistics.median, zip(*taken, strict=True)))


def speed_up(base: list[tuple[float, ...]], turns: list[tuple[float, ...]], threads: int) -> str:
    """Write the median and the quartiles of the ratio, turn by turn."""
    if len(base) < 2:
        return ""
    which = 1 if threads == 1 else 0
    low, median, high = statistics.quantiles([b[which] / t[which] for b, t in zip(base, turns, strict=True)])
    return f"{median:.2f}x ({low:.2f}-{high:.2f})"


def peak_memory(name: str, label: str, size: int, threads: int) -> float:
    """Return the peak resident GB of a process that trains three steps."""
    command = [sys.executable, __file__, "--network", name, "--batch", str(size), "--threads", str(threads)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    result = subprocess.run([*command, "--child", label], capture_output=True, text=True, check=True, env=environment)
    return float(json.loads(result.stdout)) / 2**20


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=sorted(NETWORKS), default="vgg8")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--consecutive", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--keep-memory", action="store_true")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--child", choices=VARIANTS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.child:
        if asked.child.startswith("ours"):
            keep_memory()
        train, _ = variant(asked.network, asked.child, asked.batch)
        for _ in range(3):
            train()
        # ru_maxrss would begin with the size of the process that started this one.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        print(json.dumps(int(status.partition("VmHWM:")[2].split()[0])))
        return
    if asked.keep_memory:
        keep_memory()
    print(f"{asked.network}, batch {asked.batch}, T = {STEPS}, {asked.threads} threads, torch {torch.__version__}")
    for circuit, used in (("ei", "eager"), ("ei", "compiled"), ("bn", "eager")):
        logits, gradients = check(asked.network, circuit, used)
        print(f"published and ours, {circuit}, {used}: logits differ by {logits:.0e}, gradient by {gradients:.0e}")
        if not max(logits, gradients) < 1e-9:
            raise SystemExit("these are not the same computation")
    runs = {label: variant(asked.network, label, asked.batch) for label in asked.variants}
    turns: dict[tuple[str, int], list[tuple[float, ...]]] = {}
    for repeat in range(asked.repeats + 1):
        for label, pair in runs.items():
            for kind, run in enumerate(pair):
                taken = timed(run, asked.consecutive)
                if repeat:
                    turns.setdefault((label, kind), []).append(middle(taken))
    del runs
    header = f"{'':21} | {'step, s':>8} {'(cpu)':>8} {'speed-up':>18} | {'infer, s':>8} {'(cpu)':>8} {'speed-up':>18} |"
    print(header + (" peak, GB" if not asked.no_memory else ""))
    for label in asked.variants:
        parts = []
        for kind in (0, 1):
            wall, cpu = middle(turns[label, kind])
            base = turns.get(("published ei", kind), [])
            parts.append(f"{wall:8.3f} {cpu:8.3f} {speed_up(base, turns[label, kind], asked.threads):>18}")
        memory = "" if asked.no_memory else f" {peak_memory(asked.network, label, asked.batch, asked.threads):8.2f}"
        print(f"{label:21} | {parts[0]} | {parts[1]} |{memory}", flush=True)


if __name__ == "__main__":
    main()
