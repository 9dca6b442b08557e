"""How are excitatory, inhibitory and net currents and gain distributed, layer by layer?"""

from __future__ import annotations

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.inputs import Recordings, excitatory, label_of, open_kind
from eiplatform.errors import StatisticError

__all__ = ["QUANTITIES", "Distributions"]

QUANTITIES = ("current_exc", "current_inh", "current_net", "gain")


class Distributions(Analysis):
    """Histograms of currents and gain."""

    question = "How are excitatory, inhibitory and net currents and gain distributed?"
    place = 130

    def run(self, recordings: Recordings, *, bins: int = 60) -> Result:
        """Histogram every quantity over neurons, samples and steps, on axes common to all recordings.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree
            Recordings of networks with the same layers (e.g. trained and untrained).
        bins : int
            Bins between the 0.1 and 99.9 percentiles of all recordings together.

        Returns
        -------
        xarray.Dataset
            ``density`` (recording, population, quantity, bin), ``left`` and ``right`` bin edges
            (population, quantity, bin), ``mean``, ``sd``, ``outside`` (fraction of values beyond
            the axis) and ``n`` (recording, population, quantity).  The gain is binned in log10.
            A quantity that a population does not have is NaN with n = 0.

        Raises
        ------
        StatisticError
            If the recordings have different layers.
        """
        trees = open_kind(recordings, "network", purpose="recordings for distributions")
        layers = [excitatory(tree) for tree in trees]
        names = list(layers[0])
        for tree, found in zip(trees, layers, strict=True):
            if list(found) != names:
                raise StatisticError(f"layers {list(found)} differ", where=tree.attrs["path"], valid=names)

        shape = (len(trees), len(names), len(QUANTITIES))
        density = np.full((*shape, bins), np.nan)
        edges = np.full((len(names), len(QUANTITIES), bins + 1), np.nan)
        mean, sd, outside = (np.full(shape, np.nan) for _ in range(3))
        n = np.zeros(shape, dtype=np.int64)
        for p, name in enumerate(names):
            for q, quantity in enumerate(QUANTITIES):
                if any(quantity not in found[name] for found in layers):
                    continue
                values = [found[name][quantity].values.ravel().astype(np.float64) for found in layers]
                if quantity == "gain":
                    # a gain of 0 (a sample without any inhibition) has no logarithm; it counts as outside
                    values = [np.log10(value, where=value > 0, out=np.full_like(value, -np.inf)) for value in values]
                low, high = np.percentile(np.concatenate([v[np.isfinite(v)] for v in values]), [0.1, 99.9])
                if low == high:
                    low, high = low - 0.5, high + 0.5
                edges[p, q] = np.linspace(low, high, bins + 1)
                for r, value in enumerate(values):
                    counts, _ = np.histogram(value, edges[p, q])
                    n[r, p, q] = value.size
                    density[r, p, q] = counts / (value.size * (high - low) / bins)
                    outside[r, p, q] = 1 - counts.sum() / value.size
                    finite = value[np.isfinite(value)]
                    mean[r, p, q], sd[r, p, q] = finite.mean(), finite.std()
        dims = ("recording", "population", "quantity")
        data = xr.Dataset(
            {
                "density": ((*dims, "bin"), density),
                "left": ((*dims[1:], "bin"), edges[..., :-1]),
                "right": ((*dims[1:], "bin"), edges[..., 1:]),
                "mean": (dims, mean),
                "sd": (dims, sd),
                "outside": (dims, outside),
                "n": (dims, n),
            },
            coords={
                "recording": [label_of(tree) for tree in trees],
                "population": names,
                "quantity": list(QUANTITIES),
            },
        )
        return self.result(data, trees)
