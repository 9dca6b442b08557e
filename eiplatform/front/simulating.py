"""Simulating circuits in Python: ``simulate``, and the protocols that ``eiplatform simulate --protocol`` runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import xarray as xr

from eiplatform.errors import ConfigError, choose
from eiplatform.microcircuits.registry import parameters_of
from eiplatform.progress import stage
from eiplatform.recording.circuit import circuit_in_memory, record_circuit, record_protocol
from eiplatform.store.reader import open_recording
from eiplatform.store.tree import Recording

if TYPE_CHECKING:  # circuits need no torch
    from eiplatform.interventions.intervention import Kind

__all__ = ["run_protocol", "simulate"]


def simulate(
    circuit: str,
    *,
    interventions: Sequence[Kind] = (),
    seeds: int | Sequence[int] = 1,
    path: str | Path | None = None,
    label: str | None = None,
    duration_ms: float = 1000.0,
    warmup_ms: float = 200.0,
    record_dt_ms: float = 1.0,
    neurons: int = 100,
    device: Literal["cpp_standalone", "cython", "numpy"] = "cpp_standalone",
    jobs: int = 1,
    store: Literal["hdf5", "zarr"] = "hdf5",
    overwrite: bool = False,
    quiet: bool = False,
    **parameters: Any,
) -> Recording:
    """Simulate a published cortical circuit in Brian2, into the same kind of recording.

    Parameters
    ----------
    circuit : str
        Name (``ei.list("circuits")``), e.g. ``"brunel-2000"``.
    interventions : sequence of Kind
        What is done to it, e.g. ``[ei.Scale("I->E", 0.8), ei.Add("I", 0.01, unit="mean")]``; the recording says so.
    seeds : int or sequence of int
        Number of realisations (seeds 1, 2, ...), or their seeds; each is one sample.
    path : str or Path, optional
        Write to this directory; default: in memory.
    label : str, optional
        Name in tables and figures; default: the circuit's.
    duration_ms, warmup_ms, record_dt_ms : float
        Recorded time; time before it that is discarded; interval over which currents are averaged, in ms.
    neurons : int
        Neurons per population whose currents are recorded; spikes are recorded of all.
    device : {"cpp_standalone", "cython", "numpy"}
        The first two need a C++ compiler.
    jobs : int
        Realisations simulated at the same time.
    store : {"hdf5", "zarr"}
        With `path`.
    overwrite : bool
        With `path`: replace an earlier recording.
    quiet : bool
        Show no progress.
    **parameters
        Parameters of the circuit that differ from the published ones, e.g. ``state="C"``;
        ``ei.describe("brunel-2000")`` lists them.

    Returns
    -------
    Recording

    Raises
    ------
    UnknownNameError
        For an unknown circuit or parameter.
    ConfigError
        For an impossible value, or if there is not enough memory.
    MissingDependencyError
        If Brian2 is not installed.
    DeviceError
        If the device needs a compiler and there is none.

    Examples
    --------
    >>> import eiplatform as ei
    >>> tree = ei.simulate("brunel-2000", scale=0.02, duration_ms=20, warmup_ms=0, device="numpy", quiet=True)
    >>> dict(tree["E"].sizes)["time"], list(tree)
    (20, ['E', 'I'])
    """
    arguments = [name for name in inspect.signature(simulate).parameters if name not in ("circuit", "parameters")]
    for name in parameters:
        choose(name, [*arguments, *parameters_of(circuit)], "argument", where=f"simulate, {circuit}")
    options: dict[str, Any] = {
        "parameters": parameters,
        "interventions": interventions,
        "seeds": _seeds(seeds),
        "label": label,
        "duration_ms": duration_ms,
        "warmup_ms": warmup_ms,
        "record_dt_ms": record_dt_ms,
        "n_recorded": neurons,
        "device": device,
        "jobs": jobs,
    }
    if path is None and (overwrite or store != "hdf5"):
        raise ConfigError("overwrite and store are for recordings on disk", where="simulate", remedy="path=...")
    with _progress(circuit, quiet) as options["progress"]:
        if path is None:
            return circuit_in_memory(circuit, **options)
        return open_recording(record_circuit(circuit, path, store=store, overwrite=overwrite, **options))


def run_protocol(
    circuit: str,
    protocol: str,
    path: str | Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    seeds: int | Sequence[int] = 1,
    quiet: bool = False,
    **options: Any,
) -> xr.Dataset:
    """Run a protocol on a circuit: a recording per condition, and the rates of all in ``protocol.nc``.

    Parameters
    ----------
    circuit : str
        Name (``ei.list("circuits")``).
    protocol : str
        E.g. ``"perturb-I"``, see :func:`eiplatform.recording.circuit.record_protocol`.
    path : str or Path
        Directory.
    parameters : mapping, optional
        Parameters of the circuit that differ from the published ones.
    seeds : int or sequence of int
        Number of realisations, or their seeds.
    quiet : bool
        Show no progress.
    **options
        Of the protocol (``target``, ``levels``, ``freeze``), and as of :func:`simulate`.
    """
    options["n_recorded"] = options.pop("neurons", 100)
    with _progress(circuit, quiet) as update:
        return record_protocol(
            circuit, path, protocol, parameters=parameters, seeds=_seeds(seeds), progress=update, **options
        )


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    return list(range(1, seeds + 1)) if isinstance(seeds, int) else list(seeds)


@contextmanager
def _progress(circuit: str, quiet: bool) -> Iterator[Callable[[float, str], None]]:
    with stage(f"simulating {circuit}", quiet=quiet) as update:
        yield lambda fraction, message: update(round(1000 * fraction), 1000, message)
