"""The command that runs a circuit: ``simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from eiplatform.cli.options import Json, Many, Overwrite, Set, assignments

__all__ = ["simulate"]


def simulate(
    circuit: str,
    *,
    out: Path,
    set_: Annotated[list[str] | None, Set] = None,
    intervene: Path | None = None,
    protocol: str | None = None,
    target: str | None = None,
    levels: Annotated[list[float] | None, Many] = None,
    freeze: str | None = None,
    seeds: Annotated[list[int] | None, Many] = None,
    duration_ms: float = 1000.0,
    warmup_ms: float = 200.0,
    record_dt_ms: float = 1.0,
    neurons: int = 100,
    device: str = "cpp_standalone",
    jobs: int = 1,
    store: Literal["hdf5", "zarr"] = "hdf5",
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Simulate a published cortical circuit in Brian2 into the same kind of recording.

    Parameters
    ----------
    circuit : str
        Name of the circuit, e.g. brunel-2000.
    out : Path
        Recording directory.
    set_ : list[str]
        Parameters, e.g. --set state=C j_mv=0.1.
    intervene : Path
        YAML file with a list of interventions, e.g. [{kind: Scale, target: 'I->E', factor: 0.8}]; not with --protocol.
    protocol : str
        spontaneous, step-input, perturb-E, perturb-I, lesion or pulse: one recording per condition, and the
        rates of all in protocol.nc.
    target : str
        The driven population of step-input, the pathway of a lesion, e.g. 'I->E', or the input of a pulse.
    levels : list[float]
        Values of the drive (step-input), changes of it (perturb-E, perturb-I), fractions removed (lesion) or
        lengths in ms (pulse).
    freeze : str
        perturb-E, perturb-I: once more with this population frozen, e.g. --freeze E.
    seeds : list[int]
        One realisation each, e.g. --seeds 1 2 3.
    duration_ms : float
        Recorded time per realisation.
    warmup_ms : float
        Time that is simulated first and discarded.
    record_dt_ms : float
        Interval over which currents are averaged.
    neurons : int
        Neurons per population whose currents are recorded (spikes: all).
    device : str
        cpp_standalone, cython (both need a C++ compiler) or numpy.
    jobs : int
        Realisations simulated at the same time.
    store : str
        hdf5 (default): shards, which survive a crash; zarr: one Zarr v3 store; not with --protocol.
    """
    from eiplatform.cli.output import print_json, say
    from eiplatform.errors import ConfigError, choose
    from eiplatform.front.simulating import run_protocol, simulate
    from eiplatform.microcircuits.registry import parameters_of

    experiment: dict[str, Any] = {"target": target, "levels": levels, "freeze": freeze}
    if protocol is None and any(value is not None for value in experiment.values()):
        named = " and ".join(f"--{key}" for key, value in experiment.items() if value is not None)
        raise ConfigError(f"{named} without a protocol", where="simulate", remedy="add --protocol NAME")
    if protocol is not None and store != "hdf5":
        raise ConfigError(
            f"protocols are not stored as {store}", where="simulate --protocol", remedy="leave out --store"
        )
    if protocol is not None and intervene is not None:
        raise ConfigError(
            "a protocol makes its own interventions", where="simulate --intervene", remedy="leave out --protocol"
        )
    parameters = assignments(set_)
    for name in parameters:
        choose(name, parameters_of(circuit), "parameter", where=f"--set, {circuit}")
    options: dict[str, Any] = {
        "seeds": seeds or 1,
        "overwrite": overwrite,
        "duration_ms": duration_ms,
        "warmup_ms": warmup_ms,
        "record_dt_ms": record_dt_ms,
        "neurons": neurons,
        "device": device,
        "jobs": jobs,
        "quiet": json,
    }
    if protocol is None:
        interventions: list[Any] = []
        if intervene is not None:
            from eiplatform.interventions.intervention import interventions_in

            interventions = interventions_in(intervene)
        simulate(circuit, path=out, store=store, interventions=interventions, **options, **parameters)
    else:
        result = run_protocol(circuit, protocol, out, parameters=parameters, **experiment, **options)
    if json:
        made = {} if protocol is None else {"protocol": protocol, "conditions": result.condition.values.tolist()}
        print_json({"out": str(out), "seeds": seeds or [1], **made})
    elif protocol is None:
        say(f"recording: {out}")
    else:
        _print_responses(result)
        say(f"{result.sizes['condition']} recordings and protocol.nc: {out}")
    return 0


def _print_responses(result: Any) -> None:
    """Print rate and response of every condition and population."""
    from eiplatform.cli.output import print_table

    rows = []
    for condition in result.condition.values:
        for population in result.population.values:
            cell = result.sel(condition=condition, population=population)
            low, mean, high = (float(cell[f"response_{part}"]) for part in ("low", "mean", "high"))
            interval = "" if low != low else f"[{low:+.2f}, {high:+.2f}]"  # not a number with one seed
            rows.append([f"{condition}: {population}", f"{float(cell.rate.mean()):.2f}", f"{mean:+.2f}", interval])
    n_seeds = result.sizes["seed"]
    title = f"{result.attrs['circuit']}, {result.attrs['protocol']}, {n_seeds} seed{'s' if n_seeds != 1 else ''}"
    print_table(title, ["condition", "rate (Hz)", "change (Hz)", f"{result.attrs['confidence']:.0%} interval"], rows)
