"""Runs a case and says what came of it: right, refused, wrong, or a crash."""

from __future__ import annotations

import random
import re
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

import eiplatform
from eiplatform.errors import EIPlatformError
from eiplatform.foreign import ForeignNetwork
from tests.zoo.cases import BATCH, CASES, Case, Net
from tests.zoo.oracle import Seen, Signals, watching
from tests.zoo.untouched import Snapshot, rng_states

__all__ = ["Outcome", "judge", "recorded_right", "tally"]

TOLERANCE = 1e-5
"""Of all that is added and subtracted in a neuron."""


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes
    ----------
    kind : {"right", "refused", "wrong", "crash"}
    why : str
        Of a refusal, its message; of a wrong one, what differs.
    touched : tuple of str
        What of the module was not as before.
    """

    kind: str
    why: str = ""
    touched: tuple[str, ...] = ()


def tally(kinds: Iterable[str]) -> str:
    """Return one line about all outcomes."""
    counts = Counter(kinds)
    return (
        f"zoo: {counts['right']} right, {counts['refused']} refused, {counts['wrong']} wrong, {counts['crash']} crashes"
    )


def seed_all(seed: int) -> None:
    """Start all random numbers anew."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - networks of the zoo use the global generator
    random.seed(seed)


@cache
def judge(name: str) -> Outcome:
    """Return what comes of a case; the network is built twice, so that the oracle has its own."""
    case = CASES[name]
    net = case.made()
    before = [Snapshot.of(net.module)]
    changed: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind, why = _judged(case, net, before, changed)
    except EIPlatformError as error:
        kind, why = "refused", str(error)
        if case.names and not re.search(case.names, why):
            kind, why = "wrong", f"the message does not name what: {why}"
    except Exception as error:  # noqa: BLE001 - a crash is an outcome
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind, why = "crash", f"{type(error).__name__}: {error} ({place.filename.rpartition('/')[2]}:{place.lineno})"
    return Outcome(kind, why, (*changed, *before[-1].changes(net.module)))


def _judged(case: Case, net: Net, before: list[Snapshot], changed: list[str]) -> tuple[str, str]:
    seed_all(11)
    example = net.x(BATCH)
    states = rng_states()
    try:
        network = eiplatform.adapt(net.module, example, **net.options)
    finally:
        changed += ["random numbers, by adapt"] * (rng_states() != states)
    infos = network.populations()
    with_currents = {name for name, info in infos.items() if "current_exc" in info.signals}
    lost = set(net.wants) - with_currents
    if lost:  # asked for, they must be refused by name
        listed = "; ".join(f"{entry.name}: {entry.what}: {entry.why}" for entry in network.probe().missing)
        return "wrong", f"not recorded: {sorted(lost)}; recorded: {sorted(with_currents)}; named as missing: [{listed}]"
    unknown = with_currents - set(net.wants)
    if unknown:
        return "wrong", f"recorded, but of no weights of the oracle: {sorted(unknown)}"
    named = {entry.name for entry in network.probe().missing}
    unnamed = [name for name in net.missing if not any(name in entry for entry in named)]
    if unnamed:
        return "wrong", f"not recorded and not named by the probe: {unnamed} (named: {sorted(named)})"
    changed += before[-1].changes(net.module)
    network.eval()
    before.append(Snapshot.of(net.module))  # evaluation was asked for
    seed_all(7)
    x = net.x(net.batch())
    difference = recorded_right(case, network, x, x.transpose(0, 1) if net.axes == "BT" else x)
    return ("wrong", difference) if difference else ("right", "")


def recorded_right(case: Case, network: ForeignNetwork, x: Tensor, given: Tensor) -> str:
    """Record all signals of `given`, which is `x` as ``run`` takes it; return how they differ from the oracle's.

    `x` has the axes of the module; ``run`` takes time first.
    """
    seed_all(23)
    wanted = {name: frozenset(info.signals) for name, info in network.populations().items()}
    recorded = network.run(given, record=wanted).signals
    return compare(recorded, oracle(case, x))


def oracle(case: Case, x: Tensor) -> dict[str, Signals]:
    """Return the signals of all populations, from a network of its own."""
    fresh = case.made()
    fresh.module.eval()
    batch = x.shape[fresh.axes.index("B")]
    seen = Seen(fresh.module, x, fresh.steps, batch)
    with torch.no_grad(), watching(fresh.module, seen):
        seed_all(23)
        fresh.play(fresh.module, x)
    return {name: compute(seen) for name, compute in fresh.wants.items()}


def compare(recorded: dict[str, dict[str, Any]], expected: dict[str, Signals]) -> str:
    """Return the first difference, empty if there is none."""
    for name, signals in recorded.items():
        if name not in expected:
            continue
        truth = dict(expected[name])
        exc, inh = truth["current_exc"], truth["current_inh"]
        truth["current_net"] = exc - inh
        for side in ("exc", "inh"):
            nothing = torch.zeros_like(exc)
            only_recurrent = f"current_{side}_recurrent" in truth
            truth.setdefault(f"current_{side}_external", nothing if only_recurrent else truth[f"current_{side}"])
            truth.setdefault(f"current_{side}_recurrent", nothing)
        unknown = set(signals) - set(truth) - {"voltage", "drive"}
        if unknown:
            return f"{name}: the oracle does not know {sorted(unknown)}"
        scale = float((exc + inh).abs().max())
        for signal, values in signals.items():
            if signal not in truth:
                continue
            want = truth[signal].double()
            if values.shape[:2] != want.shape[:2] or values.numel() != want.numel():
                return f"{name}/{signal}: shape {tuple(values.shape)}, expected {tuple(want.shape)}"
            found = values.double().reshape(want.shape)
            close = torch.isclose(found, want, rtol=TOLERANCE, atol=TOLERANCE * max(scale, 1e-30))
            if not bool(close.all()):
                worst = (found - want).abs()
                ratio = float(found.mean() / want.mean()) if float(want.mean()) else float("nan")
                at = np.unravel_index(int(worst.argmax()), worst.shape)
                return (
                    f"{name}/{signal}: {int((~close).sum())} of {close.numel()} numbers differ, most at "
                    f"{tuple(int(k) for k in at)}: {float(found[at]):.6g}, expected {float(want[at]):.6g} "
                    f"(mean recorded / expected {ratio:.4g})"
                )
        if scale == 0:
            return f"{name}: no current flows, so that the case shows nothing"
    return ""
