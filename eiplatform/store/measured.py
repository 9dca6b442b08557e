"""What was measured in cortex and ships with the platform: quantiles of published distributions, with their source."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from eiplatform.config import parse_model
from eiplatform.errors import choose
from eiplatform.files import read_json

__all__ = ["Cortex", "Distribution", "measured", "shipped_measurements"]


class Distribution(BaseModel):
    """One published distribution, over neurons or over sessions.

    Attributes
    ----------
    statistic : str
        Key of the statistic: ``"rate"`` (over neurons) or ``"synchrony"`` (over sessions).
    condition, layer, cell : str
        E.g. ``"spontaneous"``, ``"L4"``, ``"E"``.
    units : str
    n : int
        Neurons or sessions.
    n_below_floor : int
        Neurons that were left out, since they fire more rarely than spike sorting can tell.
    quantiles : dict of str to float
        By their share, e.g. ``"0.05"``.
    median_interval, log_sd_interval : tuple of float, optional
        95 % bootstrap intervals.
    log_sd : float, optional
        Standard deviation of the natural logarithm.
    mean : float, optional
    bin_ms : float, optional
        Width of the bins in which spikes were counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    statistic: Literal["rate", "synchrony"]
    condition: str
    layer: str
    cell: Literal["E", "PV"]
    units: str
    n: int
    n_below_floor: int = 0
    quantiles: dict[str, float]
    median_interval: tuple[float, float] | None = None
    log_sd: float | None = None
    log_sd_interval: tuple[float, float] | None = None
    mean: float | None = None
    bin_ms: float | None = None

    @property
    def name(self) -> str:
        """E.g. ``"L4 E, spontaneous"``."""
        return f"{self.layer} {self.cell}, {self.condition}"

    @property
    def median(self) -> float:
        """The 50 % quantile."""
        return self.quantiles["0.5"]

    @property
    def band(self) -> tuple[float, float]:
        """The 5 and 95 % quantiles."""
        return self.quantiles["0.05"], self.quantiles["0.95"]


class Cortex(BaseModel):
    """A publication's measurements of one area in one state.

    Attributes
    ----------
    title, species, area, state, method, source, licence : str
    detection_floor_hz : float
        Neurons that fire more rarely are not in these data.
    synchrony_window_ms, synchrony_neurons, synchrony_note
        In what windows, and over how many neurons, the variance of population counts was taken.
    files : dict of str to str
        SHA-256 of the public files from which the quantiles were made.
    entries : tuple of Distribution
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    species: str
    area: str
    state: str
    method: str
    source: str
    licence: str
    detection_floor_hz: float
    synchrony_window_ms: float
    synchrony_neurons: int
    synchrony_note: str
    files: dict[str, str]
    entries: tuple[Distribution, ...]

    def chosen(self, condition: str | None = None, statistic: str = "", cell: str = "") -> list[Distribution]:
        """Return the distributions of a condition, a statistic, a class of cells; of all that are not named.

        Raises
        ------
        UnknownNameError
            If nothing was measured in that condition.
        """
        if condition is not None:
            choose(condition, dict.fromkeys(entry.condition for entry in self.entries), "condition", where=self.title)
        return [
            entry
            for entry in self.entries
            if entry.condition == (condition or entry.condition)
            and entry.statistic == (statistic or entry.statistic)
            and entry.cell == (cell or entry.cell)
        ]


def shipped_measurements() -> dict[str, Path]:
    """Return the files of what was measured in cortex, by name.

    Examples
    --------
    >>> list(shipped_measurements())
    ['mouse-v1-neuropixels']
    """
    inside = Path(__file__).resolve().parents[1]
    folders = (inside / "_data" / "measured", inside.parent / "data" / "measured")
    return dict(sorted({path.stem: path for folder in folders for path in folder.glob("*.json")}.items()))


@cache
def measured(name: str) -> Cortex:
    """Return what was measured in cortex.

    Parameters
    ----------
    name : str
        One of :func:`shipped_measurements`.

    Raises
    ------
    UnknownNameError
        If nothing of that name ships.

    Examples
    --------
    >>> cortex = measured("mouse-v1-neuropixels")
    >>> [(one.name, one.n, round(one.median, 1)) for one in cortex.chosen("spontaneous", "rate", "E")][1]
    ('L4 E, spontaneous', 625, 2.1)
    """
    files = shipped_measurements()
    path = files[choose(name, files, "measurement of cortex")]
    return parse_model(Cortex, read_json(path), where=str(path))
