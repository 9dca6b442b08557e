"""Does a network, a circuit or an own recording fire as measured cortex does?

Only what needs no currents is compared: rates of single neurons, their spread, the ratio of I to E, and the variance of
the population's spike count.  Neurons that fire more rarely than spike sorting can tell are left out on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.cortex_values import Cells, cells_of, hz_per_spike, population_fano
from eiplatform.analyses.parts.headlines import Headline
from eiplatform.analyses.parts.inputs import Recordings, label_of, nothing_fires, opened
from eiplatform.analyses.parts.tables import Table, interval_text, number_text
from eiplatform.errors import StatisticError
from eiplatform.statistics import populations_of
from eiplatform.statistics.kernels.multiple import holm
from eiplatform.statistics.population import Population
from eiplatform.store.measured import Cortex, Distribution, measured

__all__ = ["MeasuredCortex"]

LEVEL = 0.95
LABELS = {
    "rate": "median rate (Hz)",
    "rate_log_sd": "sd of ln rate",
    "rate_ratio": "median rate, I over E",
    "synchrony": "Fano factor of the population",
}
FEW_SPIKES = 50
"""Fewer spikes of the median neuron widen the distribution of rates by counting noise."""
_CELL = {"E": "E", "I": "PV", "mixed": "E"}
_WITHIN, _BELOW, _ABOVE, _UNDECIDED = "within the band", "below the band", "above the band", "undecided"
_NOT_COMPARED = "not compared"


class MeasuredCortex(Analysis):
    """Firing of every population against what was measured in cortex."""

    question = "Does it fire as measured cortex does?"
    place = 97

    def run(
        self,
        recordings: Recordings,
        *,
        to: str = "mouse-v1-neuropixels",
        condition: str | None = None,
        membrane_ms: float = 20.0,
        n_bootstrap: int = 1000,
        seed: int = 0,
    ) -> Result:
        """Compare the firing of every population with measured cortex.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree
            Networks, circuits (their samples are realisations) or own recordings.
        to : str
            Name of a measurement (``ei.list("measurements")``).
        condition : str, optional
            Of the measurement, e.g. ``"spontaneous"``; default: all.
        membrane_ms : float
            Membrane constant of the neuron that a network's neuron stands for, which gives its step a length in ms.
            Only its rate depends on it, not the spread of rates or the ratio of I to E.
        n_bootstrap, seed : int
            Of the bootstrap over realisations (where there are several) and neurons, or over windows.

        Returns
        -------
        xarray.Dataset, dims (row)
            One row per population, statistic and measured distribution: ``value``, ``low``, ``high`` (95 % interval);
            ``reference_value`` with ``reference_low``, ``reference_high`` (95 % interval of the measured value, where
            there is one) and ``band_low``, ``band_high`` (5 and 95 % quantiles of the measured cells, or sessions);
            ``share_within``: of the population's neurons that lie within the band; ``n``, ``n_below_floor``,
            ``n_reference``; ``verdict``; ``p``, corrected for all tests of the result (Holm); ``reason``: why not
            compared; ``caution``.
            Statistics: ``rate`` (median in Hz, against the band of single cells), ``rate_log_sd`` and ``rate_ratio``
            (tests of a difference from the measured value), ``synchrony`` (variance over mean of the spike count of 70
            neurons, against the band of sessions, per ``bin_ms``).

        Raises
        ------
        UnknownNameError
            For an unknown measurement or condition.
        StatisticError
            If nothing fires, or the membrane constant is not positive.
        """
        if not 0 < membrane_ms < np.inf:
            raise StatisticError(f"the membrane constant is {membrane_ms} ms", valid="a positive number")
        cortex = measured(to)
        entries = cortex.chosen(condition)
        trees = opened(recordings)
        rows: list[dict[str, Any]] = []
        for tree in trees:
            firing = {
                name: data for name, data in populations_of(tree).items() if "spikes" in data or "spike_time" in data
            }
            of_tree = _Measured(cortex, membrane_ms, n_bootstrap, seed, apart=tree.attrs["source"]["kind"] == "circuit")
            about = {"recording": label_of(tree), "kind": str(tree.attrs["source"]["kind"])}
            rows += [about | row for row in of_tree.rows(firing, entries)]
        if not rows:
            raise nothing_fires(trees, "measured_cortex")
        table = pd.DataFrame(rows)
        table["p"] = holm(table["p"])
        tested = table["p"].notna()
        differs = tested & (table["p"] <= 1 - LEVEL)
        table.loc[tested, "verdict"] = "no difference found"
        table.loc[differs, "verdict"] = np.where(
            table.loc[differs, "value"] < table.loc[differs, "reference_value"], "smaller", "larger"
        )
        data = xr.Dataset({name: ("row", column.to_numpy()) for name, column in table.items()})
        about = {"measurement": to, "title": cortex.title, "source": cortex.source}
        notes = {"floor_hz": cortex.detection_floor_hz, "synchrony_note": cortex.synchrony_note}
        made = {"membrane_ms": membrane_ms, "n_bootstrap": n_bootstrap, "seed": seed, "level": LEVEL}
        return self.result(data, trees, **about, **notes, **made)

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give one table per statistic."""
        frame = result.to_dataframe()
        columns = ("population", "value", "measured", "value there", "5 to 95 % band", "verdict")
        for statistic, label in LABELS.items():
            rows = []
            part = frame[(frame["statistic"] == statistic) & (frame["verdict"] != _NOT_COMPARED)]
            for _, one in part.iterrows():
                there = interval_text(one["reference_value"], one["reference_low"], one["reference_high"])
                band = f"{number_text(one['band_low'])} to {number_text(one['band_high'])}"
                name = f"{one['reference']}, {one['bin_ms']:g} ms" if statistic == "synchrony" else one["reference"]
                own = interval_text(one["value"], one["low"], one["high"])
                known = band if np.isfinite(one["band_low"]) else "–"
                rows.append((_who(one), own, f"{name} (n = {one['n_reference']})", there, known, one["verdict"]))
            if rows:
                yield Table(f"{label[0].upper()}{label[1:]}", columns, tuple(rows), _note(result, part, statistic))
        absent = frame[frame["verdict"] == _NOT_COMPARED]
        if len(absent):
            each = absent.assign(who=[_who(one) for _, one in absent.iterrows()])
            each = each.drop_duplicates(["who", "statistic", "reason"])
            listed = [(one["who"], LABELS[str(one["statistic"])], str(one["reason"])) for _, one in each.iterrows()]
            yield Table("Not compared, and why", ("population", "statistic", "reason"), tuple(listed))

    def findings(self, result: xr.Dataset) -> Iterable[str]:
        """Say of every population where it lies."""
        return [headline.text for headline in self.headlines(result)]

    def headlines(self, result: xr.Dataset) -> Iterable[Headline]:
        """Say of every population where its rate, its spread and its synchrony lie."""
        frame = result.to_dataframe()
        title = str(result.attrs["title"])
        for _, part in frame.groupby(["recording", "population"], sort=False):
            who = _who(part.iloc[0])
            said = [
                text
                for statistic, say in (("rate", _of_rate), ("rate_log_sd", _of_spread), ("synchrony", _of_synchrony))
                if (text := say(part[(part["statistic"] == statistic) & (part["verdict"] != _NOT_COMPARED)]))
            ]
            if said:
                how = f"95 % intervals; tests corrected for {int(frame['p'].notna().sum())} (Holm)"
                yield Headline(f"{who} against {title}: {'; '.join(said)}.", "cortex", how, p=float(part["p"].min()))


