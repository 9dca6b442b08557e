"""Which comes first, excitation or inhibition, and is it more than what any two trials share?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.inputs import Recordings, active, excitatory, label_of, opened
from eiplatform.analyses.parts.tables import Table, interval_text, texts
from eiplatform.errors import NotApplicableError, StatisticError, TooShortError

__all__ = ["Correlogram"]

KINDS = ("own", "cross", "shift")
MOST_LAGS = 20


class Correlogram(Analysis):
    """Cross-correlograms of excitation with the inhibition of the same neuron, of others, and of another trial."""

    question = "Which comes first, excitation or inhibition, and is it more than what any two trials share?"
    place = 82

    def run(self, recordings: Recordings, *, lags: int = MOST_LAGS, n_bootstrap: int = 1000, seed: int = 0) -> Result:
        """Measure E-I cross-correlograms with their shift predictor.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree
            With excitation and inhibition over at least 50 recorded intervals, and four times the largest lag.
        lags : int
            Largest lag, in recorded intervals.
        n_bootstrap, seed : int
            Of the intervals over samples and neurons.

        Returns
        -------
        xarray.Dataset, dims (row, kind, lag)
            One row per recording and population.  ``correlation``, mean over neurons: with the inhibition of the same
            neuron (``own``), of the other neurons (``cross``), and of the same neuron in the next sample (``shift``,
            the shift predictor; NaN with one sample).  ``time`` (row, lag) in ``time_units`` (positive: inhibition
            later); ``peak`` and ``peak_lag`` of own with ``_low`` and ``_high``; ``n_neurons``, ``n_excluded``,
            ``n_samples`` (row); ``skipped``, the populations that cannot be measured, and why.

        Raises
        ------
        StatisticError
            If no population can be measured; the message says why.
        """
        trees = opened(recordings)
        rows: list[dict[str, Any]] = []
        skipped = []
        for tree in trees:
            for name, data in (active(tree) or excitatory(tree)).items():
                try:
                    rows.append({"recording": label_of(tree), "population": name} | _row(data, lags, n_bootstrap, seed))
                except (TooShortError, NotApplicableError, StatisticError) as error:
                    skipped.append(f"{label_of(tree)}: {name} ({error.what})")
        if not rows:
            raise StatisticError(f"no correlogram can be measured: {'; '.join(skipped) or 'nothing was recorded'}")
        dims = {"correlation": ("row", "kind", "lag"), "time": ("row", "lag")}
        data = xr.Dataset(
            {name: (dims.get(name, ("row",)), np.array([row[name] for row in rows])) for name in rows[0]},
            coords={"kind": list(KINDS), "lag": np.arange(-lags, lags + 1)},
        )
        return self.result(data, trees, level=0.95, n_bootstrap=n_bootstrap, seed=seed, skipped=skipped)

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give the peak and its lag."""
        rows = []
        for index, unit in enumerate(texts(result["time_units"])):
            one = result.isel(row=index)
            ends = [
                interval_text(*(float(one[f"{name}{end}"]) for end in ("", "_low", "_high")))
                for name in ("peak", "peak_lag")
            ]
            rows.append((f"{one['recording'].item()}: {one['population'].item()}", ends[0], f"{ends[1]} {unit}"))
        note = "Of the mean over neurons; positive lag: inhibition later; 95 % bootstrap over samples and neurons."
        yield Table("Peak of the E-I correlogram", ("population", "height", "lag"), tuple(rows), note)


def _row(data: xr.Dataset, lags: int, n_bootstrap: int, seed: int) -> dict[str, Any]:
    dt = float(data.attrs["dt"])
    found = data.ei.ei_correlogram(max_lag=lags * dt, n_bootstrap=n_bootstrap, seed=seed)
    curves = found["mean"].sel(pairs=["own", "cross"]).values
    shift = np.full((1, curves.shape[1]), np.nan)
    if data.sizes["sample"] > 1:
        other = data.assign(current_inh=data["current_inh"].copy(data=np.roll(data["current_inh"].values, 1, axis=0)))
        shift = other.ei.ei_correlogram(max_lag=lags * dt, n_bootstrap=1)["mean"].sel(pairs=["own"]).values
    own = found.sel(pairs="own")
    return {
        "time_units": str(data.attrs["dt_units"]),
        "correlation": np.concatenate([curves, shift]),
        "time": found["lag"].values,
        **{
            f"{name}{end}": float(own[f"{name}{end}"]) for name in ("peak", "peak_lag") for end in ("", "_low", "_high")
        },
        "n_samples": data.sizes["sample"],
        "n_neurons": int(found.attrs["n"]),
        "n_excluded": int(found.attrs["n_excluded"]),
    }
