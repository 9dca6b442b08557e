"""The attributes of a population that readers use: each declared once, with its values and who needs it.

What is not declared here is free: nothing reads it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.errors import StoreError, UnknownNameError, choose

__all__ = ["ATTRIBUTES", "KINDS", "ROLES", "TIME_UNITS", "Attribute", "attribute_problems", "check_source"]

ROLES = ("E", "I", "mixed")
"""What neurons of a population do to others; ``mixed``: both, in a foreign network."""
TIME_UNITS = ("step", "ms")
_MOST = 2**53
KINDS = ("network", "circuit", "measured")
"""What a recording is of: ``kind`` of its source."""


def _never(_: xr.Dataset) -> bool:
    return False


def _always(_: xr.Dataset) -> bool:
    return True


def _events(data: xr.Dataset) -> bool:
    return {"spike_time", "spike_neuron", "spike_sample"} <= set(data.variables)


def _timeless(data: xr.Dataset) -> bool:
    return "time" not in data.sizes


def _currents_in_ms(data: xr.Dataset) -> bool:
    return data.attrs.get("dt_units") == "ms" and {"current_exc", "current_inh"} <= set(data.variables)


def _conductances(data: xr.Dataset) -> bool:
    return {"conductance_exc", "conductance_inh"} <= set(data.variables)


def _fixed(data: xr.Dataset) -> bool:
    return "current_exc_fixed" in data.variables and _conductances(data)


def _positive(value: Any) -> bool:
    return _number(value) and value > 0


def _not_negative(value: Any) -> bool:
    return _number(value) and value >= 0


def _share(value: Any) -> bool:
    return _number(value) and 0 <= value <= 1


def _number(value: Any) -> bool:
    single = np.asarray(value)
    return single.shape == () and single.dtype.kind in "iuf" and bool(np.isfinite(single))


def _count(value: Any) -> bool:
    return _positive(value) and value == int(value) and value < _MOST


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _text_or_number(value: Any) -> bool:
    return _text(value) or _number(value)


def _flag(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_)) or (_number(value) and value in (0, 1))


def _json(value: Any) -> bool:
    try:
        return isinstance(json.loads(value), dict)
    except (TypeError, ValueError):
        return False


_VALID: dict[Callable[[Any], bool], str] = {
    _positive: "a number above 0",
    _not_negative: "a number of at least 0",
    _share: "a number from 0 to 1",
    _number: "a finite number",
    _count: "a whole number of at least 1",
    _text: "text",
    _text_or_number: "text or a number",
    _flag: "true or false",
    _json: "JSON",
}


@dataclass(frozen=True)
class Attribute:
    """One attribute of a population.

    Attributes
    ----------
    meaning : str
    fits : callable
        Whether a value is possible.
    needed : callable
        Whether a population must have it, for every statistic and analysis to be able to read it.
    choices : tuple of str
        The only values, if they are few.
    """

    meaning: str
    fits: Callable[[Any], bool]
    needed: Callable[[xr.Dataset], bool] = _never
    choices: tuple[str, ...] = ()

    @property
    def always(self) -> bool:
        """Whether every population must have it."""
        return self.needed is _always

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers, and nothing else."""
        return self.fits(1) and not (self.fits("x") or self.fits(True))

    def problem(self, value: Any) -> str:
        """Return what is wrong with a value, or ""."""
        if self.choices:
            return "" if value in self.choices else f"is {value!r:.40}, none of {', '.join(self.choices)}"
        return "" if self.fits(value) else f"is {value!r:.40}, not {_VALID[self.fits]}"


ATTRIBUTES: dict[str, Attribute] = {
    "role": Attribute("what its neurons do to others", _text, _always, ROLES),
    "n_neurons": Attribute("size of the whole population, recorded or not", _count, _always),
    "dt": Attribute("length of a recorded interval", _positive, _always),
    "dt_units": Attribute("unit of time", _text, _always, TIME_UNITS),
    "n_time": Attribute("recorded intervals, where only reductions over time were kept", _count, _timeless),
    "duration": Attribute("length of a sample, for spikes as events", _positive, _events),
    "warmup": Attribute("time before the recording that was left out", _not_negative),
    "threshold": Attribute("threshold of the neurons", _number),
    "reset": Attribute("kind of reset of a network, or potential after a spike", _text_or_number),
    "reset_by": Attribute("what a spike takes off the membrane of neurons that rest below 0", _number),
    "membrane_decay": Attribute("what is left of a network's membrane after a step", _share),
    "max_spikes": Attribute("most spikes in a step", _count),
    "negative_spikes": Attribute("whether there are negative spikes", _flag),
    "tau_membrane": Attribute("membrane constant in ms; a network's step is matched by it", _positive, _currents_in_ms),
    "refractory": Attribute("refractory period in ms", _not_negative),
    "capacitance_pf": Attribute("capacitance in pF", _positive),
    "g_leak": Attribute("leak conductance in nS", _positive, _conductances),
    "reversal_leak": Attribute("reversal potential of the leak", _number, _conductances),
    "reversal_exc": Attribute("reversal potential of excitation", _number, _conductances),
    "reversal_inh": Attribute("reversal potential of inhibition", _number, _conductances),
    "v_fixed": Attribute("potential of the currents at a fixed potential", _number, _fixed),
    "votes": Attribute("neurons of a readout per class", _not_negative),
    "stored_as": Attribute("type in which signals were stored", _text),
    "parameters": Attribute("parameters of a circuit", _json),
    "inhibitory_weight_cv": Attribute(
        "CV of the weights I->E between the I neurons, mean over E neurons: near 0 these are interchangeable",
        _not_negative,
    ),
    "sign_rule": Attribute("what tells excitation from inhibition in a foreign network", _text),
}
"""Every attribute of a population that something reads."""


def attribute_problems(name: str, data: xr.Dataset) -> list[str]:
    """Return which attributes are missing or impossible."""
    problems = []
    for key, attribute in ATTRIBUTES.items():
        if key not in data.attrs:
            if attribute.needed(data):
                problems.append(f"'{name}': the attribute '{key}' is missing ({attribute.meaning})")
        elif problem := attribute.problem(data.attrs[key]):
            problems.append(f"'{name}': the attribute '{key}' {problem}")
    return problems


def check_source(source: Mapping[str, Any], where: str) -> None:
    """Raise unless the source of a recording says what it is of.

    Raises
    ------
    StoreError
        If ``kind`` or ``name`` is missing.
    UnknownNameError
        If ``kind`` is none of :data:`KINDS`.
    """
    for key in ("kind", "name"):
        if not isinstance(source.get(key), str):
            raise StoreError(f"the source has no '{key}'", where=where, valid="{'kind': 'network', 'name': 'mlp', ...}")
    try:
        choose(str(source["kind"]), KINDS, "kind of source")
    except UnknownNameError as error:
        raise StoreError(error.what, where=where, valid=error.valid) from None
