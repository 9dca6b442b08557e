"""What can be known to go wrong before anything runs: missing data, impossible recordings, circuits."""

from __future__ import annotations

from collections.abc import Sequence

from eiplatform.files import content_hash
from eiplatform.recording.spec import RecordingSpec
from eiplatform.study.actions import circuit_interventions, configuration, recording_spec, watched
from eiplatform.study.graph import Graph, Step
from eiplatform.study.spec import LesionTask, RecordTask, SimulateTask, TrainTask

__all__ = ["check_steps"]


def check_steps(steps: Sequence[Step], graph: Graph, data_root: str | None = None) -> None:
    """Raise if one of these steps cannot be taken: read the data, build the networks, resolve what to record.

    Parameters
    ----------
    steps : sequence of Step
        Those that are not up to date.
    graph : Graph
        All.
    data_root : str, optional
        Folder with the data sets' files.

    Raises
    ------
    EIPlatformError
    """
    seen: set[str] = set()
    for step in steps:
        task = step.task
        if isinstance(task, TrainTask):
            config = configuration(task, graph.study.file.parent)
            specs = [spec for spec, _ in watched(step.id, task, config).values()]
            _check_networks(step, task, specs, graph, data_root, seen)
        elif isinstance(task, RecordTask | LesionTask):
            if isinstance(task, LesionTask):
                from eiplatform.lesions.design import doses_of

                doses_of(task.pathway, task.doses, task.layers)
            (source,) = step.sources["of"]
            training = graph.steps[source.step].task
            assert isinstance(training, TrainTask)
            _check_networks(step, training, [recording_spec(task.spec, f"{step.id}: spec")], graph, data_root, seen)
        elif isinstance(task, SimulateTask):
            from eiplatform.recording.circuit import check_simulation

            check_simulation(
                task.circuit,
                interventions=circuit_interventions(task.interventions, step.id),
                **task.model_dump(exclude={"kind", "over", "where", "at", "circuit", "label", "interventions"}),
            )


def _check_networks(
    step: Step, task: TrainTask, specs: Sequence[RecordingSpec], graph: Graph, data_root: str | None, seen: set[str]
) -> None:
    """Check what is the same for all seeds once."""
    from eiplatform.datasets import open_dataset, split_validation
    from eiplatform.errors import ConfigError
    from eiplatform.networks import build_network
    from eiplatform.recording.plan import make_plan

    config = configuration(task, graph.study.file.parent, data_root)
    about = config.model_dump(mode="json", exclude={"seed", "training"})
    key = content_hash([about, [spec.hash for spec in specs]])
    if key in seen:
        return
    seen.add(key)
    data = open_dataset(config)
    network = build_network(config, data.info.input_shape, data.info.n_classes)
    train, validation = split_validation(data.train, config.dataset.validation, config.seed)
    for spec in specs:
        if spec.split == "test" and step.task is task:
            raise ConfigError(
                "the test images are kept for the end of training",
                where=f"{step.id}: record",
                remedy="set split: validation (or train) in the spec",
            )
        make_plan(network, {"train": train, "validation": validation, "test": data.test}[spec.split], spec)
