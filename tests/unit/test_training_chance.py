"""A network that loses what it had learnt stops its training, which then counts as unfinished."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eiplatform.config import load_config
from eiplatform.errors import TrainingError
from eiplatform.networks import Network
from eiplatform.training import TrainResult, fit
from eiplatform.training.chance import PATIENCE, chance_accuracy, check_chance
from eiplatform.training.finished import ABORTED, why_unfinished
from tests.examples import examples

CHANGES = [
    "network.hidden=[32]",
    "training.warmup_epochs=0",
    "training.schedule=constant",
    "training.batch_size=64",
    "training.optimiser=adamw",
    "training.learning_rate=0.01",
]


@examples(30)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_chance_is_the_most_frequent_class_and_two_standard_errors(sizes: list[int]) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    np.random.default_rng(len(labels)).shuffle(labels)
    share, n = max(sizes) / sum(sizes), sum(sizes)
    assert chance_accuracy(labels) == pytest.approx(share + 2 * math.sqrt(share * (1 - share) / n))


def test_guesses_and_constant_answers_are_at_chance() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(10, size=144)
    chance = chance_accuracy(labels)
    assert max(np.mean(labels == k) for k in range(10)) < chance
    guessed = (rng.integers(10, size=(2000, 144)) == labels).mean(1)
    assert np.mean(guessed <= chance) > 0.97


def judged(*accuracies: float, chance: float = 0.16) -> list[str]:
    return check_chance(list(enumerate(accuracies)), chance)


def test_a_fall_is_told_and_ends_training_where_it_lasts() -> None:
    assert judged(0.1, 0.1, 0.1, 0.1, 0.1) == []  # nothing was learnt, so that nothing is lost
    assert judged(0.1, 0.3, 0.1, 0.1, 0.1) == []  # less than twice chance
    assert judged(0.1, 0.9, 0.17) == []  # worse, not at chance
    assert judged(0.1, 0.9, 0.1, 0.1, 0.8) == []  # it recovered
    for n in range(1, PATIENCE):
        (told,) = judged(0.1, 0.94, 0.9, *[0.16] * n)
        assert "94.0 % (epoch 1)" in told and "since epoch 3 (16.0 %)" in told
    with pytest.raises(TrainingError, match="since epoch 3") as caught:
        judged(0.1, 0.94, 0.9, *[0.16] * PATIENCE)
    assert "training.clip" in str(caught.value)


@pytest.mark.parametrize(("chance", "enough"), [(0.16, 0.33), (0.6, 0.81), (1.2, None)])
def test_with_few_classes_or_images_it_must_have_come_nearer_to_1_than_to_chance(
    chance: float, enough: float | None
) -> None:
    for accuracy in (0.2, 0.31, 0.33, 0.5, 0.79, 0.81, 1.0):
        told = judged(accuracy, 0.1, chance=chance)
        assert bool(told) == (enough is not None and accuracy >= enough)


def _lose_after(tmp_path: Path, lost_after: int, epochs: int) -> tuple[Path, TrainResult | None, TrainingError | None]:
    """Train; after so many epochs nothing of the images reaches the answers any more."""

    def lose(network: Network, iteration: int, per_epoch: int) -> None:
        if iteration >= lost_after * per_epoch:
            with torch.no_grad():
                for name, parameter in network.named_parameters():
                    if name.startswith("layers.readout"):
                        parameter.zero_()

    out = tmp_path / "run"
    try:
        return out, fit(load_config(None, [*CHANGES, f"training.epochs={epochs}"]), out, observe=lose), None
    except TrainingError as error:
        return out, None, error


def test_such_a_training_is_aborted_and_its_checkpoint_unfinished(tmp_path: Path) -> None:
    out, _, error = _lose_after(tmp_path, 2, 6)
    assert error is not None and "from" in str(error) and "since epoch 2" in str(error)
    mark = json.loads((out / ABORTED).read_text())
    assert (mark["kind"], mark["epoch"]) == ("TrainingError", 2 + PATIENCE - 2)
    assert "chance" in (why_unfinished(out / "best.safetensors") or "")
    assert not (out / "result.json").exists()
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [bool(line["warnings"]) for line in lines] == [False] * 2 + [True] * (PATIENCE - 1)


def test_one_that_ends_before_that_is_warned_about(tmp_path: Path) -> None:
    _, result, error = _lose_after(tmp_path, 2, 3)
    assert error is None and result is not None
    assert result.best_epoch == 1
    (told,) = result.warnings
    assert "to chance since epoch 2" in told
