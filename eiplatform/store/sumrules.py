"""Sum rules: recorded parts must rebuild the whole, or nothing is stored.

Every rule compares a recorded signal with what the other recorded signals say it must be,
relative to the size of the terms involved (so that cancellation is judged by what was
cancelled).  A rule applies when all its signals were recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from eiplatform.errors import SumRuleError
from eiplatform.store.schema import EXCITATORY_PARTS, MAGNITUDES

__all__ = ["RULES", "TOLERANCE", "Rule", "check_sum_rules", "sum_rule_residuals"]

TOLERANCE = 1e-5
"""Largest relative residual: a few tens of float32 roundings."""
HALF_TOLERANCE = 5e-3
"""The same of signals that were stored as float16."""


@dataclass(frozen=True)
class Rule:
    """A named identity between recorded signals.

    Attributes
    ----------
    formula : str
        The identity in words, shown when it fails.
    needs : tuple of str
        Signals, parameters and attributes (``@name``) without which it does not apply.
    residual : callable
        Dataset -> (absolute error, scale), two arrays of one shape.
    one_of : tuple of str
        Signals (or attributes); at least one must be there, too.
    unless : tuple of str
        Attributes with which it does not apply.
    """

    formula: str
    needs: tuple[str, ...]
    residual: Callable[[xr.Dataset], tuple[np.ndarray, np.ndarray]]
    one_of: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()

    def applies(self, data: xr.Dataset) -> bool:
        """Whether all that the rule needs was recorded."""

        def has(name: str) -> bool:
            return name[1:] in data.attrs if name.startswith("@") else name in data

        if any(data.attrs.get(name) for name in self.unless):
            return False
        return all(map(has, self.needs)) and (not self.one_of or any(map(has, self.one_of)))


def _values(data: xr.Dataset, name: str) -> np.ndarray:
    return np.asarray(data[name].values, dtype=np.float64)


def _net(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    exc, inh = _values(data, "current_exc"), _values(data, "current_inh")
    return np.abs(_values(data, "current_net") - (exc - inh)), exc + inh


def _parts(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    exc = _values(data, "current_exc")
    whole = np.sum([_values(data, name) for name in EXCITATORY_PARTS if name in data], axis=0)
    return np.abs(exc - whole), exc + whole


def _inhibition(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    whole = _values(data, "current_inh_recurrent") + _values(data, "current_inh_external")
    inh = _values(data, "current_inh")
    return np.abs(inh - whole), inh + whole


def _shifted(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    exc, inh, bias, shift = (_values(data, name) for name in ("current_exc", "current_inh", "bias", "norm_shift"))
    error = np.abs(_values(data, "drive") - (exc - inh + bias + shift))
    return error, exc + inh + np.abs(bias) + np.abs(shift)


def _drive(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    driven = _values(data, "gain") * _values(data, "current_net")
    bias = _values(data, "bias")
    # gain x net is formed from two rounded numbers whose own terms cancel: judge by those
    net = np.abs(_values(data, "current_net"))
    if {"current_exc", "current_inh"} <= set(data.variables):
        # A small difference of large currents carries their rounding, which the gain enlarges.
        net = _values(data, "current_exc") + _values(data, "current_inh")
    scale = _values(data, "gain") * net + np.abs(bias)
    return np.abs(_values(data, "drive") - (driven + bias)), scale


def _gain(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    divisive = _values(data, "inhibition_div")
    product = _values(data, "gain") * divisive
    expected = np.broadcast_to(_values(data, "gain_exc"), product.shape)
    inhibited = divisive > 0  # where it is zero, the stabilised divisor is not recorded
    return np.where(inhibited, np.abs(product - expected), 0.0), expected


def _shunt(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    ratio = (_values(data, "conductance_exc") + _values(data, "conductance_inh")) / float(data.attrs["g_leak"])
    return np.abs(_values(data, "inhibition_div") - ratio), np.maximum(ratio, 1e-3)


def _conductance_gain(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    product = _values(data, "gain") * (1 + _values(data, "inhibition_div"))
    return np.abs(product - 1), np.ones_like(product)


def _fixed(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    fixed = float(data.attrs["v_fixed"])
    forces = {"exc": float(data.attrs["reversal_exc"]) - fixed, "inh": fixed - float(data.attrs["reversal_inh"])}
    errors, scales = [], []
    for sign, force in forces.items():
        expected = _values(data, f"conductance_{sign}") * force
        errors.append(np.abs(_values(data, f"current_{sign}_fixed") - expected))
        scales.append(np.abs(expected))
    # Both signs on one scale: a conductance decays to values that float32 cannot hold to five digits.
    return np.maximum(*errors), np.maximum(np.add(*scales), np.finfo(np.float32).eps)


def _theta(data: xr.Dataset) -> np.ndarray:
    """Return the threshold, of every neuron or of all."""
    return _values(data, "threshold") if "threshold" in data else np.asarray(float(data.attrs["threshold"]))


def _fired(data: xr.Dataset) -> np.ndarray:
    """Return how many thresholds the spikes of a step are worth, negative ones below zero."""
    return _values(data, "output" if data.attrs.get("negative_spikes") else "spikes")


def _voltage(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    voltage, drive, spikes = _values(data, "voltage"), _values(data, "drive"), _fired(data)
    threshold, decay = _theta(data), float(data.attrs["membrane_decay"])
    if "self_feedback" in data.attrs:
        drive = drive * _values(data, "feedback")
    before, fired = voltage[:, :-1], spikes[:, :-1]
    drop = data.attrs.get("reset_by", threshold)  # of neurons that rest below 0
    after_reset = before - drop * fired if data.attrs["reset"] == "soft" else before * (1 - fired)
    expected = drive.copy()
    expected[:, 1:] += decay * after_reset
    scale = np.abs(drive) + np.abs(threshold)
    scale[:, 1:] += np.abs(before)
    whole_record = data.sizes["time"] and np.array_equal(data["time"].values, np.arange(data.sizes["time"]))
    if not whole_record:  # steps left out: the update cannot be followed
        return np.zeros_like(voltage), scale
    return np.abs(voltage - expected), scale


def _threshold(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    voltage, spikes, threshold = _values(data, "voltage"), _values(data, "spikes"), _theta(data)
    wrong = (voltage >= threshold) != (spikes > 0)
    scale = np.broadcast_to(np.abs(threshold), voltage.shape)
    return np.where(wrong, np.abs(voltage - threshold), 0.0), scale


def _staircase(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    voltage, fired, threshold = _values(data, "voltage"), _fired(data), _theta(data)
    most, negative = int(data.attrs["max_spikes"]), bool(data.attrs["negative_spikes"])
    # n spikes mean n theta <= u < (n + 1) theta, but for the largest and the smallest n.
    above = np.where(fired < most, voltage - (fired + 1) * threshold, -np.inf)
    above = np.where(fired < 0, voltage - fired * threshold, above)
    below = np.where(fired > (-most if negative else 0), (fired - 1) * threshold - voltage, -np.inf)
    below = np.where(fired > 0, fired * threshold - voltage, below)
    return np.maximum(np.maximum(above, below), 0.0), np.broadcast_to(np.abs(threshold), voltage.shape)


def _rate(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    drive = _values(data, "drive")
    return np.abs(_values(data, "activity") - np.maximum(drive, 0.0)), np.maximum(np.abs(drive), 1e-6)


def _output(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    size, spikes = np.abs(_values(data, "output")), _values(data, "spikes")
    # A gate of exactly zero sends nothing on of a spike.
    error = np.maximum(size - spikes, 0.0) if "self_feedback" in data.attrs else np.abs(size - spikes)
    return error, np.ones_like(size)


RULES: dict[str, Rule] = {
    "net": Rule("current_net = current_exc - current_inh", ("current_net", "current_exc", "current_inh"), _net),
    "excitation": Rule("current_exc = sum of its parts", ("current_exc",), _parts, EXCITATORY_PARTS),
    "inhibition": Rule(
        "current_inh = recurrent + external",
        ("current_inh", "current_inh_recurrent", "current_inh_external"),
        _inhibition,
    ),
    "shifted drive": Rule(
        "drive = current_exc - current_inh + bias + norm_shift",
        ("drive", "current_exc", "current_inh", "bias", "norm_shift"),
        _shifted,
    ),
    "drive": Rule("drive = gain x current_net + bias", ("drive", "gain", "current_net", "bias"), _drive),
    "gain": Rule("gain x inhibition_div = gain_exc", ("gain", "inhibition_div", "gain_exc"), _gain),
    "shunt": Rule(
        "inhibition_div = (conductance_exc + conductance_inh) / leak conductance",
        ("inhibition_div", "conductance_exc", "conductance_inh", "@g_leak"),
        _shunt,
    ),
    "conductance gain": Rule(
        "gain = 1 / (1 + inhibition_div)", ("gain", "inhibition_div", "conductance_exc", "@g_leak"), _conductance_gain
    ),
    "fixed voltage": Rule(
        "current at a fixed voltage = conductance x driving force",
        (
            "current_exc_fixed",
            "current_inh_fixed",
            "conductance_exc",
            "conductance_inh",
            "@v_fixed",
            "@reversal_exc",
            "@reversal_inh",
        ),
        _fixed,
    ),
    "voltage": Rule(
        "voltage[t] = decay x (voltage[t-1] after reset) + drive[t]",
        ("voltage", "drive", "spikes", "@membrane_decay", "@reset"),
        _voltage,
        ("@threshold", "threshold"),
        ("negative_spikes", "self_feedback"),
    ),
    "signed voltage": Rule(
        "voltage[t] = decay x (voltage[t-1] - threshold x output[t-1]) + drive[t]",
        ("voltage", "drive", "output", "@membrane_decay", "@reset", "@negative_spikes"),
        _voltage,
        ("@threshold", "threshold"),
        ("self_feedback",),
    ),
    "feedback voltage": Rule(
        "voltage[t] = decay x (voltage[t-1] after reset) + feedback[t] x drive[t]",
        ("voltage", "drive", "spikes", "feedback", "@membrane_decay", "@reset", "@self_feedback"),
        _voltage,
        ("@threshold", "threshold"),
    ),
    "threshold": Rule(
        "spikes = voltage >= threshold",
        ("voltage", "spikes"),
        _threshold,
        ("@threshold", "threshold"),
        ("max_spikes",),
    ),
    "staircase": Rule(
        "spikes = how often the threshold fits into the voltage, at most max_spikes times",
        ("voltage", "spikes", "@max_spikes", "@negative_spikes"),
        _staircase,
        ("@threshold", "threshold"),
        ("negative_spikes",),
    ),
    "signed staircase": Rule(
        "output = how often the threshold fits into the voltage, of either sign, at most max_spikes times",
        ("voltage", "output", "@max_spikes", "@negative_spikes"),
        _staircase,
        ("@threshold", "threshold"),
    ),
    "rate": Rule("activity = drive where it is positive", ("activity", "drive"), _rate),
    "output": Rule("spikes = |output|", ("output", "spikes"), _output),
}


def _means(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    names = [str(name) for name in data["signal"].values]
    mean = dict(zip(names, data["mean"].values, strict=True))
    if not {"current_net", "current_exc", "current_inh"} <= set(names):
        return np.zeros(1), np.ones(1)
    return (
        np.abs(mean["current_net"] - (mean["current_exc"] - mean["current_inh"])),
        mean["current_exc"] + mean["current_inh"],
    )


RULES["means"] = Rule("mean of current_net = difference of the means", ("mean",), _means)


def sum_rule_residuals(data: xr.Dataset) -> dict[str, float]:
    """Return the largest relative residual of every rule that applies to a population.

    Parameters
    ----------
    data : xarray.Dataset
        One population, as made by :func:`eiplatform.store.schema.population_dataset`.
    """
    residuals = {}
    for name, rule in RULES.items():
        if rule.applies(data):
            error, scale = rule.residual(data)
            relative = error / np.maximum(scale, np.finfo(np.float32).tiny)
            residuals[name] = float(relative.max(initial=0.0))
    return residuals


def check_sum_rules(data: xr.Dataset, population: str) -> dict[str, float]:
    """Raise unless all signals are finite, magnitudes non-negative and all sum rules hold.

    Parameters
    ----------
    data : xarray.Dataset
        One population.
    population : str
        Its name, for the message.

    Returns
    -------
    dict of str to float
        Largest relative residual per rule.

    Raises
    ------
    SumRuleError
        Naming the population, the rule and the size of the violation.
    """
    for name, variable in data.data_vars.items():
        if variable.dtype.kind == "f" and not np.isfinite(variable.values).all():
            raise SumRuleError(f"'{name}' has values that are not finite", where=f"population '{population}'")
        if name in MAGNITUDES and variable.size and variable.values.min() < 0:
            raise SumRuleError(f"'{name}' is a magnitude but has negative values", where=f"population '{population}'")
    residuals = sum_rule_residuals(data)
    half = any(variable.dtype == np.float16 for variable in data.values()) or data.attrs.get("stored_as") == "float16"
    tolerance = HALF_TOLERANCE if half else TOLERANCE
    for name, residual in residuals.items():
        if not residual <= tolerance:
            raise SumRuleError(
                f"sum rule violated: {RULES[name].formula} (relative residual {residual:.2g}, allowed {tolerance:g})",
                where=f"population '{population}'",
                remedy="nothing was stored; the recording or the model is wrong",
            )
    return residuals
