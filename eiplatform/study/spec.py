"""What a study is, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from eiplatform.config import parse_model
from eiplatform.errors import ConfigError, choose
from eiplatform.study.filling import filled
from eiplatform.untrusted import is_plain

__all__ = [
    "KINDS",
    "AnalyseTask",
    "FigureTask",
    "LesionStudyTask",
    "LesionTask",
    "RecordTask",
    "ReferenceTask",
    "SimulateTask",
    "Study",
    "Task",
    "TrainTask",
    "Watch",
    "parse_task",
]

_PLACE = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*")


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Scalar = int | float | str


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Watch(_Frozen):
    """What to record while training.

    Attributes
    ----------
    spec : dict
        A :class:`~eiplatform.recording.spec.RecordingSpec`; of the validation images unless it names a split.
    epochs : tuple of float
        After how many epochs.
    """

    spec: dict[str, Any] = {}
    epochs: tuple[float, ...] = Field(min_length=1)


class Task(_Frozen):
    """What all kinds of steps have.

    Attributes
    ----------
    kind : str
    over : tuple of str
        Axes of the study; the step is taken once for every combination of their values, which stand
        in place of ``{axis}`` in its texts.
    where : dict of str to tuple
        Values of axes to which the step is restricted.
    at : str
        Where the step leaves its output, below the study's directory and without an ending; default: by its name.
    """

    kind: str
    over: Names = ()
    where: dict[str, tuple[Scalar, ...]] = {}
    at: str = ""

    def references(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the steps that this one takes something from, by field."""
        return {}


class TrainTask(Task):
    """Train a network.

    Attributes
    ----------
    config : str
        Configuration file, relative to the study's file.
    set : tuple of str
        Changes to it, ``dotted.key=value``.
    record : dict of str to dict
        Recordings made on the way (each a :class:`Watch`); other steps call one ``STEP:NAME``.
    """

    config: str
    set: tuple[str, ...] = ()
    record: dict[str, dict[str, Any]] = {}

    def watches(self, where: str) -> dict[str, Watch]:
        """Return what to record, checked; `where` is named in errors."""
        for name in self.record:
            if not is_plain(name) or name.startswith("."):
                raise ConfigError(f"{name!r} cannot name a recording", where=f"{where}: record", valid="a plain name")
        return {
            name: parse_model(Watch, fields, where=f"{where}: record.{name}") for name, fields in self.record.items()
        }


class RecordTask(Task):
    """Record a network that a training left.

    Attributes
    ----------
    of : str
        The training.
    network : {"best", "last", "untrained"}
        Of the best epoch on validation, of the last, or as it was before training (a null).
    spec : dict
        A :class:`~eiplatform.recording.spec.RecordingSpec`.
    label : str
        Name in tables and figures.
    reinit : int or None
        Seed of a null: the same network, initialised anew and not trained.
    """

    of: str
    network: Literal["best", "last", "untrained"] = "best"
    reinit: int | None = None
    spec: dict[str, Any] = {}
    label: str

    def references(self) -> dict[str, tuple[str, ...]]:
        """Return the training."""
        return {"of": (self.of,)}


class LesionTask(Task):
    """Record a network under rising doses of a lesion, with random losses of the same size.

    Attributes
    ----------
    of : str
        The training.
    pathway, layers : str
    doses : tuple of float
        From 0, the intact network, upwards.
    controls : int
        Random losses of synapses at every dose above 0.
    spec : dict
        A :class:`~eiplatform.recording.spec.RecordingSpec`; the readout must be among the populations.
    """

    of: str
    pathway: str = "I->E subtractive"
    layers: str = "*"
    doses: tuple[float, ...] = Field(min_length=1)
    controls: int = Field(0, ge=0)
    spec: dict[str, Any] = {}

    def references(self) -> dict[str, tuple[str, ...]]:
        """Return the training."""
        return {"of": (self.of,)}


class LesionStudyTask(Task):
    """Lesion networks by a design, with its controls (:func:`eiplatform.lesion_study`).

    Attributes
    ----------
    of : tuple of str
        Trainings; all instances that agree on the axes that both have are seeds of one study.
    design : dict
        ``design`` and its parameters.
    split : str
    samples, steps, input
        What is shown, and how; None: as trained, all samples.
    """

    of: Names = Field(min_length=1)
    design: dict[str, Any]
    split: str = "test"
    samples: int | None = None
    steps: int | None = None
    input: str | None = None

    def references(self) -> dict[str, tuple[str, ...]]:
        """Return the trainings."""
        return {"of": self.of}


