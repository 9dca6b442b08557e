"""The command that lesions networks: ``lesion``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from eiplatform.cli.options import DataRoot, Download, Flag, Json, Many, Overwrite, Set, assignments

__all__ = ["lesion"]


def lesion(
    networks: Annotated[list[Path], Many],
    *,
    out: Path,
    set_: Annotated[list[str] | None, Set] = None,
    data: str | None = None,
    steps: int | None = None,
    input: Literal["constant", "bernoulli", "poisson"] | None = None,
    samples: int | None = None,
    pathway: str | None = None,
    layers: str | None = None,
    doses: Annotated[list[float] | None, Many] = None,
    neurons: int | None = None,
    controls: int | None = None,
    dataset: str | None = None,
    data_root: DataRoot = None,
    download: Download = False,
    unfinished: Annotated[bool, Flag] = False,
    resume: Annotated[bool, Flag] = False,
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Lesion networks by a design, with its controls; or record one network under rising doses of one lesion.

    A design comes first: its name ('eiplatform list designs') or a YAML file with 'design:' and its parameters. An
    interrupted design goes on with the same command. Without a design, one recording per dose is made.

    Parameters
    ----------
    networks : list[Path]
        The design, then directories of trainings or checkpoints, seeds of one training. Without a design one network.
    out : Path
        Directory of the result, or of the recordings.
    set_ : list[str]
        Of a design: its parameters, e.g. --set doses=[0.1,0.5] layers=[fc1] controls=[random,restored].
    data : str
        Of a design: test (default), validation or train.
    steps : int
        Of a design: time steps of static images (default: those of training).
    input : {"constant", "bernoulli", "poisson"}
        Of a design: how static images are shown (default: as in training).
    samples : int
        How many test samples, at random (default: all).
    pathway : str
        Of recordings: 'I->E subtractive' (default), 'input->E', 'input->I', 'I->E divisive'; of signed weights also
        'input->E subtractive', of feedback networks 'recurrent->E' and others (docs/equilibrium.md).
    layers : str
        Of recordings: layer name or wildcard, e.g. fc2 or 'fc*' (default: all).
    doses : list[float]
        Of recordings: fractions removed, 0 (intact) among them; below 0 the pathway is strengthened (default: 0 0.25
        0.5 0.75 1).
    neurons : int
        Of recordings: neurons per population, at least those of the readout (default: 64, or as many as these).
    controls : int
        Of recordings: random losses of synapses per dose above 0, which take as much current.
    dataset : str
        Of recordings: data set that is shown (default: the one that the network was trained on), e.g. fashion-mnist.
    unfinished : bool
        Of recordings: take the checkpoint of a training that was interrupted or aborted.
    resume : bool
        Of recordings: go on with interrupted ones in that directory: what is complete stays.
    """
    from eiplatform.errors import ConfigError

    of_design = {"--set": set_, "--data": data, "--steps": steps, "--input": input}
    of_recordings: dict[str, Any] = {"--pathway": pathway, "--layers": layers, "--doses": doses, "--neurons": neurons}
    of_recordings |= {"--controls": controls, "--dataset": dataset, "--data-root": data_root, "--download": download}
    of_recordings |= {"--unfinished": unfinished, "--resume": resume, "--overwrite": overwrite}
    if _is_design(networks):
        _refuse(of_recordings, "recordings without a design", "a design takes --set, e.g. --set doses=[0.1,0.5]")
        return _study(networks, out, set_, data or "test", samples, steps, input, json)
    _refuse(of_design, "a design", "name one first, e.g. eiplatform lesion dose-response NETWORK --out DIR")
    if len(networks) > 1:
        raise ConfigError(
            f"{len(networks)} networks without a design", where="lesion", valid="one network, or a design first",
            remedy="eiplatform lesion dose-response NETWORK NETWORK --out DIR",
        )  # fmt: skip
    return _record(
        networks[0], out, pathway or "I->E subtractive", layers or "*", doses or [0.0, 0.25, 0.5, 0.75, 1.0], neurons,
        samples, controls or 0, json, unfinished=unfinished, resume=resume, overwrite=overwrite,
        where={"dataset": dataset, "root": data_root, "download": download},
    )  # fmt: skip


def _is_design(networks: Sequence[Path]) -> bool:
    from eiplatform.lesions.design_kinds import design_types

    first = networks[0]
    named = str(first) in design_types() or (len(networks) > 1 and first.name == str(first) and not first.suffix)
    return first.suffix in (".yml", ".yaml") or (named and not first.exists())


def _refuse(options: Mapping[str, Any], what: str, remedy: str) -> None:
    from eiplatform.errors import ConfigError

    given = [name for name, value in options.items() if value not in (None, False)]
    if given:
        raise ConfigError(f"{', '.join(given)} belongs to {what}", where="lesion", remedy=remedy)


def _study(
    design_and_networks: Sequence[Path],
    out: Path,
    set_: Sequence[str] | None,
    data: str,
    samples: int | None,
    steps: int | None,
    input_: str | None,
    json: bool,
) -> int:
    import eiplatform as ei
    from eiplatform.cli.output import print_json, print_table, say
    from eiplatform.memory import keep_memory

    keep_memory()  # the process is ours
    design, *networks = design_and_networks
    result = ei.lesion_study(
        [str(one) for one in networks],
        design if design.suffix in (".yml", ".yaml") else str(design),
        data,
        samples=samples,
        steps=steps,
        input=input_,
        path=out,
        quiet=json,
        **assignments(set_),
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


def _record(
    checkpoint: Path,
    out: Path,
    pathway: str,
    layers: str,
    doses: Sequence[float],
    neurons: int | None,
    samples: int | None,
    controls: int,
    json: bool,
    *,
    unfinished: bool,
    resume: bool,
    overwrite: bool,
    where: Mapping[str, Any],
) -> int:
    from eiplatform.cli.output import print_json, say
    from eiplatform.errors import ConfigError
    from eiplatform.lesions.design import dose_response, doses_of
    from eiplatform.progress import stage
    from eiplatform.recording.checkpoint import open_checkpoint
    from eiplatform.recording.spec import load_spec

    network, config, split = open_checkpoint(checkpoint, "test", unfinished=unfinished, **where)
    lesions = doses_of(pathway, doses, layers)
    for one in lesions:
        one.places(network)  # or which pathways this network has
    answers = network.named_layers()["readout"].n_exc
    if neurons is not None and neurons < answers:
        raise ConfigError(
            f"of {neurons} recorded neurons the answers of a readout of {answers} cannot be read",
            where="--neurons",
            valid=f"at least {answers}",
        )
    spec = load_spec(None, neurons=neurons or max(64, answers), samples=samples)
    with stage(f"lesioning {pathway}", quiet=json) as update:
        made = dose_response(
            network,
            split,
            out,
            lesions,
            spec,
            config=config.model_dump(mode="json"),
            n_controls=controls,
            overwrite=overwrite,
            resume=resume,
            progress=update,
        )
    if json:
        print_json({"out": str(out), "recordings": [str(path) for path in made]})
    else:
        say(f"{len(made)} recordings: {out}")
        say(f"next: eiplatform analyse lesions {out} --out lesions.nc")
    return 0
