"""One simulation in a process of its own: ``python -m eiplatform.microcircuits.worker <folder>``.

Brian2 keeps its device in global state, and a process gives its memory back when it ends.  The
folder holds ``job.json``; progress and errors go to standard output, one JSON object per line;
the results are the files ``<population>/<what>`` in its folder ``result``.
"""

from __future__ import annotations

import json
import math
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eiplatform.caches import cache_directory
from eiplatform.ending import end_with_starter
from eiplatform.errors import EIPlatformError
from eiplatform.microcircuits.circuit import Circuit, Model, generator
from eiplatform.microcircuits.compiled import COMPILE_FLAGS, program, run_program, write_edges
from eiplatform.microcircuits.extraction import RawFile, extract
from eiplatform.microcircuits.monitors import Monitors, attach, recorded_neurons

__all__ = ["PIECE_BYTES", "main"]

PIECE_BYTES = 2**26
"""Recorded signals that the devices without a program of their own hold before they write them."""


def _send(**message: Any) -> None:
    sys.__stdout__.write(json.dumps(message) + "\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


def _report(stage: str, fraction: float) -> None:
    _send(stage=stage, fraction=fraction)


def main(folder: Path) -> int:
    """Run the job in `folder`; return the exit status."""
    try:
        job = json.loads((folder / "job.json").read_text())
        circuit: Circuit = getattr(import_module(job["module"]), job["class"]).from_parameters(job["parameters"])
        timing = {key: job[key] for key in ("warmup_ms", "duration_ms", "record_dt_ms")}
        recorded = recorded_neurons(circuit.populations, job["n_recorded"])
        simulate = _run_compiled if job["device"] == "cpp_standalone" else _run_in_process
        raw = simulate(circuit, job, _group_indices(circuit, recorded), folder)
        _report("collect", 0.0)
        extract(circuit, raw, recorded, folder / "result", **timing)
        for file in raw.values():
            file.path.unlink()
    except EIPlatformError as error:
        parts = {"what": error.what, "where": error.where, "valid": error.valid, "remedy": error.alternatives}
        _send(error=type(error).__name__, **parts)
        return error.exit_code
    except Exception:
        _send(error="", what=traceback.format_exc())
        return 1
    return 0


def _group_indices(circuit: Circuit, recorded: Mapping[str, NDArray[np.int32]]) -> dict[str, NDArray[np.int32]]:
    """Return the recorded neurons as indices into the Brian2 groups."""
    groups: dict[str, list[NDArray[np.int32]]] = {}
    for population in circuit.populations:
        groups.setdefault(population.group, []).append(recorded[population.name] + np.int32(population.start))
    return {group: np.concatenate(parts) for group, parts in groups.items()}


def _drive_seed(seed: int) -> int:
    return int(generator(seed, "drive").integers(2**32))


def _run_compiled(
    circuit: Circuit, job: Mapping[str, Any], indices: Mapping[str, NDArray[np.int32]], folder: Path
) -> dict[str, RawFile]:
    built = program(circuit, {group: len(index) for group, index in indices.items()}, _report)
    (folder / "inputs").mkdir()
    _report("connectivity", 0.0)
    for name, edges in circuit.connectivity(job["seed"]):
        write_edges(folder / "inputs", name, edges)
        del edges
    # One step more than asked for, so that the last boundary is recorded.
    total_s = (job["warmup_ms"] + job["duration_ms"] + circuit.dt_ms) * 1e-3
    inputs: dict[str, NDArray[Any]] = {
        "settings": np.array([total_s, job["record_dt_ms"] * 1e-3]),
        "seed": np.array([_drive_seed(job["seed"])], np.uint32),
        **{f"{group}.recorded": index for group, index in indices.items()},
        **circuit.values(job["seed"]),
    }
    return run_program(built, folder, inputs=inputs, report=_report)


def _run_in_process(
    circuit: Circuit, job: Mapping[str, Any], indices: Mapping[str, NDArray[np.int32]], folder: Path
) -> dict[str, RawFile]:
    import brian2

    brian2.prefs.reset_to_defaults()
    brian2.prefs["codegen.target"] = job["device"]
    brian2.prefs["codegen.cpp.extra_compile_args_gcc"] = list(COMPILE_FLAGS)
    if job["device"] == "cython":
        brian2.prefs["codegen.runtime.cython.cache_dir"] = str(cache_directory() / "cython")
    model = circuit.build(circuit.structure())
    _report("connectivity", 0.0)
    for name, edges in circuit.connectivity(job["seed"]):
        synapses = model.synapses[name]
        synapses.connect(i=edges.pre(), j=edges.post)
        for value, array in edges.values.items():
            synapses.variables[value].set_value(array)
        if edges.delay is not None:
            (pathway,) = synapses._pathways
            pathway.variables["delay"].set_value(edges.delay * (circuit.dt_ms * 1e-3))
        del edges
    for name, values in circuit.values(job["seed"]).items():
        model.variable(name).set_value(values)
    monitors = attach(model, circuit.signals, indices, record_dt_ms=job["record_dt_ms"])
    brian2.seed(_drive_seed(job["seed"]))
    network = brian2.Network(*model.groups.values(), *model.synapses.values(), *monitors.all())

    raw = {key: RawFile(folder / key, np.dtype(variable.dtype)) for key, variable in monitors.variables().items()}
    changes, before = {}, circuit
    for start_ms, parameters in job["later"]:
        after = type(circuit).from_parameters(parameters)
        changes[start_ms] = partial(_become, model, before, after, job["seed"])
        before = after
    _run_in_pieces(network, monitors, circuit, job, sum(map(len, indices.values())), raw, changes)
    return raw


def _become(model: Model, before: Circuit, after: Circuit, seed: int) -> None:
    """Set what differs between two circuits; what the simulation has changed stays."""
    old = before.values(seed)
    for name, values in after.values(seed).items():
        if not np.array_equal(old[name], values):
            model.variable(name).set_value(values)
    for name, edges in after.connectivity(seed):
        for value, array in edges.values.items():
            model.synapses[name].variables[value].set_value(array)


def _run_in_pieces(
    network: Any,
    monitors: Monitors,
    circuit: Circuit,
    job: Mapping[str, Any],
    n_recorded: int,
    raw: dict[str, RawFile],
    changes: Mapping[float, Callable[[], None]],
) -> None:
    """Run the network, writing what was recorded and forgetting it again and again; change it on the way."""
    from brian2 import second

    interval, total = job["record_dt_ms"], job["warmup_ms"] + job["duration_ms"]
    length = interval * max(1, PIECE_BYTES // (8 * n_recorded * len(monitors.recorded)))
    n_pieces = math.ceil(total / length - 1e-9)
    begins = sorted({*(piece * length for piece in range(n_pieces)), *(ms for ms in changes if ms < total)})
    for begin_ms, end_ms in zip(begins, [*begins[1:], total + circuit.dt_ms], strict=True):
        # One step more than asked for, so that the last boundary is recorded.
        piece_ms = end_ms - begin_ms
        if begin_ms in changes:
            changes[begin_ms]()

        def report(elapsed: Any, completed: float, start: Any, duration: Any, done: float = begin_ms) -> None:
            _report("simulate", min((done + float(duration / second) * 1e3 * float(completed)) / total, 1.0))

        network.run(piece_ms * 1e-3 * second, report=report, report_period=0.5 * second, namespace={})
        for key, variable in monitors.variables().items():
            with raw[key].path.open("ab") as file:
                file.write(np.ascontiguousarray(variable.get_value()).data)
        monitors.forget()


if __name__ == "__main__":
    # Brian2 goes on without the names of matplotlib, which take as long to import as all the rest of it.
    sys.modules["pylab"] = None  # type: ignore[assignment]
    end_with_starter(Path(sys.argv[1]).parent)
    sys.exit(main(Path(sys.argv[1])))
