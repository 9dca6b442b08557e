"""What a study is, as data: read strictly from YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from eiplatform.config import parse_assignment, parse_model, read_yaml
from eiplatform.discovery import files_of
from eiplatform.errors import ConfigError, choose
from eiplatform.untrusted import is_plain

__all__ = [
    "KINDS",
    "AnalyseTask",
    "FigureTask",
    "RecordTask",
    "ReferenceTask",
    "SimulateTask",
    "Study",
    "Task",
    "TrainTask",
    "Watch",
    "find_study",
    "load_study",
    "parse_task",
    "study_names",
]

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_HOLE = re.compile(r"\{(\w+)\}")


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
    """

    kind: str
    over: Names = ()
    where: dict[str, tuple[Scalar, ...]] = {}

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
    """

    of: str
    network: Literal["best", "last", "untrained"] = "best"
    spec: dict[str, Any] = {}
    label: str

    def references(self) -> dict[str, tuple[str, ...]]:
        """Return the training."""
        return {"of": (self.of,)}


class SimulateTask(Task):
    """Simulate a circuit.

    Attributes
    ----------
    circuit : str
    parameters : dict
    seeds : tuple of int
    duration_ms, warmup_ms, record_dt_ms : float
    n_recorded : int
        Neurons per population whose currents are recorded.
    device : str
    label : str or None
    """

    circuit: str
    parameters: dict[str, Any] = {}
    seeds: tuple[int, ...] = Field((1,), min_length=1)
    duration_ms: float = 1000.0
    warmup_ms: float = 200.0
    record_dt_ms: float = 1.0
    n_recorded: int = 100
    device: str = "cpp_standalone"
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
        Steps, all of whose instances are taken that agree on the axes that both have.
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
    name : str
        Of the file, without its ending.
    file : Path
    """

    title: str
    question: str
    axes: dict[str, Annotated[tuple[Scalar, ...], Field(min_length=1)]] = {}
    steps: dict[str, dict[str, Any]] = Field(min_length=1)
    name: str = ""
    file: Path = Path()


def study_names() -> list[str]:
    """Return the names of the studies that ship, of the project's, and of those of installed packages.

    Examples
    --------
    >>> "balance_emergence" in study_names()
    True
    """
    return sorted(files_of("studies"))


def find_study(name: str) -> Path:
    """Return the file of a study given by its name or its path.

    Raises
    ------
    UnknownNameError
        If it is neither.
    """
    path = Path(name)
    if path.suffix in (".yml", ".yaml") or path.parent != Path():
        if not path.is_file():
            raise ConfigError("there is no such file", where=name, valid=[*study_names(), "the path of a YAML file"])
        return path
    return files_of("studies")[choose(name, study_names(), "study")]


def load_study(path: str | Path, changes: Sequence[str] = ()) -> Study:
    """Read a study.

    Parameters
    ----------
    path : str or Path
    changes : sequence of str
        ``dotted.key=value``, e.g. ``axes.seed=[1, 2]``; the key must exist, or its parent.

    Raises
    ------
    ConfigError
        One line: the dotted key, what is wrong, what is valid.
    """
    path = Path(path)
    data = read_yaml(path)
    for change in changes:
        _set(data, change, str(path))
    for reserved in ("name", "file"):
        if reserved in data:
            raise ConfigError(f"unknown key '{reserved}'", where=str(path), valid="title, question, axes, steps")
    study = parse_model(Study, data | {"name": path.stem, "file": str(path.resolve())}, where=str(path))
    for name in (*study.axes, *study.steps):
        if not _NAME.fullmatch(name) or name in ("figures", "results"):
            raise ConfigError(
                f"'{name}' cannot name an axis or a step",
                where=str(path),
                valid="small letters, digits and _, a letter first; not figures or results, which are folders",
            )
    return study


def _set(data: dict[str, Any], change: str, where: str) -> None:
    key, value = parse_assignment(change, where="--set")
    parts = key.split(".")
    branch: Any = data
    for index, part in enumerate(parts[:-1]):
        if not isinstance(branch.get(part), dict):
            raise ConfigError(
                f"'{'.'.join(parts[: index + 1])}' is not in the study or holds no keys",
                where=f"--set {key} ({where})",
                valid=[str(name) for name, held in branch.items() if isinstance(held, dict)],
            )
        branch = branch[part]
    branch[parts[-1]] = value


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
    return parse_model(KINDS[kind], _filled(raw, values, where), where=where)


def _filled(value: Any, values: Mapping[str, Scalar], where: str) -> Any:
    """Put the values of axes into the texts of a step; a text that is nothing else takes their type."""
    if isinstance(value, dict):
        return {key: _filled(item, values, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values, where) for item in value]
    if not isinstance(value, str):
        return value
    for axis in _HOLE.findall(value):
        if axis not in values:
            raise ConfigError(
                f"'{{{axis}}}' is not an axis that this step is taken over",
                where=where,
                valid=list(values) or "none: the step has no 'over'",
            )
    whole = _HOLE.fullmatch(value)
    return values[whole[1]] if whole else _HOLE.sub(lambda hole: str(values[hole[1]]), value)
