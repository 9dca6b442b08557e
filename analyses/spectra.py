"""Does the spiking of a population have a rhythm?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.inputs import Recordings, label_of, nothing_fires, opened, spiking
from eiplatform.analyses.parts.tables import Table, number_text, texts
from eiplatform.errors import NotApplicableError, StatisticError, TooShortError

__all__ = ["Spectra"]


class Spectra(Analysis):
    """Power spectra of the population's spike count, relative to as many Poisson neurons."""

    question = "Does the spiking of a population have a rhythm?"
    place = 84

    def run(self, recordings: Recordings, *, segment: float | None = None) -> Result:
        """Measure the power spectrum of every firing population.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree
        segment : float, optional
            Length of a segment, whose inverse is the resolution: default 128 steps or 512 ms, at most the recording.

        Returns
        -------
        xarray.Dataset, dims (row, point)
            ``frequency`` (in 1/step or Hz), ``power`` over that of as many Poisson neurons (row, point), NaN beyond the
            end; ``peak`` and ``height``, NaN where no frequency stands out of white noise; ``n_neurons``,
            ``n_samples``, ``units``; ``skipped``, what cannot be measured, and why.

        Raises
        ------
        StatisticError
            If no population fires for long enough.
        """
        trees = opened(recordings)
        rows: list[dict[str, Any]] = []
        skipped = []
        for tree in trees:
            for name, data in spiking(tree).items():
                try:
                    found = data.ei.power_spectrum(segment=segment)
                except (TooShortError, NotApplicableError) as error:
                    skipped.append(f"{label_of(tree)}: {name} ({error.what})")
                    continue
                rows.append(
                    {
                        "recording": label_of(tree),
                        "population": name,
                        "units": str(found["frequency"].attrs["units"]),
                        "frequency": found["frequency"].values,
                        "power": found["power"].values,
                        "peak": float(found["peak"]),
                        "height": float(found["height"]),
                        "n_neurons": int(found.attrs["n"]),
                        "n_samples": int(found.attrs["n_samples"]),
                    }
                )
        if not rows and not skipped:
            raise nothing_fires(trees, "spectra")
        if not rows:
            raise StatisticError(f"no spectrum can be measured: {'; '.join(skipped)}", remedy="record for longer")
        longest = max(len(row["power"]) for row in rows)
        for row in rows:
            for name in ("frequency", "power"):
                row[name] = np.pad(row[name], (0, longest - len(row[name])), constant_values=np.nan)
        dims = {"frequency": ("row", "point"), "power": ("row", "point")}
        data = xr.Dataset({name: (dims.get(name, ("row",)), np.array([row[name] for row in rows])) for name in rows[0]})
        return self.result(data, trees, skipped=skipped)

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give the frequency that stands out."""
        rows = []
        for index, unit in enumerate(texts(result["units"])):
            one = result.isel(row=index)
            there = bool(np.isfinite(one["peak"]))
            peak = f"{number_text(float(one['peak']))} {unit}" if there else "none beyond chance"
            height = number_text(float(one["height"])) if there else "–"
            rows.append((f"{one['recording'].item()}: {one['population'].item()}", peak, height))
        note = "Peak of the power spectrum of the population's spike count; height over the median of the spectrum."
        yield Table("Rhythm", ("population", "frequency", "height"), tuple(rows), note)
