"""Commands that exchange networks with other code: ``import``, ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

__all__ = ["export", "import_"]

Flag = Parameter(negative=())


def import_(
    source: Literal["deepeisnn"],
    path: Path,
    *,
    out: Path,
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
    overwrite : bool
        Replace an earlier file.
    json : bool
        Print JSON.
    """
    from eiplatform.cli.output import print_json, say
    from eiplatform.errors import OutputExistsError
    from eiplatform.snn.deepeisnn import import_checkpoint

    if out.is_dir() or (out.exists() and not overwrite):
        raise OutputExistsError("already exists", where=str(out), remedy="choose another --out file, or --overwrite")
    network, config = import_checkpoint(path, out)
    part = config.network
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    if json:
        told = {"out": str(out), "architecture": part.architecture, "circuit": part.circuit, "parameters": n_parameters}
        print_json({**told, "dataset": config.dataset.name, "input_shape": network.input_shape})
    else:
        shape = "x".join(map(str, network.input_shape))
        say(
            f"{part.architecture}, circuit {part.circuit}, {config.dataset.name} ({shape}), {n_parameters:,} parameters"
        )
        say(f"checkpoint: {out}")
    return 0


def export(
    target: Literal["deepeisnn"],
    checkpoint: Path,
    *,
    out: Path,
    overwrite: Annotated[bool, Flag] = False,
    json: Annotated[bool, Flag] = False,
) -> int:
    """Write a checkpoint as other code reads it.

    Parameters
    ----------
    target : str
        deepeisnn: model.safetensors and config.json of the public code of arXiv 2509.23253.
    checkpoint : Path
        A .safetensors file of eiplatform.
    out : Path
        Directory.
    overwrite : bool
        Delete an earlier result of eiplatform in that directory.
    json : bool
        Print JSON.
    """
    from eiplatform.cli.output import print_json, say
    from eiplatform.snn.deepeisnn import export_checkpoint

    weights, description = export_checkpoint(checkpoint, out, overwrite=overwrite)
    if json:
        print_json({"weights": str(weights), "config": str(description)})
    else:
        say(f"{weights}, {description}")
    return 0