class _Measured:
    """The rows of one recording."""

    def __init__(self, cortex: Cortex, membrane_ms: float, n_bootstrap: int, seed: int, *, apart: bool) -> None:
        self.cortex, self.membrane_ms, self.n_bootstrap, self.seed = cortex, membrane_ms, n_bootstrap, seed
        self.apart = apart
        self.draws: dict[str, Any] = {}

    def rows(self, firing: dict[str, xr.Dataset], entries: Sequence[Distribution]) -> Iterable[dict[str, Any]]:
        """Give the rows of every firing population."""
        for name, data in firing.items():
            role = str(data.attrs["role"])
            about: dict[str, Any] = {"population": name, "role": role, "bin_ms": np.nan}
            cell = _CELL[role]
            population = Population(data, name)
            rates = [entry for entry in entries if (entry.statistic, entry.cell) == ("rate", cell)]
            counts = [entry for entry in entries if (entry.statistic, entry.cell) == ("synchrony", cell)]
            hz = hz_per_spike(data, self.membrane_ms)
            try:
                cells = cells_of(population, self.cortex.detection_floor_hz, hz=hz, apart=self.apart)
            except StatisticError as error:
                yield from (_absent(about, key, entry, error) for key in ("rate", "rate_log_sd") for entry in rates)
            else:
                self.draws[name] = cells.draws(self.n_bootstrap, self.seed)
                yield from self._of_cells(about, cells, hz, rates)
                if cell == "PV":
                    yield from self._ratio(about, entries)
            yield from self._of_counts(about, population, counts)
            population.forget()

    def _of_cells(
        self, about: dict[str, Any], cells: Cells, hz: float, entries: Sequence[Distribution]
    ) -> Iterable[dict[str, Any]]:
        values = np.concatenate(cells.rates)
        counts: dict[str, Any] = {"n": len(values), "n_below_floor": cells.n_below_floor}
        few = f"the median neuron has {cells.spikes:g} spikes: counting noise widens the distribution"
        caution = few if cells.spikes < FEW_SPIKES else ""
        (median, *medians), (spread, *spreads) = self.draws[about["population"]]
        for entry in entries:
            low, high = entry.band
            if np.isfinite(hz):
                ends = np.quantile(medians, [0.025, 0.975])
                yield _row(
                    about,
                    "rate",
                    entry,
                    (median, *ends),
                    (entry.median, *(entry.median_interval or (np.nan, np.nan))),
                    band=(low, high),
                    share_within=float(((values >= low) & (values <= high)).mean()),
                    verdict=_placed(ends, entry.band),
                    **counts,
                )
            else:
                yield _absent(about, "rate", entry, "a step of this network has no length in ms")
            if entry.log_sd is not None and entry.log_sd_interval is not None:
                there = (entry.log_sd, *entry.log_sd_interval)
                own = (spread, *np.quantile(spreads, [0.025, 0.975]))
                error = np.hypot(np.std(spreads), _half(entry.log_sd_interval))
                p = _two_sided(spread - entry.log_sd, error)
                yield _row(about, "rate_log_sd", entry, own, there, p=p, caution=caution, **counts)

    def _ratio(self, about: dict[str, Any], entries: Sequence[Distribution]) -> Iterable[dict[str, Any]]:
        """Compare the ratio of I to E of a layer with that of PV to E."""
        partner = f"{about['population'].removesuffix('I')}E"
        if partner not in self.draws:
            return
        ratio = self.draws[about["population"]][0] / self.draws[partner][0]
        excitatory = {(one.layer, one.condition): one for one in entries if one.cell == "E" and one.statistic == "rate"}
        for entry in entries:
            other = excitatory.get((entry.layer, entry.condition))
            if entry.statistic != "rate" or entry.cell != "PV" or other is None:
                continue
            ends = [one.median_interval or (np.nan, np.nan) for one in (entry, other)]
            error = float(np.linalg.norm([_half(np.log(interval)) for interval in ends]))
            there = entry.median / other.median
            reach = np.exp(stats.norm.ppf(0.975) * error)
            own = (ratio[0], *np.quantile(ratio[1:], [0.025, 0.975]))
            p = _two_sided(np.log(ratio[0] / there), np.hypot(np.std(np.log(ratio[1:])), error))
            measured_ratio = (there, there / reach, there * reach)
            yield _row(
                about, "rate_ratio", entry, own, measured_ratio, p=p, name=f"{entry.layer} PV/E, {entry.condition}"
            )

    def _of_counts(
        self, about: dict[str, Any], population: Population, entries: Sequence[Distribution]
    ) -> Iterable[dict[str, Any]]:
        bins = sorted({float(entry.bin_ms) for entry in entries if entry.bin_ms is not None})
        if not bins:
            return
        window, n = self.cortex.synchrony_window_ms, self.cortex.synchrony_neurons
        try:
            found = population_fano(population, bins, window, n, self.n_bootstrap, self.seed)
        except StatisticError as error:
            yield from (_absent(about, "synchrony", entry, error) for entry in entries)
            return
        for entry in entries:
            value, *draws = found[bins.index(float(entry.bin_ms or 0))]
            ends = np.nanquantile(draws, [0.025, 0.975])
            yield _row(
                about | {"bin_ms": float(entry.bin_ms or 0)},
                "synchrony",
                entry,
                (value, *ends),
                (entry.median, np.nan, np.nan),
                band=entry.band,
                verdict=_placed(ends, entry.band),
                n=n,
            )


