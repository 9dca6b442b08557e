"""From a study to its steps: every combination of axes, and which step takes what from which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import product

from eiplatform.errors import ConfigError, choose, match_names, suggest
from eiplatform.study.spec import AnalyseTask, LesionStudyTask, Scalar, Study, Task, TrainTask, parse_task
from eiplatform.untrusted import is_plain

__all__ = ["Graph", "Source", "Step", "expand"]

_TAKES = {
    ("record", "of"): ("train",),
    ("lesion", "of"): ("train",),
    ("lesion-study", "of"): ("train",),
    ("figure", "of"): ("analyse", "lesion-study"),
    ("analyse", "inputs"): ("train", "record", "lesion", "simulate", "reference"),
    ("analyse", "nulls"): ("record",),
}
"""Kinds of steps that a field may name."""


@dataclass(frozen=True)
class Source:
    """An output of another step.

    Attributes
    ----------
    step : str
        Its id.
    part : str
        For a training: the recording made on the way; empty for the output itself.
    """

    step: str
    part: str = ""


@dataclass(frozen=True)
class Step:
    """One step with the values of its axes.

    Attributes
    ----------
    id : str
        E.g. ``"train/ei-1"``.
    name : str
        In the study.
    task : Task
    values : dict of str to scalar
    sources : dict of str to tuple of Source
        What it takes, by field.
    """

    id: str
    name: str
    task: Task
    values: Mapping[str, Scalar]
    sources: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)

    @property
    def needs(self) -> tuple[str, ...]:
        """Ids of the steps that must be done before."""
        return tuple(dict.fromkeys(source.step for sources in self.sources.values() for source in sources))


@dataclass(frozen=True)
class Graph:
    """All steps of a study in an order in which they can be taken.

    Attributes
    ----------
    study : Study
    steps : dict of str to Step
    """

    study: Study
    steps: Mapping[str, Step]

    def only(self, patterns: Iterable[str]) -> Graph:
        """Return the steps that match, and those that they need.

        Parameters
        ----------
        patterns : iterable of str
            Names of steps, ids, or wildcards of ids.

        Raises
        ------
        UnknownNameError
            If one matches no step.
        """
        names = {step.name for step in self.steps.values()}
        chosen: set[str] = set()
        for pattern in patterns:
            if pattern in names:
                wanted = [step.id for step in self.steps.values() if step.name == pattern]
            elif any(sign in pattern for sign in "*?["):
                wanted = match_names([pattern], self.steps, "step")
            else:
                wanted = [choose(pattern, self.steps if "/" in pattern else sorted(names), "step", where="only")]
            while wanted:
                found = wanted.pop()
                chosen.add(found)
                wanted += [need for need in self.steps[found].needs if need not in chosen]
        return Graph(self.study, {name: step for name, step in self.steps.items() if name in chosen})


def expand(study: Study) -> Graph:
    """Return the steps of a study.

    A step that takes another one takes those of its instances that agree on the axes that both have.

    Raises
    ------
    ConfigError
        For an impossible step, an axis of no step, a cycle, or a step that takes several where it needs one.
    UnknownNameError
        If a step takes one that does not exist.
    """
    found: dict[str, list[Step]] = {}
    tasks: dict[str, Task] = {}
    for name, raw in study.steps.items():
        where = f"{study.file.name}: steps.{name}"
        over = raw.get("over", [])
        over = [over] if isinstance(over, str) else over if isinstance(over, list) else []  # other types: parse_task
        for axis in over:
            choose(str(axis), study.axes, "axis", where=f"{where}.over")
        axes = {str(axis): study.axes[str(axis)] for axis in over}
        tasks[name] = parse_task(study, name, {axis: several[0] for axis, several in axes.items()})
        for axis, kept in tasks[name].where.items():
            choose(axis, axes, "axis of this step", where=f"{where}.where")
            axes[axis] = tuple(value for value in axes[axis] if value in kept)
        found[name] = []
        for chosen in product(*axes.values()):
            values = dict(zip(axes, chosen, strict=True))
            ending = "-".join(map(str, chosen))
            if ending and (not is_plain(ending) or ending.startswith(".")):
                raise ConfigError(f"'{ending}' cannot name a folder", where=f"{study.file.name}: axes")
            task = parse_task(study, name, values)
            found[name].append(Step(f"{name}/{ending}" if ending else name, name, task, values))
        if len({step.id for step in found[name]}) < len(found[name]):
            raise ConfigError("two instances have one name", where=where, remedy="change the values of its axes")
    used = {axis for several in found.values() for step in several for axis in step.values}
    for axis in study.axes:
        if axis not in used:
            raise ConfigError(
                f"no step is over the axis '{axis}'{suggest(axis, used)}",
                where=f"{study.file.name}: axes",
                valid=sorted(used) or "none",
            )
    _check_order(study, tasks)
    steps: dict[str, Step] = {}
    for name in TopologicalSorter({name: _taken(task) for name, task in tasks.items()}).static_order():
        for step in found[name]:
            steps[step.id] = Step(step.id, name, step.task, step.values, _sources(study, step, found))
    places = [step.task.at for step in steps.values() if step.task.at]
    if twice := sorted({place for place in places if places.count(place) > 1}):
        raise ConfigError(
            f"two steps leave their output at '{twice[0]}'",
            where=study.file.name,
            remedy="put the values of its axes into 'at', as {axis}",
        )
    return Graph(study, steps)


def _named(reference: str) -> tuple[str, str, str]:
    """Return the name of the step, the id and the part that a reference stands for: ``train/2:noisy``."""
    instance, _, part = reference.partition(":")
    return instance.partition("/")[0], instance, part


def _taken(task: Task) -> list[str]:
    return [_named(reference)[0] for references in task.references().values() for reference in references]


def _check_order(study: Study, tasks: Mapping[str, Task]) -> None:
    """Raise for a step that takes one that does not exist or cannot be taken, and for a cycle."""
    for name, task in tasks.items():
        for place, references in task.references().items():
            for reference in references:
                other = _named(reference)[0]
                choose(other, study.steps, "step", where=f"{study.file.name}: steps.{name}.{place}")
    try:
        TopologicalSorter({name: _taken(task) for name, task in tasks.items()}).prepare()
    except CycleError as error:
        circle = " <- ".join(error.args[1])
        raise ConfigError(f"the steps wait for each other: {circle}", where=study.file.name) from None
    for name, task in tasks.items():
        for place, references in task.references().items():
            where = f"{study.file.name}: steps.{name}.{place}"
            for reference in references:
                other, _, part = _named(reference)
                taken = tasks[other]
                if taken.kind not in _TAKES[task.kind, place]:
                    raise ConfigError(
                        f"'{other}' is of kind {taken.kind}",
                        where=where,
                        valid=f"a step of kind {' or '.join(_TAKES[task.kind, place])}",
                    )
                if ":" in reference:
                    recorded = taken.record if isinstance(taken, TrainTask) and isinstance(task, AnalyseTask) else {}
                    choose(part, recorded, "recording made while training", where=where)


def _sources(study: Study, step: Step, found: Mapping[str, list[Step]]) -> dict[str, tuple[Source, ...]]:
    sources = {}
    for place, references in step.task.references().items():
        taken = []
        for reference in references:
            other, instance, part = _named(reference)
            where = f"{study.file.name}: steps.{step.name}.{place}"
            if instance != other:
                choose(instance, [candidate.id for candidate in found[other]], "step", where=where)
            fitting = [
                candidate
                for candidate in found[other]
                if instance in (other, candidate.id)
                and all(
                    candidate.values[axis] == value for axis, value in step.values.items() if axis in candidate.values
                )
            ]
            if not isinstance(step.task, AnalyseTask | LesionStudyTask) and len(fitting) != 1:
                raise ConfigError(
                    f"'{other}' has {len(fitting)} instances here, and one is needed",
                    where=where,
                    remedy=f"say over which axes: {list(fitting[0].values)}" if fitting else "see 'where' of both",
                )
            taken += [Source(candidate.id, part) for candidate in fitting]
        sources[place] = tuple(taken)
    return sources
