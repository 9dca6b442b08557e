"""Lesion designs: which lesions are made, and recording the network under each.

A design is a directory with ``design.json``, the plan, written before the first dose, and one recording per
condition.  Every recording carries what was planned, so that an incomplete design is recognised wherever it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from eiplatform.config import parse_model
from eiplatform.datasets import Split
from eiplatform.earlier import as_hashed
from eiplatform.errors import ConfigError, OutputExistsError, StoreError, choose
from eiplatform.files import claimed, content_hash, read_json, write_json
from eiplatform.interventions import RandomSynapseLoss, Scale
from eiplatform.lesions.cells import Images
from eiplatform.lesions.controls import matchable
from eiplatform.lesions.designs.dose_response import Control, lesion_and_controls
from eiplatform.lesions.engine import Engine
from eiplatform.networks.network import Network
from eiplatform.recording.network import record_network
from eiplatform.recording.plan import weights_hash
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store.reader import is_whole
from eiplatform.untrusted import checked, inside

__all__ = ["DESIGN", "dose_response", "doses_of", "read_design"]

DESIGN = "design.json"
"""The plan of a design."""
FORMAT = "eiplatform-lesion-design"


class _Condition(BaseModel):
    name: str
    dose: float
    control: dict[str, Any] = {}


class _Control(BaseModel):
    seed: int
    fractions: dict[str, float]


class _Plan(BaseModel):
    doses: list[float]
    controls: int
    conditions: list[_Condition]


def doses_of(pathway: str, doses: Sequence[float], layers: str = "*") -> list[Scale]:
    """Return one lesion per dose.

    Parameters
    ----------
    pathway : str
    doses : sequence of float
        Fractions removed: 0 (intact) to 1 (all); below 0 the pathway is strengthened.
    layers : str

    Raises
    ------
    ConfigError
        For a dose above 1, or all of divisive inhibition.

    Examples
    --------
    >>> [lesion.factor for lesion in doses_of("I->E subtractive", [0, 0.5, -0.5])]
    [1, 0.5, 1.5]
    """
    for dose in doses:
        if not (isinstance(dose, int | float) and -math.inf < dose <= 1):
            raise ConfigError(f"a dose of {dose!r} is not possible", where="lesion", valid="at most 1 (all removed)")
    return [Scale(pathway, 1 - dose, layers=layers) for dose in doses]


def dose_response(
    network: Network,
    data: Split,
    path: str | Path,
    lesions: Sequence[Scale],
    spec: RecordingSpec,
    *,
    config: Mapping[str, Any],
    n_controls: int = 0,
    overwrite: bool = False,
    resume: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Path]:
    """Record the same samples under every dose of a lesion, the intact network included.

    Parameters
    ----------
    network : Network
    data : Split
    path : str or Path
        Directory; one recording ``dose-<dose>`` per lesion is made in it.
    lesions : sequence of Scale
        One pathway and one set of layers at several doses (``1 - factor``), one of them 0 (the control on the
        same samples).
    spec : RecordingSpec
        Must include the readout, from which accuracy is read.
    n_controls : int
        Random losses of synapses of the same size (:mod:`eiplatform.lesions.controls`) recorded
        for each dose above 0, as ``dose-<dose>-control-<seed>``, seeds from 1.
    config, overwrite, progress
        As in :func:`~eiplatform.recording.network.record_network`.
    resume : bool
        Go on with an interrupted design of the same network, samples, spec and lesions: what is complete stays.

    Returns
    -------
    list of Path
        The recordings, by rising dose, each followed by its controls.

    Raises
    ------
    ConfigError
        If the doses repeat or lack 0, pathway or layers differ, or such a lesion has no controls.
    OutputExistsError, StoreError
        If the directory is taken, or there is nothing to resume, or another design.
    """
    if len({(lesion.target, lesion.layers) for lesion in lesions}) != 1:
        raise ConfigError("a dose-response lesions one pathway in one set of layers", where="lesions")
    by_dose = {lesion.dose: lesion for lesion in sorted(lesions, key=lambda lesion: -lesion.factor)}
    doses, ordered = list(by_dose), list(by_dose.values())
    if len(doses) < len(lesions) or 0 not in doses:
        raise ConfigError(
            f"doses {doses}", where="lesions", valid="different doses, one of them 0 (the intact control)"
        )
    for lesion in ordered:  # every name is checked before anything is written
        lesion.factors(network)
    if n_controls < 0:
        raise ConfigError(f"{n_controls} controls", where="lesions", valid="0 or more")
    if n_controls and not matchable(ordered[0], network):
        raise ConfigError(
            f"a lesion of '{ordered[0].target}' has no random control",
            where="lesion",
            valid=("input->E", "input->I", "I->E subtractive", "input->E subtractive"),
            remedy="choose no controls",
        )
    if resume and overwrite:
        raise ConfigError("resume and overwrite exclude each other", where=str(path), remedy="choose one")
    plan = {
        "format": FORMAT,
        "pathway": ordered[0].target,
        "layers": ordered[0].layers,
        "doses": doses,
        "controls": n_controls,
        "spec": spec.model_dump(mode="json"),
        "weights": weights_hash(network),
        "data": data.describe(),
        "config_hash": content_hash(as_hashed(config)),
    }
    plan["id"] = content_hash(plan)
    directory = Path(path)
    _check_place(directory, plan, resume=resume, overwrite=overwrite)
    if resume:
        conditions = read_design(directory)["conditions"]
    else:
        conditions = _conditions(Engine(network, data, spec), ordered, n_controls)
    with claimed(directory, overwrite=overwrite, resume=resume):
        if not resume:
            write_json(directory / DESIGN, plan | {"conditions": conditions})
        about = {key: plan[key] for key in ("id", "doses", "controls")}
        made = []
        for index, condition in enumerate(conditions):
            lesion = by_dose[condition["dose"]]
            place, label = directory / condition["name"], _label(condition)
            if not is_whole(place):
                described = {"pathway": lesion.target, "dose": lesion.dose, "layers": lesion.layers}
                if "control" in condition:
                    described["control"] = condition["control"]
                with network.intervene(*_interventions(network, lesion, condition)):
                    begun = (place / "manifest.json").is_file()
                    record_network(
                        network,
                        data,
                        place,
                        spec,
                        config=config,
                        label=label,
                        lesions=[described],
                        design=about,
                        resume=begun,
                        overwrite=not begun,
                    )
            made.append(place)
            if progress:
                progress(index + 1, len(conditions), label)
    return made


def read_design(directory: str | Path) -> dict[str, Any]:
    """Read the plan of a lesion design.

    Parameters
    ----------
    directory : str or Path
        Made by :func:`dose_response`.

    Returns
    -------
    dict
        ``pathway``, ``layers``, ``doses``, ``controls``, ``spec``, ``weights``, ``data``, ``id`` and ``conditions``
        (one per recording).

    Raises
    ------
    StoreError
        If there is none, or it is damaged.
    """
    file = Path(directory) / DESIGN
    plan = read_json(file)
    if plan.get("format") != FORMAT:
        raise StoreError("not the plan of a lesion design", where=str(file), remedy="record the design again")
    checked(_Plan, plan, file, what="the plan is damaged", remedy="record the design again")
    for condition in plan["conditions"]:
        inside(file.parent, condition["name"], where=file)
        if condition["dose"] not in plan["doses"]:
            raise StoreError(f"the plan is damaged: it has no dose {condition['dose']}", where=str(file))
    return plan


def _conditions(engine: Engine, ordered: Sequence[Scale], n_controls: int) -> list[dict[str, Any]]:
    """Return what is to be recorded, by rising dose, each followed by its controls: the cells of a lesion study."""
    conditions: list[dict[str, Any]] = []
    wanted: tuple[Control, ...] = ("random",) if n_controls else ()
    for lesion in ordered:
        name = f"dose-{lesion.dose!r}"
        for cell in lesion_and_controls(engine, lesion, lesion.dose, wanted, n_controls, Images()):
            if cell.about["role"] == "lesion":
                conditions.append({"name": name, "dose": lesion.dose})
                continue
            parts = {one.layers: one.part for one in cell.interventions if isinstance(one, RandomSynapseLoss)}
            control = {"seed": cell.about["draw"], "fractions": parts}
            conditions.append({"name": f"{name}-control-{control['seed']}", "dose": lesion.dose, "control": control})
    return conditions


def _interventions(
    network: Network, lesion: Scale, condition: Mapping[str, Any]
) -> tuple[Scale | RandomSynapseLoss, ...]:
    if "control" not in condition:
        return (lesion,)
    control = parse_model(_Control, condition["control"], where=DESIGN)
    for name in control.fractions:
        choose(name, network.named_layers(), "layer", where=f"{DESIGN}: control")
    return tuple(RandomSynapseLoss(p, layers=name, seed=control.seed) for name, p in control.fractions.items())


def _label(condition: Mapping[str, Any]) -> str:
    control = condition.get("control")
    return f"dose {condition['dose']:g}" + (f", control {control['seed']}" if control else "")


def _check_place(directory: Path, plan: Mapping[str, Any], *, resume: bool, overwrite: bool) -> None:
    """Raise if a design there is to be resumed and cannot be, or is there and neither resumed nor replaced."""
    there = (directory / DESIGN).is_file()
    if resume:
        if not there:
            raise StoreError("no lesion design to resume", where=str(directory), remedy="start it anew")
        before = read_design(directory)
        if before.get("id") != plan["id"]:
            changed = [key for key in plan if key != "id" and before.get(key) != plan[key]]
            raise StoreError(
                f"the design there was begun with another {', '.join(changed)}",
                where=str(directory),
                remedy=("resume it with the command it was begun with", "choose another path"),
            )
        if all(is_whole(directory / condition["name"]) for condition in before["conditions"]):
            raise StoreError("is complete; there is nothing to resume", where=str(directory))
    elif there and not overwrite:
        left = [c["name"] for c in read_design(directory)["conditions"] if not is_whole(directory / c["name"])]
        if left:
            raise OutputExistsError(
                f"holds an interrupted lesion design, which lacks {', '.join(left)}",
                where=str(directory),
                remedy=(
                    "pass resume=True to go on with it",
                    "pass overwrite=True to begin anew",
                    "choose another path",
                ),
            )
