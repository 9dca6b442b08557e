"""Studies: what is declared is what is done, once, in order, and what fails harms nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from eiplatform.cli.options import assignments
from eiplatform.errors import EIPlatformError, OutputExistsError
from eiplatform.study import Graph, Outcome, expand, find_study, load_study, run_study, status, status_of, study_names
from eiplatform.study.actions import Job
from eiplatform.study.code import code_version
from eiplatform.study.status import claim_study, clear_study

DIGITS = str(Path(__file__).resolve().parents[2] / "analyses" / "configs" / "digits-mlp.yml")

CHAIN: dict[str, Any] = {
    "title": "A chain",
    "question": "Does it hold?",
    "axes": {"name": ["brunel-2000-C", "potjans-diesmann-2014-10"]},
    "steps": {
        "circuit": {"kind": "reference", "over": "name", "name": "{name}"},
        "result": {"kind": "analyse", "over": "name", "analysis": "reference_check", "inputs": "circuit"},
        "all": {"kind": "analyse", "analysis": "reference_check", "inputs": "circuit"},
        "drawn": {"kind": "figure", "over": "name", "figure": "learning_curve", "of": "result"},
    },
}
"""Steps that need nothing, with which the order of things is tested; :func:`act` takes them."""

NETWORKS: dict[str, Any] = {
    "title": "Networks",
    "question": "Do they learn?",
    "axes": {"layer": ["ei", "bn"], "seed": [1, 2]},
    "steps": {
        "train": {
            "kind": "train",
            "over": ["layer", "seed"],
            "config": DIGITS,
            "set": [
                "network.layer={layer}",
                "seed={seed}",
                "network.hidden=[12]",
                "training.epochs=2",
                "training.warmup_epochs=0",
                "training.threads=1",
            ],
            "record": {"way": {"epochs": [0, 2], "spec": {"samples": 30, "populations": "*/E"}}},
        },
        "trained": {
            "kind": "record",
            "over": ["layer", "seed"],
            "where": {"layer": ["ei"]},
            "of": "train",
            "label": "{layer} {seed}",
            "spec": {"samples": 30, "populations": "*/E"},
        },
        "untrained": {
            "kind": "record",
            "over": ["layer", "seed"],
            "where": {"layer": ["ei"]},
            "of": "train",
            "network": "untrained",
            "label": "{layer} {seed} untrained",
            "spec": {"samples": 30, "populations": "*/E"},
        },
        "emergence": {
            "kind": "analyse",
            "analysis": "balance_emergence",
            "inputs": "train:way",
            "options": {"statistics": ["ei_ratio", "balance_index"]},
        },
        "layers": {
            "kind": "analyse",
            "analysis": "ei_versus_bn",
            "inputs": "trained",
            "nulls": "untrained",
            "options": {"statistics": ["ei_ratio"]},
        },
        "figure": {"kind": "figure", "figure": "balance_emergence", "of": "emergence"},
    },
}


def changed(study: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a copy of a study; keys are dotted by ``__``, None removes."""
    copy: dict[str, Any] = yaml.safe_load(yaml.safe_dump(study))
    for key, value in changes.items():
        *before, last = key.split("__")
        branch = copy
        for part in before:
            branch = branch[part]
        if value is None:
            del branch[last]
        else:
            branch[last] = value
    return copy


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Graph]:
    """Return a function that writes a study and expands it."""

    def write(study: dict[str, Any], *changes: str) -> Graph:
        path = tmp_path / "chain.yml"
        path.write_text(yaml.safe_dump(study))
        return expand(load_study(path, assignments(changes)))

    return write


def act(job: Job, *, resume: bool, progress: Any) -> None:
    """Take a step of the chain: leave its files, and a line in a log that tells the order."""
    with (job.out.parents[1] / "order.txt").open("a") as log:
        log.write(f"{job.id}\n")
    for taken in job.inputs.values():
        assert all(path.exists() for path in taken)
    job.out.parent.mkdir(exist_ok=True)
    for ending in (".png", ".pdf", ".csv") if job.task.kind == "figure" else (".nc",):
        job.out.with_suffix(ending).write_text(job.id)


