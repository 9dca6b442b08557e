"""Attributes are declared once: impossible ones are refused, and validate says what readers would miss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from eiplatform.errors import StatisticError, StoreError
from eiplatform.store import RecordingWriter, population_dataset, validate
from eiplatform.store.attributes import ATTRIBUTES, attribute_problems
from eiplatform.store.schema import MAGNITUDES, SIGNALS
from eiplatform.store.zarr_writer import ZarrWriter
from tests.unit.test_store_validate import edited

Write = Callable[..., Path]
AXES = {
    "sample": np.arange(2), "time": np.arange(3), "neuron": np.arange(4), "dt": 1.0, "time_units": "step",
    "current_units": "1", "n_neurons": 4, "role": "E",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MAGNITUDES))
def test_negative_magnitudes_are_refused(name):
    values = np.ones((2, 3, 4), np.float32)
    values[1, 2, 3] = -1e-3
    with pytest.raises(StoreError, match=f"'{name}' has negative values"):
        population_dataset({name: values}, **AXES)
    population_dataset({name: np.abs(values)}, **AXES)


def test_signed_signals_may_be_negative():
    for name in set(SIGNALS) - MAGNITUDES:
        population_dataset({name: np.full((2, 3, 4), -1.0)}, **AXES)
    data = population_dataset({"current_inh": np.ones((2, 3, 4))}, **AXES)
    with pytest.raises(StatisticError, match="negative"):
        (-data).assign_attrs(data.attrs).ei.private_inhibition()


@pytest.mark.parametrize("kind", ["Network", "clamp", "", None, 3])
@pytest.mark.parametrize("writer", [RecordingWriter, ZarrWriter])
def test_kinds_outside_the_schema_are_refused_before_anything_is_written(tmp_path, kind, writer):
    with pytest.raises(StoreError) as refused:
        writer(tmp_path / "r", source={"kind": kind, "name": "toy"}, config={})
    assert refused.value.valid and not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("duration", -1.0), ("duration", "long"), ("duration", np.nan), ("tau_membrane", 0.0), ("threshold", "1"),
        ("membrane_decay", 1.5), ("max_spikes", 2.5), ("refractory", -2.0), ("parameters", "{"), ("votes", -1),
        ("negative_spikes", "yes"), ("g_leak", np.inf),
    ],
)  # fmt: skip
def test_impossible_attributes_are_refused_and_found(key, value):
    with pytest.raises(StoreError, match=f"'{key}'"):
        population_dataset({}, attrs={key: value}, **AXES)
    sound = population_dataset({}, **AXES)
    assert attribute_problems("E", sound) == []
    (problem,) = attribute_problems("E", sound.assign_attrs({key: value}))
    assert f"'{key}'" in problem


@pytest.mark.parametrize("key", ["duration", "tau_membrane", "n_neurons", "dt"])
def test_validate_finds_what_readers_would_miss(circuit_recording: Write, key: str):
    path = circuit_recording()
    assert validate(path).problems == []

    def remove(file: h5py.File) -> None:
        del file["E"].attrs[key]

    assert key in " ".join(validate(edited(path, remove)).problems)


def test_every_attribute_says_what_it_is():
    for key, attribute in ATTRIBUTES.items():
        assert attribute.meaning and key == key.lower()
        assert attribute.problem(object())
