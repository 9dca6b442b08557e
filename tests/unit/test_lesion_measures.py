"""What is measured of lesions: intervals that cover, calibration, later steps, pairs and dissociations."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import eiplatform as ei
from eiplatform.analyses.lesion_study import LesionStudy, _over_networks
from eiplatform.analyses.parts.lesion_dissociation import dissociation_findings
from eiplatform.analyses.parts.lesion_measures import over_networks_and_images
from eiplatform.errors import ConfigError, StatisticError
from eiplatform.front.recording import wanted_of
from eiplatform.lesions.cells import Cell
from eiplatform.lesions.engine import Engine
from eiplatform.recording.spec import RecordingSpec
from eiplatform.statistics.kernels.calibration import calibration
from tests.unit.test_interventions import MAKERS, _make

SUB = "I->E subtractive"


@pytest.mark.parametrize(("over_networks", "over_images"), [(0.6, 0.0), (0.0, 1.5), (0.3, 1.0)])
def test_intervals_over_networks_and_images_cover(over_networks: float, over_images: float) -> None:
    """Answers of five networks: chance of each varies over networks and over images that all of them see."""
    random = np.random.default_rng(7)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    spread = float(np.hypot(over_networks, over_images))
    truth = float((weights / weights.sum()) @ (1 / (1 + np.exp(-0.8 - spread * nodes))))
    n_sets = 400
    z = 0.8 + over_networks * random.standard_normal((5, n_sets, 1))
    z = z + over_images * random.standard_normal((1, n_sets, 150))
    correct = (random.random((5, n_sets, 150)) < 1 / (1 + np.exp(-z))).astype(float)
    low, high = over_networks_and_images(correct, 0)  # every cell is a study of its own
    inside = float(((low <= truth) & (truth <= high)).mean())
    assert 0.92 <= inside <= 0.985


def test_networks_that_lose_one_image_each_prove_little() -> None:
    change = np.zeros((5, 359))
    change[:, 7] = -1  # no variance over networks, by the grain of the images
    assert _over_networks(change) == pytest.approx(2 * stats.t.sf(5**0.5, 4), rel=0.01)
    assert _over_networks(np.zeros((5, 359))) == 1.0
    random = np.random.default_rng(1)
    large = -(random.random((5, 359)) < np.array([0.3, 0.4, 0.5, 0.35, 0.45])[:, None]).astype(float)
    assert _over_networks(large) == pytest.approx(stats.ttest_1samp(large.mean(1), 0).pvalue)


def test_calibration_by_hand() -> None:
    found = calibration([0.95, 0.95, 0.55, 0.55], [True, False, True, True], bins=10)
    assert found.error == pytest.approx(0.5 * abs(0.95 - 0.5) + 0.5 * abs(0.55 - 1))
    assert found.answers.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 2]
    assert found.accuracy[[5, 9]].tolist() == [1.0, 0.5] and np.isnan(found.confidence[0])
    random = np.random.default_rng(1)
    sure = random.beta(5, 1, 200_000)
    assert calibration(sure, random.random(sure.size) < sure).error < 0.005
    with pytest.raises(StatisticError):
        calibration([1.5], [True])


@pytest.mark.parametrize("name", ["ei", "ei-cnn", "bn", "dann", "feedback-ei"])
def test_answers_from_step_one_on_are_the_answers(name: str) -> None:
    network, x = _make(name, 12)
    wanted = wanted_of(network, (x.numpy(), np.arange(12) % 4), None, {"steps": 5}, None, None, False)
    engine = Engine(network, wanted.data, wanted.spec)
    lesion = ei.Scale(MAKERS[name][2], 0.3, steps=(1, 3))
    data = engine.run([Cell((), {"role": "intact"}, by_step=True), Cell((lesion,), {"role": "lesion"}, by_step=True)])
    np.testing.assert_array_equal(data["correct_from"].isel(step=0), data["correct"])
    np.testing.assert_allclose(data["rate_step"].mean("step"), data["rate"], rtol=1e-6)
    early = data["rate_step"].isel(step=0)
    np.testing.assert_array_equal(early.isel(cell=0), early.isel(cell=1))  # before the lesion nothing differs
    assert not np.array_equal(data["rate_step"].isel(cell=0, step=1), data["rate_step"].isel(cell=1, step=1))


def test_the_steps_after_a_lesion_are_compared_with_the_intact_ones() -> None:
    n = 40
    later = np.ones((1, 2, n, 4))
    later[0, 1, :10, 2:] = 0  # after the lesion of steps 0 and 1 ten images are wrong
    rates = np.full((1, 2, 1, 4), 0.2)
    rates[0, 1, 0, 2:] = 0.5
    cells = xr.Dataset(
        {
            "correct": (("network", "cell", "sample"), later[..., 0]),
            "loss": (("network", "cell", "sample"), np.zeros((1, 2, n))),
            "confidence": (("network", "cell", "sample"), np.full((1, 2, n), 0.9)),
            "always_on": (("network", "cell", "layer_read"), np.zeros((1, 2, 1))),
            "correct_from": (("network", "cell", "sample", "step"), later),
            "rate_step": (("network", "cell", "layer_read", "step"), rates),
        },
        {"layer_read": ["fc1"], "role": ("cell", ["intact", "lesion"]), "images": ("cell", ["plain", "plain"])},
    ).assign_coords(first=("cell", [np.nan, 0.0]), last=("cell", [np.nan, 2.0]))
    result = LesionStudy().from_cells(cells, {"design": "time-limited", "question": "?", "parameters": {}}, [], [])
    data = result.data.isel(cell=1)
    assert float(data["after_change"]) == pytest.approx(-0.25)
    assert data["after_change_low"] < -0.25 < data["after_change_high"]
    assert float(data["after_rate"].squeeze()) == pytest.approx(2.5)
    assert float(result.data["overconfidence"][0]) == pytest.approx(-0.1)
    assert float(result.data["calibration_error"].isel(network=0, cell=0)) == pytest.approx(0.1)


def _game(correct: dict[str, np.ndarray], players: str) -> xr.Dataset:
    names = list(correct)
    values = np.stack(list(correct.values()), 1)  # network, cell, sample
    per_sample = (("network", "cell", "sample"), np.zeros_like(values))
    return xr.Dataset(
        {"correct": (("network", "cell", "sample"), values), "loss": per_sample, "confidence": per_sample,
         "always_on": (("network", "cell", "layer_read"), np.zeros((*values.shape[:2], 1)))},
        {"layer_read": ["fc1"], "role": ("cell", ["intact", *["lesion"] * (len(names) - 1)]),
         "images": ("cell", ["plain"] * len(names)), "coalition": ("cell", names),
         "players": ("cell", [players] * len(names))},
    )  # fmt: skip


def test_pairs_find_what_two_lesions_do_beyond_their_sum() -> None:
    shape = (3, 60)
    right = np.ones(shape)
    first, second, both = right.copy(), right.copy(), right.copy()
    first[:, :6], second[:, 6:12], both[:, :30] = 0, 0, 0
    cells = _game({"none": right, "0": first, "1": second, "0 1": both}, "fc1 a | fc2 a")
    about = {"design": "pairs", "question": "?", "parameters": {}}
    (table,) = LesionStudy().from_cells(cells, about, [], []).tables()
    assert table.title == "Shapley values of layers and pathways"  # of two players the pair is all of them
    third = _game(
        {"none": right, "0": first, "1": second, "2": right, "0 1": both, "0 2": first, "1 2": second}, "a | b | c"
    )
    (table,) = LesionStudy().from_cells(third, about, [], []).tables()
    assert [row[-1].split()[0] for row in table.rows] == ["−30.0", "0", "0"]  # -50 + 10 + 10
    assert table.rows[0][2:5] == ("−10.0", "−10.0", "−50.0")


def test_a_double_dissociation_needs_both_signs() -> None:
    def result(noisy_second: int) -> xr.Dataset:
        n = 200
        lost = {("a", "plain"): 60, ("b", "plain"): 10, ("a", "noise 0.2"): 20, ("b", "noise 0.2"): noisy_second}
        rows, roles, images, pathways = [], [], [], []
        for kind in ("plain", "noise 0.2"):
            for role, pathway in (("intact", ""), ("lesion", "a"), ("lesion", "b")):
                right = np.ones((4, n))
                right[:, : lost.get((pathway, kind), 0)] = 0
                rows.append(right)
                roles, images, pathways = [*roles, role], [*images, kind], [*pathways, pathway]
        return xr.Dataset(
            {"correct": (("network", "cell", "sample"), np.stack(rows, 1))},
            {"role": ("cell", roles), "images": ("cell", images), "pathway": ("cell", pathways)},
            {"n_networks": 4, "n_samples": n},
        )

    (found,) = dissociation_findings(result(90))
    assert "doubly dissociated" in found
    gained = result(20)
    where = np.flatnonzero(gained["images"].values == "noise 0.2")
    gained["correct"][:, where[0]] = 0.0  # nothing is right, the first lesion mends all, the second half
    gained["correct"][:, where[1]] = 1.0
    gained["correct"][:, where[2]] = np.arange(200) % 2
    (found,) = dissociation_findings(gained)  # a difference without a loss is none
    assert "no double dissociation" in found.lower()
    (found,) = dissociation_findings(result(10))  # both signs are not there, whatever the interaction
    assert "no double dissociation" in found.lower() and "noise 0.2" in found


def test_without_labels_there_is_no_study() -> None:
    network, x = _make("ei")
    wanted = wanted_of(network, x.numpy(), None, {}, None, None, False)
    engine = Engine(network, wanted.data, RecordingSpec())
    with pytest.raises(ConfigError):
        engine.run([Cell((), {"role": "intact"})])
