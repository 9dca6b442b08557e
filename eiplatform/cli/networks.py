"""Commands that run a network: ``train``, ``record``."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

from eiplatform.cli.options import DataRoot, Download, Flag, Json, Many, Overwrite, Set, assignments

__all__ = ["record", "train"]


def train(
    config: str | None = None,
    *,
    out: Path,
    seed: int | None = None,
    set_: Annotated[list[str] | None, Set] = None,
    record: Path | None = None,
    record_epochs: Annotated[list[float] | None, Many] = None,
    resume: Annotated[bool, Flag] = False,
    overwrite: Overwrite = False,
    data_root: DataRoot = None,
    download: Download = False,
    json: Json = False,
) -> int:
    """Train a network from a configuration; the test images are read once, at the end.

    Parameters
    ----------
    config : str
        Name ('eiplatform list configs'), e.g. digits-mlp, or a YAML file; without it the defaults.
    out : Path
        Directory for checkpoints and metrics.
    seed : int
        Of the initial weights and of everything random; short for --set seed=N.
    set_ : list[str]
        Changes to the configuration, e.g. --set training.epochs=5 network.hidden=[128,128].
    record : Path
        YAML file with what to record while training, into OUT/recording (split: validation unless the file says train).
    record_epochs : list[float]
        After how many epochs (default: 0 and every epoch); 0.5 is the middle of the first.
    resume : bool
        Continue an interrupted run in that directory, to the same final weights.
    """
    from eiplatform.cli.output import print_json, say
    from eiplatform.errors import ConfigError
    from eiplatform.front.training import settings_of, train
    from eiplatform.memory import keep_memory
    from eiplatform.training import describe
    from eiplatform.training.machine import SlowPrecisionWarning, slow_precision
    from eiplatform.training.parallel import is_first

    if record_epochs is not None and record is None:
        raise ConfigError("--record-epochs without --record", where="train", remedy="add --record SPEC.yml")
    where: dict[str, Any] = {"path": out, "resume": resume, "data_root": data_root, "download": download}
    changes = assignments(set_)
    if seed is not None and changes.setdefault("seed", seed) != seed:
        raise ConfigError(
            f"two seeds: --seed {seed} and --set seed={changes['seed']}", where="train", remedy="give one"
        )
    settings = settings_of(config, changes, **where)
    quiet = json or not is_first()
    if not quiet:
        say(f"computing on {describe(settings)}")
        slow = slow_precision(settings)
        if slow is not None:
            say(f"slow: {slow}")
    if settings.training.device == "cpu":
        keep_memory()  # the process is ours
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlowPrecisionWarning)  # it was said above
        run = train(
            settings, **where, overwrite=overwrite, record=record, record_epochs=record_epochs or None, quiet=quiet
        )
    if not is_first():
        return 0
    if json:
        print_json({"out": str(out), "test_accuracy": run.test_accuracy, "best_epoch": run.best_epoch})
    else:
        say(f"test accuracy {100 * run.test_accuracy:.2f} % (epoch {run.best_epoch} was best on validation)")
        say(f"checkpoints and metrics: {out}")
    return 0


def record(
    checkpoint: Path,
    *,
    out: Path,
    spec: Path | None = None,
    populations: Annotated[list[str] | None, Many] = None,
    signals: Annotated[list[str] | None, Many] = None,
    neurons: int | Literal["per-channel"] | None = None,
    samples: int | None = None,
    split: Literal["train", "validation", "test"] | None = None,
    steps: int | None = None,
    input: Literal["constant", "bernoulli", "poisson"] | None = None,
    warmup: int | None = None,
    every: int | None = None,
    keep: Annotated[list[str] | None, Many] = None,
    dtype: Literal["float32", "float16"] | None = None,
    label: str | None = None,
    intervene: Path | None = None,
    null: str | None = None,
    store: Literal["hdf5", "zarr"] = "hdf5",
    budget: str | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    backend: Literal["eager", "compiled"] = "eager",
    dataset: str | None = None,
    data_root: DataRoot = None,
    download: Download = False,
    unfinished: Annotated[bool, Flag] = False,
    dry_run: Annotated[bool, Flag] = False,
    resume: Annotated[bool, Flag] = False,
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Record the currents, gain and spikes of a trained network.

    Started by torchrun, several processes share the work; the recording is the same.

    Parameters
    ----------
    checkpoint : Path
        A .safetensors file, or the directory of a training run.
    out : Path
        Recording directory.
    spec : Path
        YAML file with what to record; the options below override it.
    populations : list[str]
        Names, wildcards or re:EXPRESSION, e.g. --populations 'fc*/E' readout/E.
    signals : list[str]
        Names, wildcards or re:EXPRESSION, e.g. --signals 'current_*' gain spikes.
    neurons : int | str
        That many neurons at random per population, or per-channel (default: all).
    samples : int
        That many samples at random (default: all).
    split : str
        train, validation or test (default).
    steps : int
        Number of time steps; may be longer than in training.
    input : str
        constant: the same image at every step; bernoulli, poisson: each pixel a spike train (default: as trained).
    warmup : int
        Steps that are run first and not kept.
    every : int
        Keep every k-th step.
    keep : list[str]
        raw (default), spikes-only, moments, covariance, histogram, quantiles; several are possible.
    dtype : str
        float32 (default) or float16.
    label : str
        Name of the recording in tables and figures (default: that of OUT; of nulls: network).
    intervene : Path
        YAML list of interventions under which the network runs, e.g. - {kind: Scale, target: I->E subtractive,
        factor: 0.8, layers: fc*} ('eiplatform list interventions').
    null : str
        Record nulls instead, into OUT/KIND-1, ...: reinit:5 (initialised anew), shuffle-weights:5
        (within sign) or shuffle-inputs:5 (pixels); without a number 39, with which a rank can reach p = 0.05.
    store : str
        hdf5 (default): shards, which survive a crash and can be resumed; zarr: one Zarr v3 store.
    budget : str
        Largest size on disk, e.g. 20GB; over it, nothing runs (default: what is free).
    device : str
        cpu or cuda.
    backend : str
        eager (default), or compiled (on a CPU, with a C++ compiler): faster, most of all with --keep moments.
    dataset : str
        Data set that is shown (default: the one that the network was trained on), e.g. fashion-mnist.
    unfinished : bool
        Take the checkpoint of a training that was interrupted or aborted.
    dry_run : bool
        Print what the recording would take, and stop.
    resume : bool
        Go on with an interrupted recording in that directory.
    """
    from eiplatform.cli.output import print_json, say
    from eiplatform.errors import ConfigError
    from eiplatform.front.recording import expected, record
    from eiplatform.front.training import load
    from eiplatform.interventions.intervention import interventions_in
    from eiplatform.training.parallel import join

    given: dict[str, Any] = {
        "populations": populations,
        "signals": signals,
        "neurons": neurons,
        "samples": samples,
        "split": split,
    }
    given |= {"steps": steps, "input": input, "warmup": warmup, "every": every, "keep": keep, "dtype": dtype}
    wanted = {name: value for name, value in given.items() if value is not None}
    wanted |= {"spec": spec, "path": out, "null": null, "store": store, "backend": backend, "device": device}
    wanted |= {"resume": resume, "dataset": dataset, "data_root": data_root, "download": download}
    run = load(checkpoint, unfinished=unfinished)
    if intervene is not None and null is not None:
        raise ConfigError("nulls are recorded intact", where="record --intervene", remedy="leave out --null")
    with join(device) as world, ExitStack() as stack:
        if intervene is not None:
            stack.enter_context(run.network.intervene(*interventions_in(intervene)))
        quiet = json or not world.first
        size = expected(run, **wanted, budget=budget)
        if not quiet:
            say(f"recording {null or 'the network'}: {size}, {backend} backend")
        made = []
        if not dry_run:
            named = label or ("network" if null else None)
            made = record(run, **wanted, label=named, overwrite=overwrite, quiet=quiet)
    if not world.first:
        return 0
    if json and null:
        print_json({"out": str(out), "null": null.partition(":")[0], "recordings": [one.attrs["path"] for one in made]})
    elif json:
        about = {"samples": size.samples, "bytes": size.bytes, "memory": size.memory}
        print_json({"out": None if dry_run else str(out), **about})
    elif not dry_run:
        say(f"{len(made)} recordings: {out}" if null else f"recording: {out}")
        if null:
            say(f"next: eiplatform analyse balance RECORDING --null {out} --out balance.nc")
    return 0
