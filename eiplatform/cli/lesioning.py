"""Commands that lesion networks by a design: ``lesion-study``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from eiplatform.cli.options import Flag, Many, Set

__all__ = ["lesion_study"]


def lesion_study(
    networks: Annotated[list[Path], Many],
    *,
    out: Path,
    design: str = "dose-response",
    set_: Annotated[list[str] | None, Set] = None,
    data: str = "test",
    samples: int | None = None,
    steps: int | None = None,
    input: Literal["constant", "bernoulli", "poisson"] | None = None,
    json: Annotated[bool, Flag] = False,
) -> int:
    """Lesion networks by a design, with its controls; a study that was interrupted goes on.

    Parameters
    ----------
    networks : list[Path]
        Directories of trainings, or checkpoints; several are seeds of one training.
    out : Path
        Directory of the cells and of the result.
    design : str
        Name ('eiplatform list designs') or a YAML file with 'design:' and its parameters.
    set_ : list[str]
        Parameters of the design, e.g. --set doses=[0.1,0.5] layers=[fc1] controls=[random,restored].
    data : str
        test, validation or train, or an .npz file with images and labels.
    samples : int
        How many, at random (default: all).
    steps : int
        Time steps of static images (default: those of training).
    input : {"constant", "bernoulli", "poisson"}
        How static images are shown (default: as in training).
    json : bool
        Print JSON.
    """
    import eiplatform as ei
    from eiplatform.cli.output import print_json, print_table, say
    from eiplatform.config import parse_assignment
    from eiplatform.memory import keep_memory

    keep_memory()  # the process is ours
    result = ei.lesion_study(
        [str(one) for one in networks],
        design,
        data,
        samples=samples,
        steps=steps,
        input=input,
        path=out,
        quiet=json,
        **dict(parse_assignment(change, where="--set") for change in set_ or ()),
    )
    if json:
        print_json({"out": str(out), "result": str(out / "result.nc"), "findings": result.findings()})
        return 0
    for table in result.tables():
        print_table(table.title, table.columns, table.rows)
    for finding in result.findings():
        say(f"- {finding}")
    say(f"next: eiplatform figures {out / 'result.nc'} --out figures")
    return 0
