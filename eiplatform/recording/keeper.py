"""What is kept of every population while its layer runs, and the dataset that a shard gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from eiplatform.datasets import Split
from eiplatform.errors import SumRuleError
from eiplatform.networks.description import PopulationInfo
from eiplatform.recording.bits import pack_bits
from eiplatform.recording.inside import CHECKED_NEURONS, LayerMoments
from eiplatform.recording.plan import Plan
from eiplatform.recording.reduce import Reduction
from eiplatform.store.schema import population_dataset
from eiplatform.store.sumrules import check_sum_rules

__all__ = ["CHECKED", "Keeper", "stored_type"]

CHECKED = 16
"""Samples of every shard on which the sum rules are checked while recording; ``validate`` checks all."""


class Keeper:
    """Takes every signal as soon as a layer has run, and keeps of it what the plan says.

    The arrays of a shard are allocated once and filled batch by batch.
    """

    def __init__(
        self, plan: Plan, n_samples: int, edges: Mapping[str, Mapping[str, Tensor]], inside: LayerMoments
    ) -> None:
        self._plan = plan
        self._inside = inside
        self.start = 0
        self._arrays: dict[str, dict[str, np.ndarray]] = {
            name: {
                signal: _empty(
                    n_samples, len(plan.time), len(plan.neurons[name]), stored_type(signal, plan.infos[name])
                )
                for signal in plan.stored(name)
            }
            for name in plan.signals
        }
        self._waiting: dict[str, dict[str, Tensor]] = {name: {} for name in plan.signals}
        self._reduced: dict[str, Reduction] = {}
        if plan.reductions:
            self._reduced = {
                name: Reduction(
                    sorted(signals - inside.signals.get(name, frozenset())),
                    len(plan.neurons[name]),
                    plan.reductions,
                    edges.get(name, {}),
                )
                for name, signals in plan.signals.items()
            }

    @property
    def asked_signals(self) -> dict[str, frozenset[str]]:
        """What the layers have to return of this batch: of the first one all, for the sum rules."""
        if self.start == 0:
            return self._plan.signals
        inside = self._inside.signals
        return {name: signals - inside.get(name, frozenset()) for name, signals in self._plan.signals.items()}

    @property
    def asked_neurons(self) -> dict[str, np.ndarray]:
        """Of which neurons: of populations that are reduced inside only those to be checked."""
        neurons = dict(self._plan.neurons)
        for name, signals in self._inside.signals.items():
            if signals == self._plan.signals[name]:
                neurons[name] = _spread(neurons[name])
        return neurons

    def __call__(self, population: str, signal: str, values: Tensor) -> Tensor:
        """Store or reduce what the specification keeps of a signal; the layer keeps nothing itself (an empty slice)."""
        spec = self._plan.spec
        kept = values[spec.warmup :: spec.every]
        array = self._arrays[population].get(signal)
        if array is not None and array.dtype == np.uint8:
            chosen = pack_bits(kept).transpose(0, 1)
            array[self.start : self.start + chosen.shape[0]] = chosen.cpu().numpy()
        elif array is not None:
            chosen = kept.flatten(2).transpose(0, 1)
            array[self.start : self.start + chosen.shape[0]] = chosen.cpu().numpy()
        if self._reduced:
            waiting = self._waiting[population]
            waiting[signal] = kept
            if len(waiting) == len(self.asked_signals[population]):
                if self.start == 0:
                    self._check(population, waiting)
                inside = self._inside.signals.get(population, frozenset())
                if not inside.issuperset(waiting):
                    self._reduced[population].add(waiting)
                self._waiting[population] = {}
        return values[:0]

    def _check(self, population: str, signals: Mapping[str, Tensor]) -> None:
        """Check the sum rules on a few samples and neurons before they are reduced."""
        plan = self._plan
        neurons = plan.neurons[population]
        some = _spread(neurons)
        if next(iter(signals.values()))[0, 0].numel() == len(some):
            pick = torch.arange(len(some))
        else:
            pick = torch.as_tensor(np.searchsorted(neurons, some))
        arrays = {
            name: values[:, :CHECKED].flatten(2)[..., pick.to(values.device)].transpose(0, 1).cpu().numpy()
            for name, values in signals.items()
        }
        n_samples = next(iter(arrays.values())).shape[0]
        check_sum_rules(_label(arrays, plan, population, some, {"sample": np.arange(n_samples)}), population)

    def dataset(self, population: str, part: Split) -> xr.Dataset:
        """Return the shard's dataset of one population."""
        plan = self._plan
        coords = {"sample": part.ids} | ({"label": part.labels} if part.labelled else {})
        arrays = dict(self._arrays[population])
        for name, packed in arrays.items():
            if packed.dtype == np.uint8:
                n_neurons = len(plan.neurons[population])
                arrays[name] = np.unpackbits(packed, axis=-1, count=n_neurons, bitorder="little").view(bool)
        data = _label(arrays, plan, population, plan.neurons[population], coords)
        if plan.spec.dtype == "float16":
            data = _halved(data, population)
        if self._reduced:
            data = xr.merge(
                [data, self._reduced[population].dataset(self._inside.result(population))], combine_attrs="override"
            )
            data.attrs["reduced"] = " ".join(sorted(plan.reductions))
        return data


