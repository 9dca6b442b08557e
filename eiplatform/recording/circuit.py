"""Recording a simulated microcircuit into the store, one shard per seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eiplatform.microcircuits import load, simulate
from eiplatform.store.writer import RecordingWriter

__all__ = ["check_simulation", "record_circuit"]


def check_simulation(circuit: str, *, parameters: Mapping[str, Any] | None = None, **options: Any) -> None:
    """Raise if a simulation with these arguments cannot run here; run nothing.

    Parameters
    ----------
    circuit, parameters, **options
        As in :func:`record_circuit`.
    """
    simulate(load(circuit, parameters), **options)  # checks at the call, runs when iterated


def record_circuit(
    circuit: str,
    path: str | Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    seeds: Sequence[int] = (1,),
    label: str | None = None,
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
    seeds : sequence of int
        One sample of the recording each.
    label : str, optional
        Name in tables and figures; default: the circuit's.
    overwrite : bool
        Whether an earlier recording at `path` may be deleted.
    progress : callable, optional
        Called with (fraction, message).
    **options
        Passed to :func:`eiplatform.microcircuits.simulate`: ``duration_ms``, ``warmup_ms``,
        ``record_dt_ms``, ``n_recorded``, ``device``, ``jobs``.

    Returns
    -------
    Path
    """
    model = load(circuit, parameters)
    # Every argument is checked here, before the directory is touched.
    runs = simulate(model, seeds=seeds, progress=progress, **options)
    source = {
        "kind": "circuit",
        "label": label or circuit,
        "name": circuit,
        "reference": model.reference,
        "theory": model.theory(),
        "seeds": list(seeds),
        "options": options,
    }
    with RecordingWriter(path, source=source, config=model.to_mapping(), overwrite=overwrite) as writer:
        for _, populations in runs:
            writer.append(populations)
    return Path(path)
