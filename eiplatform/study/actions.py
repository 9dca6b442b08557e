"""What each kind of step is: what decides its outcome, what it checks, does, and leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eiplatform.config import Config, config_hash, load_config, parse_model
from eiplatform.errors import ConfigError, choose
from eiplatform.files import content_hash, sha256_of
from eiplatform.memory import keep_memory
from eiplatform.recording.spec import RecordingSpec
from eiplatform.study.graph import Step
from eiplatform.study.spec import (
    AnalyseTask,
    FigureTask,
    LesionStudyTask,
    LesionTask,
    RecordTask,
    ReferenceTask,
    SimulateTask,
    Task,
    TrainTask,
)

__all__ = [
    "Job",
    "circuit_interventions",
    "complete",
    "configuration",
    "identity",
    "modules",
    "output",
    "perform",
    "watched",
]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Job:
    """A step with everything that it needs to run, also in another process.

    Attributes
    ----------
    id : str
    task : Task
    folder : Path
        Of the study's file.
    out : Path
        What it leaves: a directory or a file.
    inputs : dict of str to tuple of Path
        What it takes, by field.
    data_root : str or None
        Folder with the data sets' files.
    """

    id: str
    task: Task
    folder: Path
    out: Path
    inputs: Mapping[str, tuple[Path, ...]]
    data_root: str | None = None


def output(step: Step, out: Path, part: str = "") -> Path:
    """Return where a step leaves its result below the study's directory, or a recording made on the way."""
    task = step.task
    if isinstance(task, ReferenceTask):
        from eiplatform.store.references import reference_file

        return reference_file(task.name)
    name = step.id.replace("/", "-")
    if isinstance(task, AnalyseTask | LesionStudyTask):
        return out / f"{task.at or f'results/{name}'}.nc"
    if isinstance(task, FigureTask):
        return out / f"{task.at or f'figures/{name}'}.png"
    place = out / (task.at or step.id)
    return place / "recordings" / part if part else place


def configuration(task: TrainTask, folder: Path, data_root: str | None = None) -> Config:
    """Return the configuration of a training."""
    file = (folder / task.config).resolve()
    return load_config(file, [*task.set, *([] if data_root is None else [f"dataset.root={data_root!r}"])])


def recording_spec(fields: Mapping[str, Any], where: str) -> RecordingSpec:
    """Return a spec, checked."""
    return parse_model(RecordingSpec, fields, where=where)


def watched(step: str, task: TrainTask, config: Config) -> dict[str, tuple[RecordingSpec, tuple[float, ...]]]:
    """Return spec and moments of every recording to be made while training.

    Raises
    ------
    ConfigError
        For an unknown key, an impossible value, or a moment after the end.
    """
    found = {}
    for name, watch in task.watches(step).items():
        where = f"{step}: record.{name}"
        if not 0 <= min(watch.epochs) <= max(watch.epochs) <= config.training.epochs:
            raise ConfigError(
                f"epochs {watch.epochs} are not all in the training",
                where=where,
                valid=f"0 to {config.training.epochs}",
            )
        # The images of validation unless the spec says otherwise: those of the test are kept for the end.
        spec = recording_spec({"split": "validation"} | watch.spec, f"{where}.spec")
        found[name] = (spec, watch.epochs)
    return found


def identity(step: Step, folder: Path) -> str:
    """Return a hash of all that decides the outcome of a step but its inputs and the code.

    Raises
    ------
    EIPlatformError
        If the step cannot be: an unknown key or name, an impossible value, a missing file.
    """
    task = step.task
    held: dict[str, Any] = {"kind": task.kind}
    if isinstance(task, TrainTask):
        config = configuration(task, folder)
        held["config"] = config_hash(config)
        recorded = watched(step.id, task, config)
        held["record"] = {name: [spec.hash, *epochs] for name, (spec, epochs) in recorded.items()}
    elif isinstance(task, RecordTask):
        spec = recording_spec(task.spec, f"{step.id}: spec")
        held |= {"network": task.network, "label": task.label, "spec": spec.hash}
        held |= {} if task.reinit is None else {"reinit": task.reinit}
    elif isinstance(task, LesionTask):
        spec = recording_spec(task.spec, f"{step.id}: spec")
        held |= {"pathway": task.pathway, "layers": task.layers, "doses": task.doses, "controls": task.controls}
        held |= {"spec": spec.hash}
    elif isinstance(task, LesionStudyTask):
        from eiplatform.lesions.design_kinds import design_from

        name, design = design_from(task.design, where=f"{step.id}: design")
        held |= {"design": name, "parameters": design.model_dump(mode="json")}
        held |= {"shown": [task.split, task.samples, task.steps, task.input]}
    elif isinstance(task, ReferenceTask):
        held["file"] = sha256_of(output(step, Path()))
    elif isinstance(task, AnalyseTask):
        held |= {"analysis": _analysis(step.id, task), "options": task.options}
    elif isinstance(task, FigureTask):
        from eiplatform.figures import figure_names

        held["figure"] = choose(task.figure, figure_names(), "figure", where=f"{step.id}: figure")
    else:
        # The device changes the time a simulation takes, not its spikes.
        held["task"] = task.model_dump(mode="json", exclude={"over", "where", "at", "device", "jobs"})
        if not held["task"]["interventions"]:  # what was simulated before there were any stays valid
            del held["task"]["interventions"]
    return content_hash(held)


