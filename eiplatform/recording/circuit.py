"""Recording a simulated microcircuit into the store, one shard per seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr

from eiplatform.files import claimed, write_bytes
from eiplatform.microcircuits import Circuit, load, simulate
from eiplatform.microcircuits.changes import Change, over_time
from eiplatform.microcircuits.protocols import Condition, Sink, mean_rate, plan, pulse_onset, run_protocol
from eiplatform.store.memory_writer import MemoryWriter
from eiplatform.store.tree import Recording
from eiplatform.store.writer import RecordingWriter
from eiplatform.store.writers import check_format, make_writer

__all__ = ["check_simulation", "circuit_in_memory", "record_circuit", "record_protocol"]


def check_simulation(
    circuit: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    interventions: Sequence[Change] = (),
    **options: Any,
) -> None:
    """Raise if a simulation with these arguments cannot run here; run nothing.

    Parameters
    ----------
    circuit, parameters, interventions, **options
        As in :func:`record_circuit`.
    """
    model, later, _ = over_time(load(circuit, parameters), interventions, lambda _: 1.0)
    simulate(model, in_memory=False, later=later, **options)  # checks at the call, runs when iterated


def record_circuit(
    circuit: str,
    path: str | Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    interventions: Sequence[Change] = (),
    seeds: Sequence[int] = (1,),
    label: str | None = None,
    store: str = "hdf5",
    overwrite: bool = False,
    progress: Callable[[float, str], None] | None = None,
    **options: Any,
) -> Path:
    """Simulate a circuit and store its currents and spikes.

    Parameters
    ----------
    circuit : str
        Name, see :func:`eiplatform.microcircuits.names`.
    path : str or Path
        Recording directory.
    parameters : mapping, optional
        Parameters that differ from the published ones.
    interventions : sequence of Change
        Of :mod:`eiplatform.interventions`, one after another, from the start to the end, or with ``steps`` in a window
        of recorded steps.  Freezing a population simulates the intact circuit first, for its rate.
    seeds : sequence of int
        One sample of the recording each.
    label : str, optional
        Name in tables and figures; default: the circuit's.
    store : {"hdf5", "zarr"}
        As in :func:`eiplatform.recording.network.record_network`.
    overwrite : bool
        Whether an earlier recording at `path` may be deleted.
    progress : callable, optional
        Called with (fraction, message).
    **options
        Passed to :func:`eiplatform.microcircuits.simulate`: ``duration_ms``, ``warmup_ms``,
        ``record_dt_ms``, ``n_recorded``, ``device``, ``jobs``.
    """
    check_format(store)
    model, later, lesions = _changed(load(circuit, parameters), interventions, seeds, options)
    # Every argument is checked here, before the directory is touched.
    runs = simulate(model, seeds=seeds, in_memory=False, progress=progress, later=later, **options)
    source = _source(model, label or circuit, seeds, options) | lesions
    with make_writer(store, path, source=source, config=model.to_mapping(), overwrite=overwrite) as writer:
        for _, populations in runs:
            writer.append(populations)
    return Path(path)


def circuit_in_memory(
    circuit: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    interventions: Sequence[Change] = (),
    seeds: Sequence[int] = (1,),
    label: str | None = None,
    progress: Callable[[float, str], None] | None = None,
    **options: Any,
) -> Recording:
    """Simulate a circuit and return its recording: the numbers that :func:`record_circuit` would store.

    Parameters
    ----------
    circuit, parameters, interventions, seeds, label, progress, **options
        As of :func:`record_circuit`.
    """
    model, later, lesions = _changed(load(circuit, parameters), interventions, seeds, options)
    runs = simulate(model, seeds=seeds, in_memory=True, progress=progress, later=later, **options)
    source = _source(model, label or circuit, seeds, options) | lesions
    with MemoryWriter(source=source, config=model.to_mapping()) as writer:
        for _, populations in runs:
            writer.append(populations)
    return writer.tree


def _changed(
    circuit: Circuit, interventions: Sequence[Change], seeds: Sequence[int], options: Mapping[str, Any]
) -> tuple[Circuit, list[tuple[int, Circuit]], dict[str, Any]]:
    """Return a circuit under interventions, what it becomes later, and what its manifest says of them."""
    over_time(circuit, interventions, lambda _: 1.0)  # all are checked before the intact circuit is simulated

    def rates(population: str) -> float:
        runs = simulate(circuit, seeds=seeds, in_memory=False, **{**options, "n_recorded": 1})
        return statistics.fmean(mean_rate(populations[population]) for _, populations in runs)

    first, later, lesions = over_time(circuit, interventions, rates)
    return first, later, {"lesions": lesions} if lesions else {}


def _source(model: Circuit, label: str, seeds: Sequence[int], options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": "circuit",
        "label": label,
        "name": model.name,
        "reference": model.reference,
        # A silent network has no CV: JSON knows no NaN.
        "theory": {name: value for name, value in model.theory().items() if math.isfinite(value)},
        "seeds": list(seeds),
        "options": dict(options),
    }


def record_protocol(
    circuit: str,
    path: str | Path,
    protocol: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    target: str | None = None,
    levels: Sequence[float] | None = None,
    freeze: str | None = None,
    seeds: Sequence[int] = (1,),
    overwrite: bool = False,
    progress: Callable[[float, str], None] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Run a protocol on a circuit; store one recording per condition, and the result.

    Parameters
    ----------
    circuit : str
        Name, see :func:`eiplatform.microcircuits.names`.
    path : str or Path
        Directory; the recordings ``<condition>`` and ``protocol.nc`` are made in it.
    protocol : str
        One of :data:`eiplatform.microcircuits.protocols.PROTOCOLS`.
    parameters : mapping, optional
        Parameters that differ from the published ones.
    target, levels, freeze
        As in :func:`eiplatform.microcircuits.protocols.plan`.
    seeds : sequence of int
        The same for every condition.
    overwrite : bool
        Whether an earlier result at `path` may be deleted.
    progress : callable, optional
        Called with (fraction, message).
    **options
        As in :func:`record_circuit`.

    Returns
    -------
    xarray.Dataset
        From :func:`eiplatform.microcircuits.protocols.run_protocol`.
    """
    model = load(circuit, parameters)
    planned = plan(protocol, model, target=target, levels=levels, freeze=freeze)
    # Every argument is checked before the directory is touched.
    simulate(model, seeds=seeds, in_memory=False, **options)
    pulse_onset(planned, model, **options)
    with claimed(Path(path), overwrite=overwrite) as directory:

        @contextmanager
        def keep(condition: Condition, changed: Circuit) -> Iterator[Sink]:
            about = {
                "protocol": protocol,
                "target": planned.target,
                "level": condition.level,
                "frozen": condition.frozen,
            }
            if condition.lesions:
                about["lesions"] = [dict(lesion) for lesion in condition.lesions]
            source = {**_source(changed, condition.name, seeds, options), **about}
            with RecordingWriter(directory / condition.name, source=source, config=changed.to_mapping()) as writer:
                yield writer.append

        result = run_protocol(planned, model, seeds=seeds, keep=keep, progress=progress, **options)
        write_bytes(directory / "protocol.nc", result.to_netcdf(engine="h5netcdf"))
    return result
