"""Commands that exchange networks with other code: ``import``, ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from eiplatform.cli.options import Flag, Many

__all__ = ["export", "import_"]


def import_(
    source: Literal["deepeisnn"],
    path: Path,
    *,
    out: Path,
    dataset: str | None = None,
    overwrite: Annotated[bool, Flag] = False,
    json: Annotated[bool, Flag] = False,
) -> int:
    """Turn a checkpoint of other code into one of eiplatform; no code in it is run.

    Parameters
    ----------
    source : str
        deepeisnn: the public code of arXiv 2509.23253.
    path : Path
        Directory of model.safetensors and config.json, one of the two, or the .pth of a training run.
    out : Path
        Checkpoint to write, *.safetensors.
    dataset : str
        What it was trained on, where its configuration names another data set of the same shape, e.g. fashion-mnist.
    overwrite : bool
        Replace an earlier file.
    json : bool
        Print JSON.
    """
    from eiplatform.cli.output import print_json, say
    from eiplatform.errors import OutputExistsError
    from eiplatform.networks.deepeisnn import import_checkpoint

    if out.is_dir() or (out.exists() and not overwrite):
        raise OutputExistsError("already exists", where=str(out), remedy=("choose another path", "pass overwrite=True"))
    network, config = import_checkpoint(path, out, dataset=dataset)
    part = config.network
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    if json:
        told = {"out": str(out), "architecture": part.architecture, "layer": part.layer, "parameters": n_parameters}
        print_json({**told, "dataset": config.dataset.name, "input_shape": network.input_shape})
    else:
        shape = "x".join(map(str, network.input_shape))
        say(f"{part.architecture}, layers {part.layer}, {config.dataset.name} ({shape}), {n_parameters:,} parameters")
        say(f"checkpoint: {out}")
    return 0


def export(
    target: Literal["deepeisnn", "nwb", "sonata", "zarr", "csv"],
    source: Path,
    *,
    out: Path,
    ms_per_step: float | None = None,
    populations: Annotated[list[str] | None, Many] = None,
    signals: Annotated[list[str] | None, Many] = None,
    samples: Annotated[list[int] | None, Many] = None,
    neurons: Annotated[list[int] | None, Many] = None,
    partial: Annotated[bool, Flag] = False,
    overwrite: Annotated[bool, Flag] = False,
    json: Annotated[bool, Flag] = False,
) -> int:
    """Write a checkpoint or a recording as other programs read it.

    Parameters
    ----------
    target : str
        deepeisnn: a checkpoint as model.safetensors and config.json of the public code of arXiv 2509.23253.
        A recording as nwb (spikes as units, signals as time series), sonata (spikes and reports),
        zarr (version 3, for xarray) or csv (one value a row).
    source : Path
        A .safetensors file of eiplatform; a recording, packed or not.
    out : Path
        Directory (deepeisnn, sonata, zarr) or file (nwb, csv).
    ms_per_step : float
        nwb, sonata: what a step of a network is taken to last.
    populations : list[str]
        nwb, sonata, csv: names or wildcards, e.g. 'fc*/E'.
    signals : list[str]
        nwb, sonata, csv: names or wildcards, e.g. 'current_*' spikes.
    samples : list[int]
        nwb, sonata, csv: ids of samples.
    neurons : list[int]
        csv: indices of neurons.
    partial : bool
        Recordings: what is complete of an interrupted or damaged one (exit status 3).
    overwrite : bool
        Replace an earlier result of eiplatform.
    json : bool
        Print JSON.
    """
    from eiplatform.cli.output import print_json, say
    from eiplatform.errors import ConfigError
    from eiplatform.progress import stage

    options = {
        "ms_per_step": ms_per_step,
        "populations": populations,
        "signals": signals,
        "samples": samples,
        "neurons": neurons,
        "partial": partial,
    }
    if target != "deepeisnn":
        import eiplatform
        from eiplatform.store.export import export_recording

        with stage(f"writing {target}", quiet=json) as update:
            made = export_recording(target, source, out, overwrite=overwrite, progress=update, **options)
        about = eiplatform.open(source, partial=partial).attrs
        if json:
            print_json({"out": str(made), "complete": about["complete"]})
        else:
            say(str(made))
            if not about["complete"]:
                say(f"partial: {about['problems']}")
        return 0 if about["complete"] else 3
    if any(options.values()):
        raise ConfigError("export to deepeisnn writes a whole checkpoint", valid="--out, --overwrite, --json")
    from eiplatform.networks.deepeisnn import export_checkpoint

    weights, description = export_checkpoint(source, out, overwrite=overwrite)
    if json:
        print_json({"weights": str(weights), "config": str(description)})
    else:
        say(f"{weights}, {description}")
    return 0