def _analysis(where: str, task: AnalyseTask) -> str:
    from eiplatform.analyses import analysis_names, find_analysis
    from eiplatform.analyses.parts.running import checked_options

    name = choose(task.analysis, analysis_names(), "analysis", where=f"{where}: analysis")
    checked_options(find_analysis(name), task.options, where=f"{where}: options")
    return name


def _module(kind: str, name: str) -> str:
    """Return the module that holds an analysis or a figure."""
    from eiplatform.discovery import discovered

    return next(found.module for found in discovered(kind) if found.name == name)


def modules(task: Task) -> tuple[str, ...]:
    """Return the modules whose code decides what a step makes."""
    if isinstance(task, TrainTask):
        return ("eiplatform.training.loop", *(["eiplatform.recording.series"] if task.record else []))
    if isinstance(task, RecordTask):
        initial = () if task.reinit is None else ("eiplatform.training",)
        return ("eiplatform.recording.network", "eiplatform.recording.checkpoint", *initial)
    if isinstance(task, LesionTask):
        return ("eiplatform.lesions.design", "eiplatform.recording.checkpoint")
    if isinstance(task, LesionStudyTask):
        return ("eiplatform.front.lesioning", _module("designs", str(task.design["design"]).replace("-", "_")))
    if isinstance(task, AnalyseTask):
        return (_module("analyses", task.analysis),)
    if isinstance(task, FigureTask):
        return (
            "eiplatform.figures",
            "eiplatform.figures.parts.page",
            "eiplatform.figures.grammar",
            _module("figures", task.figure),
        )
    return ("eiplatform.recording.circuit",) if isinstance(task, SimulateTask) else ()


def complete(job: Job) -> bool:
    """Whether a step's output is there, whole."""
    task = job.task
    if isinstance(task, TrainTask):
        from eiplatform.training.files import BEST, LAST, RESULT, UNTRAINED
        from eiplatform.training.finished import why_unfinished

        whole = all((job.out / name).is_file() for name in (RESULT, BEST, LAST, UNTRAINED))
        whole = whole and why_unfinished(job.out / BEST) is None
        return whole and all(
            _series_whole(job.out / "recordings" / name, watch.epochs) for name, watch in task.watches(job.id).items()
        )
    if isinstance(task, RecordTask | SimulateTask):
        from eiplatform.store.reader import is_whole

        return is_whole(job.out)
    if isinstance(task, LesionTask):
        return _design_whole(job.out)
    if isinstance(task, FigureTask):
        return all(job.out.with_suffix(ending).is_file() for ending in (".png", ".pdf", ".csv"))
    return job.out.is_file()


def _design_whole(place: Path) -> bool:
    from eiplatform.lesions.design import DESIGN, read_design
    from eiplatform.store.reader import is_whole

    if not (place / DESIGN).is_file():
        return False
    return all(is_whole(place / condition["name"]) for condition in read_design(place)["conditions"])


def _series_whole(series: Path, epochs: Sequence[float]) -> bool:
    from eiplatform.store.reader import is_whole
    from eiplatform.store.series import is_series, iterations_per_epoch, steps_of

    if not is_series(series):
        return False
    per_epoch = iterations_per_epoch(series)
    held = steps_of(series)
    return all(round(epoch * per_epoch) in held and is_whole(held[round(epoch * per_epoch)]) for epoch in epochs)