def fail_one(job: Job, *, resume: bool, progress: Any) -> None:
    """Fail for one of two circuits."""
    if job.id == "result/brunel-2000-C":
        raise RuntimeError("no idea")
    act(job, resume=resume, progress=progress)


def killed(job: Job, *, resume: bool, progress: Any) -> None:
    """Be killed at one step, as for want of memory, and fail at another."""
    if job.id == "result/brunel-2000-C":
        os.kill(os.getpid(), signal.SIGKILL)
    if job.id == "all":
        raise RuntimeError("no idea")
    act(job, resume=resume, progress=progress)


def interrupted(job: Job, *, resume: bool, progress: Any) -> None:
    """Be interrupted at the first figure."""
    if job.task.kind == "figure":
        raise KeyboardInterrupt
    act(job, resume=resume, progress=progress)


def run(graph: Graph, out: Path, **options: Any) -> Outcome:
    return run_study(graph, out, quiet=True, **{"act": act, **options})


def test_axes_multiply_steps_and_match_them(written: Callable[..., Graph]) -> None:
    graph = written(NETWORKS)
    assert [name for name in graph.steps if name.startswith("train")][:4] == [
        "train/ei-1",
        "train/ei-2",
        "train/bn-1",
        "train/bn-2",
    ]
    assert graph.steps["trained/ei-2"].needs == ("train/ei-2",)
    assert "trained/bn-1" not in graph.steps
    assert set(graph.steps["layers"].needs) == {f"{a}/ei-{k}" for a in ("trained", "untrained") for k in (1, 2)}
    assert len(graph.steps["emergence"].needs) == 4
    order = list(graph.steps)
    assert all(order.index(need) < order.index(name) for name, step in graph.steps.items() for need in step.needs)
    assert list(written(NETWORKS, "axes.seed=[7]").steps)[0] == "train/ei-7"
    assert list(graph.only(["trained/ei-1"]).steps) == ["train/ei-1", "trained/ei-1"]
    assert list(graph.only(["train/*-2"]).steps) == ["train/ei-2", "train/bn-2"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steps__train__kind": "tran"}, "unknown kind of step 'tran' – did you mean 'train'"),
        ({"steps__train__epochs": 3}, "unknown key 'epochs'.*valid: kind, over, where, at, config"),
        ({"steps__trained__of": "trained"}, "the steps wait for each other: trained <- trained"),
        ({"steps__trained__of": "train1"}, "steps.trained.of: unknown step 'train1' – did you mean 'train'"),
        ({"steps__trained__of": "layers", "steps__layers__inputs": "trained"}, "wait for each other: .*layers"),
        ({"steps__figure__of": "train"}, "'train' is of kind train. valid: a step of kind analyse"),
        ({"steps__trained__over": ["layer"], "steps__trained__label": "x"}, "'train' has 2 instances here.*'seed'"),
        ({"steps__trained__over": ["layers"]}, "unknown axis 'layers' – did you mean 'layer'"),
        ({"steps__trained__label": "{sead}"}, "'{sead}' is not an axis.*valid: layer, seed"),
        ({"steps__emergence__inputs": "train:weg"}, "unknown recording made while training 'weg'.*valid: way"),
        ({"axes__seed": [1, 1]}, "two instances have one name"),
        ({"axes__seed": []}, "axes.seed.*at least 1"),
        ({"axes__seeds": [1]}, "no step is over the axis 'seeds' – did you mean 'seed'"),
        ({"steps__trained__where": {"colour": ["red"]}}, "unknown axis of this step 'colour'"),
        ({"title": None}, "title: .*required"),
        ({"steps__layers__inputs": None}, "steps.layers: inputs"),
        ({"steps__Train": {"kind": "reference", "name": "x"}}, "'Train' cannot name an axis, a constant or a step"),
    ],
)
def test_mistakes_are_told_at_once(written: Callable[..., Graph], changes: dict[str, Any], says: str) -> None:
    with pytest.raises(EIPlatformError, match=says):
        written(changed(NETWORKS, **changes))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steps__layers__analysis": "ei_versus_nb"}, "unknown analysis 'ei_versus_nb' – did you mean 'ei_versus_bn'"),
        ({"steps__layers__options": {"statistics": ["ei_ration"]}}, "unknown statistic 'ei_ration' – did you mean"),
        ({"steps__layers__options": {"bins": 3}}, "unknown option 'bins'. valid: statistics"),
        ({"steps__figure__figure": "learning"}, "unknown figure 'learning'"),
        ({"steps__train__set": ["seed={seed}", "trainin.epochs=2"]}, "unknown key 'trainin' – did you mean 'training'"),
        ({"steps__train__config": "nowhere.yml"}, "nowhere.yml: this file does not exist"),
        (
            {"steps__trained__spec": {"sample": 3}},
            "trained/ei-1: spec: sample: unknown key 'sample' – did you mean 'samples'",
        ),
        ({"steps__trained__spec": {"populations": "fc9/E"}}, "no population matches 'fc9/E'"),
        (
            {"steps__train__record__way__epoch": 1},
            "train/ei-1: record.way: epoch: unknown key 'epoch' – did you mean 'epochs'",
        ),
        ({"steps__train__record__way__epochs": [0, 3]}, "record.way: epochs .* not all in the training. valid: 0 to 2"),
        ({"steps__emergence__over": 3}, "steps.emergence: over: 3 is not possible"),
        ({"steps__train__record__way__spec": {"split": "test"}}, "test images are kept for the end of training"),
        ({"steps__train__set": ["seed={seed}", "network.layer={layer}", "dataset.name=svhn"]}, "unknown data set"),
        ({"steps__extra": {"kind": "simulate", "circuit": "brunel-200"}}, "unknown circuit 'brunel-200'"),
        ({"steps__extra": {"kind": "reference", "name": "brunel"}}, "brunel.nc does not exist"),
    ],
)
def test_what_cannot_be_is_told_before_anything_runs(
    written: Callable[..., Graph], tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(EIPlatformError, match=says):
        run(written(changed(NETWORKS, **changes)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_data_set_is_told_before_anything_runs(written: Callable[..., Graph], tmp_path: Path) -> None:
    settings = [*NETWORKS["steps"]["train"]["set"], "dataset.name=fashion-mnist"]
    graph = written(changed(NETWORKS, steps__train__set=settings))
    (tmp_path / "empty").mkdir()
    with pytest.raises(EIPlatformError, match="fashion-mnist|Fashion-MNIST"):
        run(graph, tmp_path / "out", data_root=str(tmp_path / "empty"))
    assert not (tmp_path / "out").exists()


def test_steps_are_taken_once_and_again_only_where_something_changed(
    written: Callable[..., Graph], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = run(written(CHAIN), out)
    assert len(first.done) == 5 and not first.failed and len(first.skipped) == 2  # references are there already
    again = run(written(CHAIN), out)
    assert not again.done and len(again.skipped) == 7
    (out / "results" / "result-brunel-2000-C.nc").unlink()
    assert list(run(written(CHAIN), out).done) == ["result/brunel-2000-C"]
    # Another order of keys and another title are no change; another option is, and what takes its result.
    other = changed(CHAIN, title="Another", steps__result__options={}, steps__all__inputs=["circuit"])
    other["steps"] = dict(reversed(other["steps"].items()))
    assert not run(written(other), out).done
    less = changed(CHAIN, axes__name=["brunel-2000-C"])
    assert list(run(written(less), out).done) == ["all"]


def test_a_changed_code_is_seen_and_can_be_put_up_with(
    written: Callable[..., Graph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, graph = tmp_path / "out", written(CHAIN)
    run(graph, out)
    monkeypatch.setattr(
        status,
        "code_version",
        lambda modules: "new" if "eiplatform.analyses.reference_check" in modules else code_version(modules),
    )
    found = status_of(graph, out)
    assert {name: state.why for name, state in found.items() if not state.up_to_date} == {
        name: "the code changed" for name in graph.steps if not name.startswith("circuit")
    }
    assert all(state.up_to_date for state in status_of(graph, out, any_code=True).values())


def test_headers_of_kernels_are_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from eiplatform.study import code

    folder = tmp_path / "eiplatform" / "networks"
    folder.mkdir(parents=True)
    (folder / "one.py").write_text("x = 1\n")
    monkeypatch.setattr(code, "_ROOT", tmp_path)
    found = []
    for text in ("int f();", "int g();"):
        for ending in ("cpp", "hpp", "h"):
            (folder / f"kernel.{ending}").write_text(text)
            code._parsed_file.cache_clear()
            found.append(code_version(["eiplatform.networks.one"]))
    code._parsed_file.cache_clear()
    assert len(set(found)) == 6


def test_what_gathers_a_kind_reaches_all_files_of_it() -> None:
    from eiplatform.study.code import reachable

    assert {"eiplatform.networks.layers.ei", "eiplatform.networks.neurons.lif"} <= set(
        reachable(["eiplatform.training.loop"])
    )
    assert not [name for name in reachable(["eiplatform.analyses.balance"]) if "figures" in name]


def test_constants_and_sums_fill_texts(written: Callable[..., Graph]) -> None:
    study = changed(
        NETWORKS,
        constants={"epochs": 2, "images": {"samples": 30, "populations": "*/E"}},
        steps__trained__spec="{images}",
        steps__trained__reinit="{1000 * (seed + 1) + epochs}",
        steps__trained__network="untrained",
        steps__trained__at="recordings/{layer}-{seed}",
        variants={"short": {"constants.epochs": 1, "axes.seed": [5]}},
    )
    task = written(study).steps["trained/ei-2"].task
    assert task.reinit == 3002 and task.spec["samples"] == 30 and task.at == "recordings/ei-2"
    path = written(study).study.file
    short = expand(load_study(path, variant="short"))
    assert short.steps["trained/ei-5"].task.reinit == 6001
    assert expand(load_study(path, {"constants.epochs": 7}, "short")).steps["trained/ei-5"].task.reinit == 6007
    with pytest.raises(EIPlatformError, match="unknown variant 'shorter'"):
        load_study(path, variant="shorter")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"constants": {"seed": 1}}, "'seed' names an axis and a constant"),
        ({"steps__trained__reinit": "{seed / 2}"}, "reinit"),
        ({"steps__trained__reinit": "{layer + 1}"}, "cannot be computed"),
        ({"steps__trained__at": "../elsewhere-{seed}"}, "cannot name a place"),
        ({"steps__trained__at": "recordings/all"}, "two steps leave their output at 'recordings/all'"),
        ({"steps__layers__inputs": "trained/ei-3"}, "unknown step 'trained/ei-3'.*valid: trained/ei-1, trained/ei-2"),
        (
            {"steps__hurt": {"kind": "lesion", "of": "layers", "doses": [0]}},
            "'layers' is of kind analyse. valid: a step of kind train",
        ),
    ],
)
def test_mistakes_in_places_and_sums_are_told(
    written: Callable[..., Graph], changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(EIPlatformError, match=says):
        written(changed(NETWORKS, **changes))


def test_a_study_is_cleared_only_where_nobody_runs_it(written: Callable[..., Graph], tmp_path: Path) -> None:
    out, graph = tmp_path / "out", written(CHAIN)
    clear_study(out)
    run(graph, out)
    with claim_study(out, graph.study.name), pytest.raises(OutputExistsError):
        clear_study(out)
    assert (out / "study.json").is_file()
    clear_study(out)
    assert not out.exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "data").touch()
    with pytest.raises(OutputExistsError):
        clear_study(tmp_path / "mine")
    assert (tmp_path / "mine" / "data").exists()


def test_one_instance_can_be_taken(written: Callable[..., Graph]) -> None:
    graph = written(changed(NETWORKS, steps__layers__inputs="trained/ei-2"))
    assert [source.step for source in graph.steps["layers"].sources["inputs"]] == ["trained/ei-2"]


def test_code_is_what_computes_and_not_how_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from eiplatform.study import code

    folder = tmp_path / "eiplatform" / "figures"
    folder.mkdir(parents=True)
    texts = {
        "same": '"""New words."""\n\n# a remark\ndef f(x):\n    """Say it."""\n    return (x\n        + 1)\n',
        "other": "def f(x):\n    return x + 2\n",
        "": "def f(x):\n    return x + 1\n",
    }
    monkeypatch.setattr(code, "_ROOT", tmp_path)
    found = {}
    for name, text in texts.items():
        (folder / "one.py").write_text(text)
        (folder / "two.py").write_text("from eiplatform.figures.one import f\n")
        code._parsed_file.cache_clear()
        found[name] = code_version(["eiplatform.figures.two"])
    code._parsed_file.cache_clear()
    assert found["same"] == found[""] != found["other"]


def test_a_failure_stops_only_what_needs_it(written: Callable[..., Graph], tmp_path: Path) -> None:
    out, graph = tmp_path / "out", written(CHAIN)
    outcome = run(graph, out, act=fail_one)
    assert set(outcome.done) == {"result/potjans-diesmann-2014-10", "all", "drawn/potjans-diesmann-2014-10"}
    assert "RuntimeError: no idea" in outcome.failed["result/brunel-2000-C"]
    assert outcome.blocked == ["drawn/brunel-2000-C"]
    assert "fail_one" in next((out / ".steps").glob("*.log")).read_text()  # the traceback
    assert list(run(graph, out).done) == ["result/brunel-2000-C", "drawn/brunel-2000-C"]


def test_processes_fail_their_steps_alone(written: Callable[..., Graph], tmp_path: Path) -> None:
    outcome = run(written(CHAIN), tmp_path / "out", act=killed, jobs=2)
    assert set(outcome.failed) == {"result/brunel-2000-C", "all"}
    assert "ended with status -9" in outcome.failed["result/brunel-2000-C"]
    assert "RuntimeError: no idea" in outcome.failed["all"]
    assert set(outcome.done) == {"result/potjans-diesmann-2014-10", "drawn/potjans-diesmann-2014-10"}


def test_an_interruption_keeps_what_was_done(written: Callable[..., Graph], tmp_path: Path) -> None:
    out, graph = tmp_path / "out", written(CHAIN)
    with pytest.raises(KeyboardInterrupt):
        run(graph, out, act=interrupted)
    found = status_of(graph, out)
    assert [name for name, state in found.items() if not state.up_to_date] == [
        name for name in found if "drawn" in name
    ]
    assert sum(state.why == "was interrupted" for state in found.values()) == 1
    assert all("drawn" in name for name in run(graph, out).done)


def test_a_directory_is_one_study_and_one_process(written: Callable[..., Graph], tmp_path: Path) -> None:
    graph, out = written(CHAIN), tmp_path / "out"
    with claim_study(out, "chain"), pytest.raises(OutputExistsError, match="another process runs this study"):
        run(graph, out)
    with pytest.raises(OutputExistsError, match="holds the study 'chain', not 'other'"), claim_study(out, "other"):
        pass
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="not empty"):
        run(graph, tmp_path / "mine")


def test_the_example_of_the_guide_can_be_taken(tmp_path: Path) -> None:
    text = (Path(DIGITS).parents[2] / "docs" / "studies.md").read_text()
    study = yaml.safe_load(text.partition("```yaml")[2].partition("```")[0])
    study["steps"]["train"]["config"] = DIGITS
    (tmp_path / "example.yml").write_text(yaml.safe_dump(study))
    found = status_of(expand(load_study(tmp_path / "example.yml")), tmp_path / "out")
    assert [name for name, state in found.items() if state.up_to_date] == ["microcircuit"] and len(found) == 9


def test_studies_that_ship_can_be_taken() -> None:
    assert {"ei_versus_bn", "balance_emergence", "systems"} <= set(study_names())
    for name in study_names():
        graph = expand(load_study(find_study(name)))
        found = status_of(graph, Path("nowhere"))
        assert name == "demo" or len(graph.study.axes["seed"]) >= 3
        assert not any(state.up_to_date for key, state in found.items() if graph.steps[key].task.kind != "reference")
    with pytest.raises(EIPlatformError, match="unknown study 'ei_versus_nb' – did you mean 'ei_versus_bn'"):
        find_study("ei_versus_nb")
    with pytest.raises(EIPlatformError, match="does not exist"):
        find_study("my/own.yml")
