"""Lesion studies: stacked equals one by one, controls match, cells are kept, known games and losses come out."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
import yaml

import eiplatform as ei
from eiplatform.cli.app import main
from eiplatform.datasets import Split, load
from eiplatform.errors import ConfigError, UnknownNameError
from eiplatform.lesions import engine as engine_module
from eiplatform.lesions.cells import Cell, Images
from eiplatform.lesions.design_kinds import design_from, design_types
from eiplatform.lesions.engine import Engine
from eiplatform.lesions.operating_point import restored_rates
from eiplatform.networks import Network
from eiplatform.networks.worlds import Worlds
from eiplatform.recording.spec import RecordingSpec
from eiplatform.statistics.kernels.games import interaction, shapley_values
from eiplatform.study import expand, find_study, load_study
from tests.unit.test_interventions import ALL, MAKERS, SUB, _first, _make, _run

TRAINING: dict[str, Any] = {"training": {"epochs": 2, "warmup_epochs": 0}, "network": {"hidden": [24, 16]}}


@pytest.fixture(scope="module")
def runs() -> list[ei.Run]:
    return [ei.train("digits-mlp", seed=seed, quiet=True, **TRAINING) for seed in (1, 2, 3)]


@pytest.fixture(scope="module")
def network(runs: list[ei.Run]) -> Network:
    return runs[0].network


@pytest.fixture(scope="module")
def images() -> Split:
    return load("digits").test.take(np.arange(60))


@pytest.mark.parametrize("name", ["ei", "ei-cnn", "bn", "none-cnn", "dann"])
def test_worlds_are_what_runs_one_by_one_give(name: str) -> None:
    network, x = _make(name)
    pathway = MAKERS[name][2]
    second = list(network.named_layers())[1]
    worlds = [[make(pathway, _first(network, pathway))] for make in ALL]
    worlds += [
        [ei.Scale(pathway, 0.3, layers=second)],
        [ei.Mean(pathway, layers="readout")],
        [ei.Scale(pathway, 0.3, layers=second), ei.Scale("input->E", 0.5, layers="readout")],
        [ei.RandomSynapseLoss(0.3, layers=second)],
        [ei.RandomSynapseLoss(0.3, seed=2)],
    ]
    shared: list[tuple[int, ...]] = []
    found = Worlds(network, worlds).run(x, 5, 4, {}, lambda seen: shared.append(seen.worlds))
    for index, world in enumerate(worlds):
        with network.intervene(*world):
            logits, _ = _run(network, x, 5)
        torch.testing.assert_close(found[index], logits, rtol=1e-9, atol=1e-9)
    assert max(map(len, shared)) == 4  # they did run together


def test_residual_networks_have_worlds_too() -> None:
    from eiplatform.config import load_config
    from eiplatform.networks import build_network, initialise_network

    settings = load_config(None, ["network.architecture=resnet18", "network.width=0.03125"])
    network = build_network(settings, (3, 8, 8), 3).double().eval()
    x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    with torch.no_grad():
        initialise_network(network, x, torch.Generator().manual_seed(1))
    names = list(network.named_layers())
    worlds = [[ei.Scale(SUB, factor, layers=names[place])] for factor, place in ((0.5, 4), (0.0, 4), (0.5, 9))]
    found = Worlds(network, worlds).run(x, 3, 8, {}, lambda _: None)
    for index, world in enumerate(worlds):
        with network.intervene(*world):
            torch.testing.assert_close(found[index], _run(network, x, 3)[0], rtol=1e-9, atol=1e-9)


def test_stacked_cells_are_those_of_single_runs(network: Network, images: Split) -> None:
    _, design = design_from({"design": "dose-response", "doses": [-0.5, 0.5], "draws": 2})
    found = []
    exact = copy.deepcopy(network).double()  # no spike on either side of the threshold by rounding
    for stacked in (True, False):
        engine = Engine(exact, images, RecordingSpec(input="bernoulli"), stacked=stacked)
        found.append(engine.run(design.cells(engine)))
    xr.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)
    with torch.inference_mode():
        logits = network.run(torch.from_numpy(images.images), network.steps).logits
    engine = Engine(network, images, RecordingSpec())
    alone = engine.run([Cell((), {"role": "intact"})])
    assert (alone["correct"].values[0] == (logits.argmax(1).numpy() == images.labels)).all()


def test_readouts_are_those_of_a_recording(network: Network, images: Split) -> None:
    one = ei.Scale(SUB, 0.5, layers="fc1")
    engine = Engine(network, images, RecordingSpec())
    cell = engine.run([Cell((one,), {"role": "lesion"})]).isel(cell=0)
    with network.intervene(one):
        tree = ei.record(network, images, quiet=True)
    for layer in ("fc1", "fc2"):
        data = tree[f"{layer}/E"]
        spikes = data["spikes"].values
        counts, most = spikes.sum((0, 1)), spikes.shape[0] * spikes.shape[1]
        read = cell.sel(layer_read=layer)
        for name in ("current_exc", "current_inh", "gain"):
            assert float(read[name]) == pytest.approx(float(data[name].mean()), rel=1e-4)
        rates = counts / most
        assert float(read["rate"]) == pytest.approx(rates.mean(), rel=1e-6)
        assert float(read["silent"]) == (counts == 0).mean() and float(read["always_on"]) == (counts == most).mean()
        assert float(read["sparseness"]) == pytest.approx(1 - rates.mean() ** 2 / (rates**2).mean())


def test_controls_match_the_lesion(network: Network, images: Split) -> None:
    engine = Engine(network, images, RecordingSpec())
    _, design = design_from(
        {"design": "dose-response", "pathways": [SUB], "layers": ["fc1"], "doses": [0.5], "draws": 8}
    )
    cells = design.cells(engine)
    data = engine.run(cells)
    intact, lesion = (data.isel(cell=i).sel(layer_read="fc1") for i in (0, 1))
    exc, inh = float(intact["current_exc"]), float(intact["current_inh"])
    taken = 0.5 * inh
    assert inh - float(lesion["current_inh"]) == pytest.approx(taken, rel=1e-5)
    random = data.isel(cell=np.flatnonzero(data["role"] == "random")).sel(layer_read="fc1")
    lost = exc + inh - random["current_exc"].values - random["current_inh"].values
    assert lost.mean() == pytest.approx(taken, abs=4 * lost.std(ddof=1) / np.sqrt(8))
    layer = network.named_layers()["fc1"]
    for cell in (cell for cell in cells if cell.about.get("role") == "random"):  # as many synapses as was said
        (loss,) = cell.interventions
        with network.intervene(loss):
            kept = layer.lesion.input_exc.float()  # type: ignore[union-attr]
        assert float(1 - kept.mean()) == pytest.approx(taken / (exc + inh), abs=4 * (0.25 / kept.numel()) ** 0.5)
    shift = data.isel(cell=np.flatnonzero(data["role"] == "shift")).sel(layer_read="fc1")
    net = [float((one["current_exc"] - one["current_inh"]).squeeze()) for one in (lesion, shift)]
    assert net[0] == pytest.approx(net[1], rel=1e-5) and float(shift["current_inh"].squeeze()) == pytest.approx(
        inh, rel=1e-5
    )
    mean = data.isel(cell=np.flatnonzero(data["role"] == "mean")).sel(layer_read="fc1")
    assert float(mean["current_inh"].squeeze()) == pytest.approx(inh, rel=1e-5)


def test_rates_are_restored(network: Network, images: Split) -> None:
    x = torch.from_numpy(images.images)
    lesion = ei.Scale(SUB, 0.5, layers="fc1")

    def rates(*interventions: Any) -> list[np.ndarray]:
        record = {f"fc{i}/E": frozenset({"spikes"}) for i in (1, 2)}
        with torch.inference_mode():
            if not interventions:
                signals = network.run(x, None, record).signals
            else:
                with network.intervene(*interventions):
                    signals = network.run(x, None, record).signals
        return [signals[name]["spikes"].mean((0, 1)).numpy() for name in record]

    intact, lesioned = rates(), rates(lesion)
    restored = rates(lesion, *restored_rates(network, [lesion], x, network.steps))
    for before, cut, after in zip(intact, lesioned, restored, strict=True):
        assert np.abs(cut - before).mean() > 0.02
        assert np.abs(after - before).max() < 0.02  # a step of the count of 60 images and 4 steps, and ties


def test_cells_are_kept_and_only_what_changed_is_run_again(
    network: Network, images: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = (images.images, images.labels)
    options: dict[str, Any] = {"path": tmp_path, "quiet": True, "controls": ["shift"], "layers": ["each"]}
    monkeypatch.setattr(engine_module, "WORLDS", 2)
    ran: list[int] = []
    run_group = Engine._run_group

    def counted(self: Engine, cells: list[Cell], parameter: torch.Tensor) -> list[xr.Dataset]:
        if len(ran) == 3 and stop:
            raise KeyboardInterrupt
        ran.append(len(cells))
        return run_group(self, cells, parameter)

    monkeypatch.setattr(Engine, "_run_group", counted)
    stop = True
    with pytest.raises(KeyboardInterrupt):
        ei.lesion_study(network, data=pair, doses=[0.5], **options)
    kept = len(list((tmp_path / "cells").glob("*.npz")))
    assert kept == sum(ran)  # nothing but what was at work is lost
    stop = False
    whole = ei.lesion_study(network, data=pair, doses=[0.5], **options).data
    assert sum(ran) == whole.sizes["cell"]
    before = sum(ran)
    again = ei.lesion_study(network, data=pair, doses=[0.5], **options).data
    assert sum(ran) == before
    xr.testing.assert_equal(whole["correct"], again["correct"])
    with torch.no_grad():
        weight = network.named_layers()["fc1"].get_parameter("weight_exc")
        old = weight.clone()
        weight.mul_(1.01)
        ei.lesion_study(network, data=pair, doses=[0.5], **options)
        weight.copy_(old)
    assert sum(ran) == 2 * before  # other weights, other cells
    saved = ei.open(tmp_path / "result.nc")
    assert saved.findings()


def test_shapley_values_of_known_games() -> None:
    random = np.random.default_rng(0)
    weights = random.random(5)
    every = [members for size in range(6) for members in itertools.combinations(range(5), size)]
    additive = {members: np.array(weights[list(members)].sum()) for members in every}
    np.testing.assert_allclose(shapley_values(additive, 5)[0], weights)
    unanimity = {members: np.array(float({0, 2} <= set(members))) for members in every}
    np.testing.assert_allclose(shapley_values(unanimity, 5)[0], [0.5, 0, 0.5, 0, 0], atol=1e-12)
    game = {members: random.random(3) for members in every}
    value, error = shapley_values(game, 5)
    np.testing.assert_allclose(value.sum(0), game[tuple(range(5))] - game[()])
    assert (error == 0).all() and interaction(additive, 0, 1) == pytest.approx(0)
    orders = [random.permutation(5) for _ in range(12)]
    drawn = {tuple(sorted(order[:size].tolist())) for order in orders for size in range(6)}
    if len(drawn) < len(every):
        value, error = shapley_values({members: game[members] for members in drawn}, 5)
        np.testing.assert_allclose(value.sum(0), game[tuple(range(5))] - game[()])
        assert (error > 0).any()


def test_a_study_over_seeds_tests_over_networks(runs: list[ei.Run]) -> None:
    options: dict[str, Any] = {"samples": 60, "quiet": True}
    result = ei.lesion_study(runs, doses=[0.9], layers=["*"], pathways=[SUB], controls=["shift", "restored"], **options)
    data = result.data
    assert dict(data["accuracy"].sizes) == {"network": 3, "cell": 4}
    change = data["accuracy"].values[:, 1] - data["accuracy"].values[:, 0]
    assert float(data["change"][1]) == pytest.approx(change.mean())
    assert data["change_low"][1] <= data["change"][1] <= data["change_high"][1]
    assert any("t test over 3 networks" in finding for finding in result.findings())
    assert [len(table.rows) for table in result.tables()] == [1, 1]  # accuracy, and confidence
    one = ei.lesion_study(runs[0], doses=[0.9], layers=["*"], pathways=[SUB], controls=[], **options)
    assert any("One network" in finding for finding in one.findings())


@pytest.mark.parametrize(
    "design",
    [
        {"design": "shapley", "layers": ["fc1", "fc2"], "pathways": [SUB]},
        {"design": "neuron-ranking", "neurons": 3},
        {"design": "pairs", "layers": ["fc1", "fc2"], "pathways": [SUB, "input->I"]},
        {"design": "dissociation", "images": [{"kind": "noise", "level": 0.3}]},
        {"design": "time-limited", "width": 2},
        {"design": "what-matters", "layers": ["fc1"]},
        {"design": "recovery", "iterations": [0, 3], "doses": [0.9]},
        {"design": "perturbation", "populations": ["fc1/I"], "fractions": [0.5, 1.0]},
        {"design": "dose-response", "match": "current", "doses": [0.05], "controls": ["random"], "draws": 1},
        {"design": "dose-response", "doses": [0.5], "controls": [], "images": [{"kind": "noise", "level": 0.3}]},
    ],
)
def test_every_design_runs_and_says_something(network: Network, images: Split, design: dict[str, Any]) -> None:
    pathways = [SUB, "input->I"] if design.get("match") else None
    design = {**design, "pathways": pathways} if pathways else design
    result = ei.lesion_study(network, design, (images.images, images.labels), quiet=True)
    assert result.findings() and result.tables()[0].rows
    checks = json.loads(result.data.attrs["checks"])[0]
    assert checks and any(check["changed"] for check in checks.values())
    if design["design"] == "neuron-ranking":
        assert any("interchangeable" in finding for finding in result.findings())
    if design.get("match"):  # every cell takes as much current, wherever it can
        data = result.data.isel(network=0)
        total = float((data["current_exc"] + data["current_inh"]).isel(cell=0).sel(layer_read="fc1"))
        cell = np.flatnonzero((data["layers"] == "fc1") & (data["pathway"] == SUB) & (data["role"] == "lesion"))[0]
        left = float((data["current_exc"] + data["current_inh"]).isel(cell=cell).sel(layer_read="fc1"))
        assert total - left == pytest.approx(0.05 * total, rel=1e-4)


def test_recovery_learns_under_the_lesion_and_leaves_the_network_alone(network: Network, images: Split) -> None:
    weights = {key: value.clone() for key, value in network.state_dict().items()}
    result = ei.lesion_study(
        network, "recovery", "test", doses=[0.9], iterations=[0, 40], learning_rate=1.0, samples=100, quiet=True
    )
    data = result.data.isel(network=0)
    assert data["role"].values.tolist() == ["intact", "lesion", "lesion", "tuned", "tuned"]
    accuracy = dict(
        zip(zip(data["role"].values, data["iteration"].values, strict=True), data["accuracy"].values, strict=True)
    )
    assert accuracy["lesion", 0] < accuracy["lesion", 40]
    assert accuracy["tuned", 0] == accuracy["intact", 0]
    left = data["current_inh"].sel(layer_read="fc1").values  # the lesion is in force while it learns
    assert left[1] == pytest.approx(0.1 * left[0], rel=1e-4) and left[2] < 0.5 * left[0]
    assert all(torch.equal(value, weights[key]) for key, value in network.state_dict().items())
    with pytest.raises(ConfigError):
        ei.lesion_study(network, "recovery", "test", iterations=[5], quiet=True)


def test_all_designs_are_listed_and_tested() -> None:
    assert set(design_types()) == set(ei.list("designs"))
    assert set(design_types()) == {
        "dose-response", "shapley", "neuron-ranking", "time-limited", "what-matters", "perturbation", "recovery",
        "pairs", "dissociation",
    }  # fmt: skip


def test_images_are_disturbed_as_said() -> None:
    pixels = np.random.default_rng(1).random((50, 1, 10, 10)).astype(np.float32)
    ids = np.arange(50)
    contrast = Images("contrast", 0.2).disturb(pixels, ids)
    np.testing.assert_allclose(contrast - 0.5, 0.2 * (pixels - 0.5), atol=1e-6)
    covered = Images("occlusion", 0.25).disturb(pixels + 0.1, ids)
    assert ((covered == 0).sum((1, 2, 3)) == 25).all()
    noisy = Images("noise", 0.1).disturb(np.full_like(pixels, 0.5), ids)
    assert np.std(noisy) == pytest.approx(0.1, rel=0.05) and np.mean(noisy) == pytest.approx(0.5, abs=0.01)
    some = Images("noise", 0.1).disturb(np.full_like(pixels[7:9], 0.5), ids[7:9])
    assert np.array_equal(some, noisy[7:9])  # whatever else is shown


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"design": "dose-respons"}, "dose-response"),
        ({"doses": [0.5], "pathways": ["recurrent->E"]}, SUB),
        ({"doses": [1.5]}, None),
        ({"doses": [0]}, None),
        ({"dosis": [0.5]}, "doses"),
        ({"doses": [0.5], "layers": ["fc7"]}, "fc1"),
        ({"design": "time-limited", "width": 9}, None),
        ({"design": "shapley", "pathways": [SUB], "layers": ["fc1"]}, None),
    ],
)
def test_bad_designs_are_one_message(
    network: Network, images: Split, options: dict[str, Any], names: str | None
) -> None:
    given = dict(options)
    design = given.pop("design", "dose-response")
    with pytest.raises((ConfigError, UnknownNameError)) as caught:
        ei.lesion_study(network, design, (images.images, images.labels), quiet=True, **given)
    assert names is None or names in str(caught.value)


def test_the_command_does_the_same(runs: list[ei.Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = runs[0].save(tmp_path / "run").path
    out = tmp_path / "study"
    arguments = [
        "lesion",
        "dose-response",
        str(place),
        "--out",
        str(out),
        "--samples",
        "30",
        "--set",
        "doses=[0.5]",
        "controls=[]",
    ]
    assert main(arguments) == 0
    assert "Lesions: dose-response" in capsys.readouterr().out
    design = tmp_path / "design.yml"
    design.write_text("design: what-matters\nlayers: [fc1]\n")
    assert main(["lesion", str(design), str(place), "--out", str(tmp_path / "matters"), "--samples", "30"]) == 0
    assert ei.open(tmp_path / "matters" / "result.nc").data.attrs["design"] == "what-matters"
    capsys.readouterr()
    for wrong, words in (
        (["dose-response", str(place), "--out", str(out), "--set", "doses=[7]"], "doses"),
        (["dose-response", str(tmp_path / "none"), "--out", str(out)], "none"),
        (["dose-response", "--out", str(out)], "network"),
        (["dose-response", str(place), "--out", str(out), "--doses", "0.5"], "--set"),
        ([str(place), "--out", str(out), "--set", "doses=[0.5]"], "design"),
        ([str(place), str(place), "--out", str(out)], "design"),
        (["shapely", str(place), "--out", str(out)], "shapley"),
        ([str(tmp_path / "none.yml"), str(place), "--out", str(out)], "none.yml"),
    ):
        assert main(["lesion", *wrong]) == 2
        assert words in capsys.readouterr().err
    spec = tmp_path / "spec.yml"
    spec.write_text("- {kind: Scale, target: I->E subtractive, factor: 0.5, layers: fc1, steps: [1, 3]}\n")
    assert (
        main(["record", str(place), "--out", str(tmp_path / "rec"), "--samples", "20", "--intervene", str(spec)]) == 0
    )
    (lesion,) = ei.open(tmp_path / "rec").attrs["source"]["lesions"]
    assert lesion["spec"]["steps"] == [1, 3] and lesion["check"]["changed"]
    spec.write_text("- {kind: Scale, target: I->E subtractiv, factor: 0.5}\n")
    assert main(["record", str(place), "--out", str(tmp_path / "no"), "--intervene", str(spec)]) == 2
    assert not (tmp_path / "no").exists()
    capsys.readouterr()


def test_a_study_makes_lesion_studies_over_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "study.yml"
    file.write_text(
        yaml.safe_dump(
            {
                "title": "t",
                "question": "q?",
                "axes": {"seed": [1, 2]},
                "steps": {
                    "train": {
                        "kind": "train",
                        "over": ["seed"],
                        "config": str(Path(ei.__file__).parent / "analyses" / "configs" / "digits-mlp.yml"),
                        "set": ["seed={seed}", "network.hidden=[12]", "training.epochs=1", "training.warmup_epochs=0"],
                    },
                    "lesions": {
                        "kind": "lesion-study",
                        "of": "train",
                        "samples": 30,
                        "design": {
                            "design": "dose-response",
                            "doses": [0.25, 0.5],
                            "controls": ["shift"],
                            "pathways": [SUB],
                        },
                    },
                    "figure": {"kind": "figure", "figure": "lesion_study", "of": "lesions"},
                },
            }
        )
    )
    assert main(["study", str(file), "--out", str(tmp_path / "out")]) == 0
    result = ei.open(tmp_path / "out" / "results" / "lesions.nc")
    assert result.data.sizes["network"] == 2 and result.data.attrs["design"] == "dose-response"
    assert (tmp_path / "out" / "figures" / "figure.png").is_file()
    assert main(["study", str(file), "--out", str(tmp_path / "out"), "--dry-run"]) == 0
    assert "0 of 4 steps to do" in capsys.readouterr().out
    broken = yaml.safe_load(file.read_text())
    broken["steps"]["lesions"]["design"] = {"design": "dose-respons"}
    file.write_text(yaml.safe_dump(broken))
    assert main(["study", str(file), "--out", str(tmp_path / "other")]) == 2
    assert not (tmp_path / "other" / "train").exists()
    capsys.readouterr()


def test_the_study_that_ships_runs_in_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = expand(load_study(find_study("lesion_study")))
    designs = {
        step.name: design_from(step.task.design)[0] for step in graph.steps.values() if hasattr(step.task, "design")
    }
    assert set(designs.values()) == set(design_types()) - {"perturbation"}
    out = tmp_path / "study"
    small = ["study", "lesion_study", "--variant", "smoke", "--out", str(out)]
    assert main([*small, "--only", "timing", "pairs", "current"]) == 0
    found = {name: ei.open(out / "results" / f"{name}.nc") for name in ("timing", "pairs", "current")}
    assert all(result.data.sizes["network"] == 2 and result.findings() for result in found.values())
    assert np.isfinite(found["timing"].data["after_change"]).any()
    doses = found["current"].data  # what one network alone has not enough current for is left out, and counted
    assert (doses["role"] == "lesion").any() and doses.attrs["left_out"] >= 0
    capsys.readouterr()