def _row(
    about: dict[str, Any],
    statistic: str,
    entry: Distribution,
    own: Sequence[float],
    there: Sequence[float],
    *,
    band: tuple[float, float] = (np.nan, np.nan),
    name: str = "",
    **more: Any,
) -> dict[str, Any]:
    ends = ("value", "low", "high")
    return {
        **about,
        "statistic": statistic,
        "reference": name or entry.name,
        "condition": entry.condition,
        "layer": entry.layer,
        **dict(zip(ends, map(float, own), strict=True)),
        **{f"reference_{end}": float(value) for end, value in zip(ends, there, strict=True)},
        "band_low": band[0],
        "band_high": band[1],
        "n_reference": entry.n,
        **{"n": 0, "n_below_floor": 0, "share_within": np.nan, "p": np.nan, "verdict": "", "reason": "", "caution": ""},
        **more,
    }


def _absent(about: dict[str, Any], statistic: str, entry: Distribution, why: object) -> dict[str, Any]:
    nothing = (np.nan, np.nan, np.nan)
    return _row(about, statistic, entry, nothing, nothing, verdict=_NOT_COMPARED, reason=str(why))


def _placed(interval: Sequence[float] | np.ndarray, band: tuple[float, float]) -> str:
    """Say where an interval lies."""
    (low, high), (band_low, band_high) = interval, band
    if band_low <= low and high <= band_high:
        return _WITHIN
    if high < band_low:
        return _BELOW
    return _ABOVE if low > band_high else _UNDECIDED


