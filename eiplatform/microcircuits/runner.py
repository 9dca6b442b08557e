"""Simulate a circuit for one or several seeds and return its recordings in the common schema."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.errors import ConfigError, MissingDependencyError, choose
from eiplatform.memory import available_memory
from eiplatform.microcircuits.circuit import Circuit
from eiplatform.microcircuits.compiled import find_compiler
from eiplatform.microcircuits.memory import estimate_memory, estimate_scratch
from eiplatform.microcircuits.processes import Progress, run_all
from eiplatform.microcircuits.rate_circuit import RateCircuit
from eiplatform.microcircuits.registry import load
from eiplatform.microcircuits.results import datasets

__all__ = ["DEVICES", "simulate"]

DEVICES = ("cpp_standalone", "cython", "numpy")
"""Brian2 devices, fastest first.  The same seed gives the same spikes on each."""


def simulate(
    circuit: str | Circuit,
    *,
    parameters: Mapping[str, Any] | None = None,
    seeds: Sequence[int] = (0,),
    duration_ms: float = 1000.0,
    warmup_ms: float = 200.0,
    record_dt_ms: float = 1.0,
    n_recorded: int = 100,
    device: str = DEVICES[0],
    jobs: int = 1,
    memory_budget: int | None = None,
    in_memory: bool = True,
    progress: Progress | None = None,
    later: Sequence[tuple[int, Circuit]] = (),
) -> Iterator[tuple[int, dict[str, xr.Dataset]]]:
    """Simulate a circuit, once per seed.

    Everything is checked before anything runs.  Each seed runs in a process of its own; a
    stand-alone program is built at the first use and reused afterwards.

    Parameters
    ----------
    circuit : str or Circuit
        Name, or a circuit defined in an importable module.
    parameters : mapping, optional
        Overrides of the published parameters; only with a name.
    seeds : sequence of int
        Different numbers of at least 0; a seed decides connectivity, initial state and
        external input; the recorded neurons are the same for every seed.
    duration_ms : float
        Recorded time, a multiple of `record_dt_ms`.
    warmup_ms : float
        Time simulated before the recording starts, a multiple of `record_dt_ms`.
    record_dt_ms : float
        Recording interval, a multiple of the circuit's time step.  Currents are exact means over
        each interval; the voltage is its value at the start of the interval.
    n_recorded : int
        Neurons per population whose currents and voltage are recorded, drawn at random; spikes
        are recorded of all.
    device : {"cpp_standalone", "cython", "numpy"}
        Circuits of rates need none.
    jobs : int
        Simulations at the same time, each on one thread.
    memory_budget : int, optional
        Bytes that all simulations together may take; default: what the machine has available.
    in_memory : bool
        If false, values are read from files whenever they are used, so that memory does not grow with
        the duration; the files exist until the next seed is asked for.
    progress : callable, optional
        Takes the completed fraction of everything (0 to 1) and a message.  It is called from
        worker threads, one call at a time.
    later : sequence of (int, Circuit)
        What the circuit becomes from recorded steps (of `record_dt_ms`, after the warm-up) on: the same neurons and
        synapses with other strengths and drives.  Not with the device ``cpp_standalone``.

    Yields
    ------
    seed : int
        In the order of `seeds`.
    populations : dict of str to xarray.Dataset
        One dataset of the recording schema per population, with one sample whose id is the seed
        and whose time starts at 0 after the warm-up.

    Raises
    ------
    UnknownNameError
        For an unknown circuit, parameter or device.
    ConfigError
        For an impossible value, or if the estimated memory exceeds the budget.
    DeviceError
        If the device needs a compiler and there is none, or compiling fails.
    MissingDependencyError
        If Brian2 is not installed.

    Examples
    --------
    >>> runs = simulate("brunel-2000", parameters={"scale": 0.02}, duration_ms=20, warmup_ms=0, device="numpy")
    >>> seed, populations = next(runs)
    >>> dict(populations["E"].sizes)["time"], sorted(populations)
    (20, ['E', 'I'])
    """
    chosen = _circuit(circuit, parameters)
    seeds = _checked_seeds(seeds)
    choose(device, DEVICES, "device")
    _check_times(chosen.dt_ms, duration_ms, warmup_ms, record_dt_ms)
    for name, value in (("n_recorded", n_recorded), ("jobs", jobs)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"{value!r} is not possible", where=name, valid="a positive integer")
    n_steps = round(duration_ms / record_dt_ms)
    for step, _ in later:
        if not 0 <= step <= n_steps:
            raise ConfigError(f"step {step} is not recorded", where="steps", valid=f"0 to {n_steps}")
    if isinstance(chosen, RateCircuit):
        return _integrated(chosen, seeds, duration_ms, warmup_ms, record_dt_ms, n_recorded, later)
    _check_brian2()
    if later:
        _check_later(chosen, [one for _, one in later], device, seeds[0])
    if device != "numpy":
        find_compiler(device)
    jobs = min(jobs, len(seeds))
    needed = jobs * estimate_memory(
        chosen,
        duration_ms=duration_ms + warmup_ms,
        record_dt_ms=record_dt_ms,
        n_recorded=n_recorded,
        device=device,
        in_memory=in_memory,
    )
    allowed = available_memory() if memory_budget is None else memory_budget
    if needed > allowed:
        raise ConfigError(
            f"the simulation needs about {needed / 2**30:.1f} GiB, and {allowed / 2**30:.1f} GiB may be used",
            where=chosen.name,
            remedy="run fewer jobs at once, a smaller circuit, a shorter time or a longer recording interval",
        )
    _check_scratch(jobs * estimate_scratch(chosen, duration_ms + warmup_ms, record_dt_ms, n_recorded))
    job = {
        "module": type(chosen).__module__,
        "class": type(chosen).__qualname__,
        "parameters": chosen.to_mapping(),
        "duration_ms": float(duration_ms),
        "warmup_ms": float(warmup_ms),
        "record_dt_ms": float(record_dt_ms),
        "n_recorded": n_recorded,
        "device": device,
        "later": [(warmup_ms + step * record_dt_ms, one.to_mapping()) for step, one in later],
    }
    return _recordings(chosen, job, seeds, jobs, in_memory, progress)


def _recordings(
    circuit: Circuit,
    job: Mapping[str, Any],
    seeds: Sequence[int],
    jobs: int,
    in_memory: bool,
    progress: Progress | None,
) -> Iterator[tuple[int, dict[str, xr.Dataset]]]:
    for seed, result in run_all(job, seeds, jobs=jobs, name=circuit.name, progress=progress):
        found = datasets(circuit, job, seed, result)
        yield seed, {name: data.load() if in_memory else data for name, data in found.items()}


def _check_later(circuit: Circuit, later: Sequence[Circuit], device: str, seed: int) -> None:
    """Refuse where a circuit cannot change while it runs."""
    if device == "cpp_standalone":
        raise ConfigError(
            "a stand-alone program cannot change a circuit while it runs",
            where="steps",
            valid="device='cython' or 'numpy', or the whole simulation",
        )
    for one in later:
        alike = zip(circuit.connectivity(seed), one.connectivity(seed), strict=True)
        if one.structure() != circuit.structure() or not all(
            np.array_equal(old.pre(), new.pre()) and np.array_equal(old.post, new.post) for (_, old), (_, new) in alike
        ):
            raise ConfigError(
                "synapses that are there or not cannot change while the circuit runs",
                where=circuit.name,
                valid="Scale, Add and Freeze in a window of steps; Silence of a part from the start",
            )


def _integrated(
    circuit: RateCircuit,
    seeds: Sequence[int],
    duration: float,
    warmup: float,
    dt: float,
    n: int,
    later: Sequence[tuple[int, Circuit]],
) -> Iterator[tuple[int, dict[str, xr.Dataset]]]:
    if len(seeds) > 1:
        raise ConfigError(
            f"nothing in this circuit is random: {len(seeds)} seeds would give one and the same recording",
            where=circuit.name,
            valid="one seed",
        )
    return circuit.recordings(
        seeds[0], duration_ms=duration, warmup_ms=warmup, record_dt_ms=dt, n_recorded=n, later=later
    )


def _circuit(circuit: str | Circuit, parameters: Mapping[str, Any] | None) -> Circuit:
    if isinstance(circuit, str):
        return load(circuit, parameters)
    if parameters is not None:
        raise ConfigError("a circuit object already has its parameters", where="parameters")
    if type(circuit).__module__ == "__main__" or "<locals>" in type(circuit).__qualname__:
        raise ConfigError(
            "simulations run in processes of their own and cannot find this class",
            where=type(circuit).__qualname__,
            remedy="define it at the top level of an importable module",
        )
    return circuit


def _checked_seeds(seeds: Sequence[int]) -> list[int]:
    checked = list(seeds)
    if any(
        isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32 for seed in checked
    ):
        raise ConfigError(f"{checked} are not all possible", where="seeds", valid="integers from 0 to 2**32 - 1")
    if not checked or len(set(checked)) != len(checked):
        raise ConfigError(f"{checked} are empty or repeat a seed", where="seeds", valid="different integers")
    return [int(seed) for seed in checked]


def _check_times(dt_ms: float, duration_ms: float, warmup_ms: float, record_dt_ms: float) -> None:
    for name, value, unit, least in (
        ("record_dt_ms", record_dt_ms, dt_ms, 1),
        ("duration_ms", duration_ms, record_dt_ms, 1),
        ("warmup_ms", warmup_ms, record_dt_ms, 0),
    ):
        what = "the circuit's time step" if name == "record_dt_ms" else "record_dt_ms"
        if not isinstance(value, int | float) or not np.isfinite(value):
            raise ConfigError(f"{value!r} is not possible", where=name, valid="a number of milliseconds")
        multiple = round(value / unit)
        if multiple < least or abs(value / unit - multiple) > 1e-6:
            raise ConfigError(
                f"{value} ms is not possible",
                where=name,
                valid=f"a whole multiple of {what}, which is {unit:g} ms" + (", above 0" if least else ", or 0"),
            )


def _check_scratch(needed: int) -> None:
    place = tempfile.gettempdir()
    free = shutil.disk_usage(place).free
    if needed > free:
        raise ConfigError(
            f"the simulation writes about {needed / 2**30:.1f} GiB of temporary files, and {free / 2**30:.1f} are free",
            where=place,
            remedy="name a folder with more space in the environment variable TMPDIR, or run fewer jobs at once, "
            "a shorter time or a longer recording interval",
        )


def _check_brian2() -> None:
    if find_spec("brian2") is None:
        raise MissingDependencyError(
            "simulating a circuit needs Brian2, which is not installed", remedy="pip install 'eiplatform[simulate]'"
        )
    old = tuple(int(part) for part in version("brian2").split(".")[:2]) < (2, 10)
    if old and tuple(int(part) for part in version("numpy").split(".")[:2]) >= (2, 4):
        raise MissingDependencyError(
            f"Brian2 {version('brian2')} does not work with numpy {version('numpy')}",
            remedy="pip install 'numpy<2.4'",
        )