class SimulateTask(Task):
    """Simulate a circuit.

    Attributes
    ----------
    circuit : str
    parameters : dict
    interventions : tuple of dict
        What is done to it, e.g. ``{kind: Scale, target: "I->E", factor: 0.8}``.
    seeds : tuple of int
    duration_ms, warmup_ms, record_dt_ms : float
    n_recorded : int
        Neurons per population whose currents are recorded.
    device : str
    jobs : int
        Seeds that are simulated at the same time.
    label : str or None
    """

    circuit: str
    parameters: dict[str, Any] = {}
    interventions: tuple[dict[str, Any], ...] = ()
    seeds: tuple[int, ...] = Field((1,), min_length=1)
    duration_ms: float = 1000.0
    warmup_ms: float = 200.0
    record_dt_ms: float = 1.0
    n_recorded: int = 100
    device: str = "cpp_standalone"
    jobs: int = 1
    label: str | None = None


class ReferenceTask(Task):
    """Take a summary of a circuit that ships with the platform (data/reference).

    Attributes
    ----------
    name : str
    """

    name: str


class AnalyseTask(Task):
    """Answer one question from recordings.

    Attributes
    ----------
    analysis : str
        One of :func:`eiplatform.analyses.analysis_names`.
    inputs, nulls : tuple of str
        Steps, all of whose instances are taken that agree on the axes that both have; or one instance by its id.
    options : dict
        Further arguments of the analysis.
    """

    analysis: str
    inputs: Names = Field(min_length=1)
    nulls: Names = ()
    options: dict[str, Any] = {}

    def references(self) -> dict[str, tuple[str, ...]]:
        """Return inputs and nulls."""
        return {"inputs": self.inputs, "nulls": self.nulls}


class FigureTask(Task):
    """Draw one figure of one result.

    Attributes
    ----------
    figure : str
        One of :func:`eiplatform.figures.figure_names`.
    of : str
        The analysis.
    """

    figure: str
    of: str

    def references(self) -> dict[str, tuple[str, ...]]:
        """Return the analysis."""
        return {"of": (self.of,)}


KINDS: dict[str, type[Task]] = {
    "train": TrainTask,
    "record": RecordTask,
    "lesion": LesionTask,
    "lesion-study": LesionStudyTask,
    "simulate": SimulateTask,
    "reference": ReferenceTask,
    "analyse": AnalyseTask,
    "figure": FigureTask,
}
"""Every kind of step."""


class Study(_Frozen):
    """A study as it stands in its file.

    Attributes
    ----------
    title, question : str
    axes : dict of str to tuple
        Values over which steps are repeated, e.g. seeds.
    steps : dict of str to dict
        Every step by its name; see :data:`KINDS` for what each holds.
    constants : dict
        Further values that texts of steps may hold as ``{name}``; they multiply nothing.
    variants : dict of str to dict
        Named sets of changes, each of dotted keys to values.
    name : str
        Of the file, without its ending.
    file : Path
    """

    title: str
    question: str
    axes: dict[str, Annotated[tuple[Scalar, ...], Field(min_length=1)]] = {}
    steps: dict[str, dict[str, Any]] = Field(min_length=1)
    constants: dict[str, Any] = {}
    variants: dict[str, dict[str, Any]] = {}
    name: str = ""
    file: Path = Path()


def parse_task(study: Study, name: str, values: Mapping[str, Scalar]) -> Task:
    """Check one step, with the values of its axes filled in.

    Parameters
    ----------
    study : Study
    name : str
        Of the step.
    values : mapping of str to scalar
        Of every axis that the step is taken over.

    Raises
    ------
    ConfigError
        For an unknown kind, key or axis, or an impossible value.
    """
    where = f"{study.file.name}: steps.{name}"
    raw = study.steps[name]
    kind = choose(str(raw.get("kind")), KINDS, "kind of step", where=where)
    task = parse_model(KINDS[kind], filled(raw, {**study.constants, **values}, where), where=where)
    if task.at and not _PLACE.fullmatch(task.at):
        raise ConfigError(
            f"{task.at!r} cannot name a place", where=f"{where}.at", valid="a relative path of plain names"
        )
    return task