def _spread(neurons: np.ndarray) -> np.ndarray:
    """Return the neurons on which the sum rules are checked."""
    some: np.ndarray = neurons[np.unique(np.linspace(0, len(neurons) - 1, CHECKED_NEURONS).astype(int))]
    return some


def _empty(n_samples: int, n_steps: int, n_neurons: int, kind: type) -> np.ndarray:
    """Return an array for a signal of a shard; a neuron's spike is a bit."""
    if kind is bool:
        return np.empty((n_samples, n_steps, -(-n_neurons // 8)), np.uint8)
    return np.empty((n_samples, n_steps, n_neurons), kind)


def stored_type(signal: str, info: PopulationInfo) -> type:
    """Return how a signal is stored: spikes as bool, or as whole numbers where there can be several."""
    graded = "max_spikes" in info.attrs
    return {"spikes": np.int8 if graded else bool, "output": np.int8}.get(signal, np.float32)


def _label(
    arrays: Mapping[str, np.ndarray],
    plan: Plan,
    population: str,
    neurons: np.ndarray,
    coords: Mapping[str, np.ndarray],
) -> xr.Dataset:
    info: PopulationInfo = plan.infos[population]
    place = np.unravel_index(neurons, info.shape)
    attrs: dict[str, Any] = dict(info.attrs)
    if info.decay is not None:
        attrs |= {"membrane_decay": info.decay, "reset": info.reset}
    if info.threshold is not None:
        attrs["threshold"] = info.threshold
    return population_dataset(
        {
            name: values.astype(stored_type(name, info), copy=False) if name in ("spikes", "output") else values
            for name, values in arrays.items()
        },
        sample=coords["sample"],
        time=plan.time,
        neuron=neurons,
        dt=float(plan.spec.every),
        time_units="step",
        current_units="1",
        n_neurons=info.n_neurons,
        role=info.role,
        parameters={name: values[neurons] for name, values in info.parameters.items()},
        sample_coords={"label": coords["label"]} if "label" in coords else None,
        neuron_coords=dict(zip(("channel", "row", "col"), place, strict=True)) if len(place) == 3 else None,
        attrs=attrs,
    )


def _halved(data: xr.Dataset, population: str) -> xr.Dataset:
    """Return the signals in float16, or raise where it cannot hold them."""
    check_sum_rules(data, population)
    halved = data.assign_attrs(stored_as="float16")
    for name, variable in data.data_vars.items():
        if variable.dims == ("sample", "time", "neuron") and variable.dtype == np.float32:
            with np.errstate(over="ignore"):
                values = variable.values.astype(np.float16)
            if not np.isfinite(values).all():
                raise SumRuleError(
                    f"'{name}' reaches {float(np.abs(variable).max()):.3g}, more than float16 can hold",
                    where=f"population '{population}'",
                    remedy="record it with dtype: float32",
                )
            halved[name] = variable.copy(data=values)
    return halved
