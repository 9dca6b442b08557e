"""What a run is given: its input, its steps, and the signals to record."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from eiplatform.errors import EIPlatformError, choose
from eiplatform.foreign.clock import Time
from eiplatform.networks.description import PopulationInfo
from eiplatform.networks.kernels.ei import take

__all__ = ["check_input", "check_record", "selecting", "time_first"]


def time_first(x: Tensor, time_axis: int | None, *, time: Time, n_dims: int) -> Tensor:
    """Return a sequence with time as its first axis.

    Parameters
    ----------
    x : Tensor
    time_axis : int or None
        Axis of time in `x`, as the user says.
    time : Time
        Of the module.
    n_dims : int
        Axes of one input, without batch and time.
    """
    if x.ndim != n_dims + 2:
        return x
    if time_axis not in (None, 0, 1):
        raise EIPlatformError(f"time cannot be on axis {time_axis}", where="time_axis", valid="0, 1")
    if time_axis is None and time.axis == 1 and x.shape[1] == time.steps != x.shape[0]:
        raise EIPlatformError(
            f"the input has shape {tuple(x.shape)}: it seems to have its {time.steps} steps on axis 1, as the "
            "module takes them, but run takes time first",
            where="network",
            valid="(time, batch, ...)",
            remedy="say time_axis=1 for (batch, time, ...), or time_axis=0 if time does come first",
        )
    return x.transpose(0, 1) if time_axis == 1 else x


def check_input(x: Tensor, steps: int | None, *, time: Time, shape: tuple[int, ...]) -> tuple[Tensor, int]:
    """Return the input as the module's kind of time takes it, and the number of steps.

    Parameters
    ----------
    x : Tensor
    steps : int or None
        As the user asks.
    time : Time
        Of the module.
    shape : tuple of int
        Of one input, without batch and time.
    """
    n_dims = len(shape)
    if tuple(x.shape[x.ndim - n_dims :]) != shape or x.ndim not in (n_dims + 1, n_dims + 2):
        valid = f"(batch, {', '.join(map(str, shape))})"
        raise EIPlatformError(
            f"the input has shape {tuple(x.shape)}", where="network", valid=f"{valid} or (time, {valid[1:]}"
        )
    if steps is not None and steps < 1:
        raise EIPlatformError(f"a run of {steps} steps was requested", where="steps", valid="at least 1")
    if x.ndim == n_dims + 2:
        if time.kind in ("static", "inside"):
            raise EIPlatformError(
                f"a module whose time is '{time.kind}' takes no sequence", where="network", valid="(batch, ...)"
            )
        if steps not in (None, x.shape[0]):
            raise EIPlatformError(f"{steps} steps were requested of a sequence of {x.shape[0]}", where="steps")
        return x, x.shape[0]
    if time.kind in ("static", "inside") and steps not in (None, time.steps):
        why = "it has no time" if time.kind == "static" else "it loops over its own steps"
        raise EIPlatformError(
            f"{steps} steps were requested of a module, but {why}", where="steps", valid=str(time.steps)
        )
    steps = time.steps if steps is None else steps
    if time.kind == "sequence":
        x = x.unsqueeze(0).expand(steps, *x.shape)
    return x, steps


def check_record(
    record: Mapping[str, frozenset[str]], infos: Mapping[str, PopulationInfo]
) -> dict[str, frozenset[str]]:
    """Return the signals to record per population; raise if one does not exist."""
    for population, names in record.items():
        for name in names:
            choose(
                name,
                infos[choose(population, infos, "population", where="record")].signals,
                "signal",
                where=population,
            )
    return {population: frozenset(names) for population, names in record.items() if names}


def selecting(
    select: Mapping[str, Tensor], keep: Callable[[str, str, Tensor], Tensor] | None
) -> Callable[[str, str, Tensor], Tensor]:
    """Return a `keep` that takes the selected neurons first."""

    def kept(name: str, signal: str, values: Tensor) -> Tensor:
        if name in select:
            values = take(values, select[name])
        return values if keep is None else keep(name, signal, values)

    return kept
