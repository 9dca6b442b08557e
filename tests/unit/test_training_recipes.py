"""Recipes train whatever the seed: at the steepest part of the schedule no layer falls silent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eiplatform.config import load_config
from eiplatform.training import fit

CONFIGS = Path(__file__).parents[2] / "analyses" / "configs"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_convolutional_recipe_gets_through_its_highest_rates(seed: int, tmp_path: Path) -> None:
    # At a rate of 1e-2 seed 1 lost its second layer in the second epoch, on one processor and not on another.
    config = load_config(CONFIGS / "digits-cnn.yml", [f"seed={seed}", "training.epochs=5"])
    assert config.training.warmup_epochs == 3
    result = fit(config, tmp_path / "r")
    lines = [json.loads(line) for line in (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()]
    assert min(rate for line in lines for rate in line["rates"].values()) > 0.02
    assert result.validation_accuracy > 0.88
    losses = [line["loss"] for line in lines[1:]]
    assert losses == sorted(losses, reverse=True)