def _half(interval: Any) -> float:
    """Return the standard error behind a 95 % interval."""
    low, high = interval
    return float((high - low) / (2 * stats.norm.ppf(0.975)))


def _two_sided(difference: float, error: float) -> float:
    return float(2 * stats.norm.sf(abs(difference) / error)) if error > 0 else np.nan


def _who(one: Any) -> str:
    return f"{one['recording']}: {one['population']}"


def _note(result: xr.Dataset, part: pd.DataFrame, statistic: str) -> str:
    """Say how a table's numbers were taken."""
    floor = f"Neurons below {result.attrs['floor_hz']:g} Hz are left out on both sides"
    left = int(part.drop_duplicates(["recording", "population"])["n_below_floor"].sum())
    notes = {
        "rate": f"Median over neurons [95 % interval]; band: 5 to 95 % of the measured neurons. {floor} (here {left}). "
        f"A network's step lasts as long as a {result.attrs['membrane_ms']:g} ms membrane takes to forget as much.",
        "rate_log_sd": f"Standard deviation over neurons of the natural logarithm of the rate. {floor} (here {left}). "
        "Difference tested (Holm over all tests of this result).",
        "rate_ratio": "Median rate of I over that of E of the same layer, against units with narrow spikes (PV) over "
        "those with broad ones. Difference tested (Holm over all tests of this result).",
        "synchrony": f"Variance over mean of the spike count of {int(part['n'].max())} neurons; band: 5 to 95 % of "
        f"sessions. Measured: {result.attrs['synchrony_note']}.",
    }
    cautions = sorted({f"{_who(one)}: {one['caution']}" for _, one in part.iterrows() if one["caution"]})
    return " ".join([notes[statistic], *(f"{caution[0].upper()}{caution[1:]}." for caution in cautions)])


def _of_rate(part: pd.DataFrame) -> str:
    if not len(part):
        return ""
    first = part.iloc[0]
    places = {_WITHIN: "within the band", _BELOW: "below that", _ABOVE: "above that", _UNDECIDED: "at the edge of that"}
    placed = [
        f"{words} of {_some(part[part['verdict'] == verdict])}"
        for verdict, words in places.items()
        if (part["verdict"] == verdict).any()
    ]
    said = ", ".join(placed).replace(" that of", " the band of", 0 if placed[0].startswith("within") else 1)
    return f"the median rate of {interval_text(first['value'], first['low'], first['high'])} Hz lies {said}"


def _of_spread(part: pd.DataFrame) -> str:
    if not len(part):
        return ""
    first = part.iloc[0]
    own = interval_text(first["value"], first["low"], first["high"])
    there = f"{number_text(part['reference_value'].min())} to {number_text(part['reference_value'].max())}"
    ways = [f"{word} than in {_some(part[part['verdict'] == word])}" for word in ("smaller", "larger")]
    said = [way for way, word in zip(ways, ("smaller", "larger"), strict=True) if (part["verdict"] == word).any()]
    return f"the sd of ln rate is {own}, {' and '.join(said) or 'no difference found'} (measured: {there})"


def _of_synchrony(part: pd.DataFrame) -> str:
    said = []
    for condition, one in part.groupby("condition", sort=False):
        counts = one["verdict"].value_counts()
        said.append(f"{condition}: {', '.join(f'{verdict} at {n}' for verdict, n in counts.items())}")
    if not said:
        return ""
    widths = part["bin_ms"].nunique()
    return f"the Fano factor of the population at {widths} bin widths, beside sessions ({'; '.join(said)})"


def _some(part: pd.DataFrame) -> str:
    """Name a few distributions, or count them."""
    names = part["reference"].tolist()
    return " and ".join(names) if len(names) < 3 else f"{len(names)} measured classes"
