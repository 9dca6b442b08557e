"""What readers rely on in a population that was opened: its attributes, axes and types of values."""

from __future__ import annotations

import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.store.attributes import ATTRIBUTES
from eiplatform.store.schema import EVENTS, PARAMETERS, SIGNALS

__all__ = ["contract_problems", "require_contract"]


def contract_problems(data: xr.Dataset) -> list[str]:
    """Return why statistics, figures or exports could not read a population; no values are read.

    Examples
    --------
    >>> contract_problems(xr.Dataset(attrs={"role": "E", "n_neurons": 3, "dt": 1.0, "dt_units": "step"}))
    ["it has no coordinate 'sample'"]
    """
    attrs = data.attrs
    found = []
    for key, one in ATTRIBUTES.items():
        if key in attrs and (one.always or one.is_number) and (problem := one.problem(attrs[key])):
            found.append(f"its attribute '{key}' {problem}")
        elif key not in attrs and one.always:
            found.append(f"it has no attribute '{key}'")
    if "sample" not in data.coords:
        found.append("it has no coordinate 'sample'")
    kinds = {"sample": "iu", "neuron": "iu", "time": "iuf"}
    for axis, kind in kinds.items():
        if axis in data.variables and (data[axis].dims != (axis,) or data[axis].dtype.kind not in kind):
            found.append(f"its coordinate '{axis}' is not a row of numbers")
    events = [key for key in EVENTS if key in data.variables]
    if attrs.get("dt_units") == "ms" and events and "duration" not in attrs:
        found.append("it has spike events and no attribute 'duration'")
    expected = dict.fromkeys(SIGNALS, ("sample", "time", "neuron")) | dict.fromkeys(PARAMETERS, ("neuron",))
    expected |= dict.fromkeys(EVENTS, ("spike",))
    for name, variable in data.variables.items():
        axes = expected.get(str(name))
        if axes is not None and (variable.dims != axes or variable.dtype.kind not in "biuf"):
            found.append(
                f"'{name}' has axes {variable.dims} and values of type {variable.dtype}, not numbers over {axes}"
            )
    return found


def require_contract(name: str, data: xr.Dataset, where: str) -> None:
    """Raise if a population cannot be read.

    Raises
    ------
    StoreError
    """
    if found := contract_problems(data):
        raise StoreError(
            f"the population '{name}' cannot be read: {found[0]}",
            where=where,
            remedy="it was made by another program or edited: mend what made it, and record it again",
        )