def perform(job: Job, *, resume: bool, progress: Progress) -> None:
    """Take a step.

    Parameters
    ----------
    job : Job
    resume : bool
        Go on with what an interrupted run of the very same step left.
    progress : callable
        Called with (done, total, message).
    """
    task = job.task
    job.out.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(task, TrainTask):
        with _one_thread():
            _train(job, task, resume, progress)
    elif isinstance(task, RecordTask):
        with _one_thread():
            _record(job, task, progress)
    elif isinstance(task, LesionTask):
        with _one_thread():
            _lesion(job, task, resume, progress)
    elif isinstance(task, LesionStudyTask):
        with _one_thread():
            _lesion_study(job, task)
    elif isinstance(task, SimulateTask):
        from eiplatform.recording.circuit import record_circuit

        options = task.model_dump(exclude={"kind", "over", "where", "at", "circuit", "interventions"})
        record_circuit(
            task.circuit,
            job.out,
            interventions=circuit_interventions(task.interventions, job.id),
            overwrite=True,
            progress=lambda fraction, message: progress(round(1000 * fraction), 1000, message),
            **options,
        )
    elif isinstance(task, AnalyseTask):
        from eiplatform.analyses.parts.running import analyse

        analyse(task.analysis, job.inputs["inputs"], job.inputs["nulls"], **task.options).save(job.out)
    elif isinstance(task, FigureTask):
        from eiplatform.analyses import load_result
        from eiplatform.figures import save

        save(task.figure, load_result(job.inputs["of"][0]), job.out.parent, stem=job.out.stem, svg=True)


def circuit_interventions(specs: Sequence[Mapping[str, Any]], step: str) -> list[Any]:
    """Return the interventions of a simulation, checked; those of Brian2 alone need no torch."""
    if not specs:
        return []
    from eiplatform.interventions.intervention import intervention_from

    return [intervention_from(spec, where=f"{step}: interventions") for spec in specs]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch compute on one thread: steps may run at the same time, and sums do not depend on the machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train(job: Job, task: TrainTask, resume: bool, progress: Progress) -> None:
    from eiplatform.recording.checkpoint import split_of
    from eiplatform.recording.series import TrainingRecorder
    from eiplatform.training import fit
    from eiplatform.training.files import STATE

    config = configuration(task, job.folder, job.data_root)
    recorders = [
        TrainingRecorder(
            job.out / "recordings" / name,
            split_of(config, spec.split),
            spec,
            epochs=epochs,
            config=config.model_dump(mode="json"),
        )
        for name, (spec, epochs) in watched(job.id, task, config).items()
    ]

    def observe(network: Any, iteration: int, per_epoch: int) -> None:
        for recorder in recorders:
            recorder(network, iteration, per_epoch)

    resume = resume and (job.out / STATE).is_file()
    if config.training.device == "cpu":
        keep_memory()  # the process is ours
    fit(config, job.out, progress=progress, observe=observe, resume=resume, overwrite=not resume)


def _record(job: Job, task: RecordTask, progress: Progress) -> None:
    from eiplatform.recording.checkpoint import open_checkpoint
    from eiplatform.recording.network import record_network

    spec = recording_spec(task.spec, f"{job.id}: spec")
    (training,) = job.inputs["of"]
    network, config, data = open_checkpoint(training / f"{task.network}.safetensors", spec.split)
    about = None
    if task.reinit is not None:
        from eiplatform.training import initialise

        network, about = initialise(config, task.reinit), {"kind": "reinit", "seed": task.reinit}
    record_network(
        network,
        data,
        job.out,
        spec,
        config=config.model_dump(mode="json"),
        label=task.label,
        null=about,
        overwrite=True,
        progress=progress,
    )


def _lesion_study(job: Job, task: LesionStudyTask) -> None:
    from eiplatform.front.lesioning import lesion_study

    result = lesion_study(
        list(job.inputs["of"]),
        task.design,
        task.split,
        samples=task.samples,
        steps=task.steps,
        input=task.input,
        path=job.out.with_suffix(""),
        quiet=True,
    )
    result.save(job.out)


def _lesion(job: Job, task: LesionTask, resume: bool, progress: Progress) -> None:
    from eiplatform.lesions.design import DESIGN, dose_response, doses_of
    from eiplatform.recording.checkpoint import open_checkpoint

    spec = recording_spec(task.spec, f"{job.id}: spec")
    (training,) = job.inputs["of"]
    network, config, data = open_checkpoint(training / "best.safetensors", spec.split)
    resume = resume and (job.out / DESIGN).is_file()
    dose_response(
        network,
        data,
        job.out,
        doses_of(task.pathway, task.doses, task.layers),
        spec,
        config=config.model_dump(mode="json"),
        n_controls=task.controls,
        overwrite=not resume,
        resume=resume,
        progress=progress,
    )
