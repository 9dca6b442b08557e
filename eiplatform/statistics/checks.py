"""Whether a Dataset is a population whose statistics can be computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from eiplatform.errors import StatisticError
from eiplatform.store.schema import MAGNITUDES

__all__ = ["DIMS", "check_population", "check_values", "checked_number", "populations_of"]

DIMS = ("sample", "time", "neuron")


def populations_of(recording: xr.Dataset | xr.DataTree) -> dict[str, xr.Dataset]:
    """Return the populations of a tree by their full names, e.g. ``"fc1/E"``, or the one Dataset.

    Raises
    ------
    StatisticError
        If there is none.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from eiplatform.store.schema import population_dataset
    >>> data = population_dataset(
    ...     {"gain": np.ones((2, 4, 3))}, sample=np.arange(2), time=np.arange(4), neuron=np.arange(3),
    ...     dt=1.0, time_units="step", current_units="1", n_neurons=3, role="E")
    >>> list(populations_of(xr.DataTree.from_dict({"fc1/E": data, "fc2/E": data})))
    ['fc1/E', 'fc2/E']
    """
    found: dict[str, xr.Dataset] = {}
    if isinstance(recording, xr.Dataset):
        found = {str(recording.attrs.get("population", recording.attrs.get("role", "population"))): recording}
    elif isinstance(recording, xr.DataTree):
        for node in recording.subtree:
            if "role" in node.attrs and node.has_data:
                found[node.path.strip("/") or str(node.attrs["role"])] = node.to_dataset()
    if not found:
        raise StatisticError(
            "no population here",
            valid="what eiplatform.open(path) gives, or one population of it: tree['fc1/E'].ds",
        )
    return found


def check_population(data: xr.Dataset, name: str) -> None:
    """Raise StatisticError unless a Dataset has the attributes, dimensions and times of a population."""
    if not isinstance(data, xr.Dataset) or not {"role", "n_neurons", "dt", "dt_units"} <= set(data.attrs):
        raise StatisticError(
            "not a population of a recording",
            where=name or None,
            valid="a Dataset of eiplatform.open(path), e.g. tree['fc1/E'].ds",
        )
    for key in ("dt", "n_neurons"):
        checked_number(data.attrs[key], key, name)
    absent = [dim for dim in DIMS if dim not in data.sizes]
    if absent:
        raise StatisticError(
            f"dimension {', '.join(absent)} is missing",
            where=name or None,
            valid=DIMS,
            remedy="select with a list, e.g. .isel(sample=[0]), which keeps the dimension",
        )
    nothing = [dim for dim in DIMS if not data.sizes[dim]]
    if nothing:
        raise StatisticError(f"it has no {' and no '.join(nothing)}", where=name or "population", remedy="select some")

    _check_steps(data, name)


def check_values(values: npt.NDArray[Any], name: str, where: str) -> None:
    """Raise StatisticError unless the values of the signal `name` are finite numbers, and magnitudes not negative."""
    if values.dtype.kind not in "biuf":
        raise StatisticError(
            f"signal '{name}' holds {values.dtype}, not numbers",
            where=where or None,
            remedy="xarray turns whole numbers with gaps into objects: choose what was recorded",
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = int(np.count_nonzero(~np.isfinite(values)))
        raise StatisticError(
            f"signal '{name}' has {bad} values that are NaN or infinite (of {values.size})",
            where=where or None,
            remedy="'eiplatform validate' tells whether the recording is damaged",
        )
    if name in MAGNITUDES and values.dtype.kind in "if" and values.min() < 0:
        raise StatisticError(
            f"signal '{name}' is a magnitude but has negative values",
            where=where or None,
            remedy="currents are given by their size: inhibition is positive, and taken off",
        )


def checked_number(value: Any, name: str, where: str) -> float:
    """Return an attribute as a positive number.

    Raises
    ------
    StatisticError
        If it is none.
    """
    single = np.asarray(value)
    number = float(single) if single.shape == () and single.dtype.kind in "iuf" else np.nan
    if not (number > 0 and np.isfinite(number)):
        raise StatisticError(f"the attribute '{name}' is {value!r}", where=where or None, valid="a positive number")
    return number


def _check_steps(data: xr.Dataset, name: str) -> None:
    """Raise StatisticError if the times of a network are not whole steps, as after averaging."""
    if data.attrs["dt_units"] != "step" or "time" not in data.coords or data["time"].dims != ("time",):
        return
    if data["time"].dtype.kind not in "iu":
        raise StatisticError(
            f"the times are {data['time'].dtype}, and steps are whole numbers",
            where=name or None,
            valid="steps as they were recorded; averages or interpolations over time are none",
        )
