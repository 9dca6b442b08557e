"""Where does each layer sit among the regimes of cortical circuits, and how sure is that?

A regime is never a hard label: it is the share of bootstrap draws that fall nearest to it.  A draw
that lies within tolerance of no regime counts as "none", one that looks like independent random
spiking as "Poisson".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.cautioned import cautioned, cautions_of
from eiplatform.analyses.parts.inputs import (
    Perturbation,
    Recording,
    Role,
    label_of,
    nothing_fires,
    opened,
    spiking,
)
from eiplatform.analyses.parts.regime_features import (
    ELSE,
    FEATURES,
    Feature,
    Template,
    features_of_population,
    features_of_summary,
    place,
    templates,
)
from eiplatform.analyses.parts.stabilisation import stabilised
from eiplatform.analyses.parts.tables import Table, interval_text, largest, number_text, texts
from eiplatform.reference import CASES, shipped
from eiplatform.statistics import STATISTICS, summarise
from eiplatform.statistics.cautions import cautions
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population
from eiplatform.store.steps import match_time, step_in_ms

__all__ = ["CUTS", "place", "RegimeScorecard"]

CUTS = {"tight_residual": 0.1, "tracking": 0.5, "detailed": 0.1}
"""Conventions: |beta| below which the residual is tight (Ahmadian & Miller 2021); the correlation over
time from which inhibition tracks excitation; own minus other from which tracking is detailed."""

TIGHTNESS = ("tight", "loose", "inhibition exceeds excitation")
TRACKING = ("detailed tracking", "global tracking", "no tracking")
_BALANCE = ("balance_index", "ei_correlation_time", "ei_correlation_time_excess")

_WINDOW_MS = 10.0

EXCLUDED = {
    "balance_index": "depends on in-degree and on how constant drive is counted: shown, not used for placing",
    "cv_isi": "biased low for few spikes: LV stands for it",
    "fano_factor": "its window differs between steps and ms",
}
"""Statistics that do not place a layer, and why."""


class RegimeScorecard(Analysis):
    """Every firing population among Brunel's states, PD14's layers, and kinds of balance."""

    question = "Where does each layer sit among the regimes of cortical circuits, and how sure is that?"
    place = 100

    def run(
        self,
        recordings: Annotated[Sequence[Recording], Role("references", "recordings, or names of shipped summaries")],
        *,
        perturbation: Perturbation = None,
        n_bootstrap: int = 1000,
        seed: int = 0,
    ) -> Result:
        """Place every firing population among Brunel's states, PD14's layers, and kinds of balance.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree
            Networks or circuits, or names of shipped summaries.
        perturbation : str, Path or Dataset, optional
            Result of the protocol ``perturb-I`` (``protocol.nc``) of the one circuit given: decides
            whether it is inhibition-stabilised.  Without it that is not determined.
        n_bootstrap, seed : int
            Of the bootstrap over samples and neurons; a summary's draws are further seeds.

        Returns
        -------
        xarray.Dataset
            ``share`` and ``deviation`` (population, regime), with the coordinate ``family``: share
            of draws, and the largest deviation of the estimate over :data:`FEATURES` in units of
            their tolerances (up to 1 fits).  ``feature``, ``feature_low``, ``feature_high``
            (population, family, feature) with ``used`` and ``reason``; ``template`` (regime,
            feature).  ``tightness`` and ``tracking``: shares of the kinds of balance in the two
            senses of the word; ``balance`` with ``low``, ``high``, ``balance_note`` and ``balance_caution``
            (population, statistic): what they rest on.  ``caution`` (population): what limits the
            meaning of its spikes.  ``paradoxical`` and ``paradoxical_lost``:
            shares of draws in which more drive to I lowers its rate, and in which it also no longer
            does with excitation frozen; NaN where not determined, and ``isn_note`` says why.

        Raises
        ------
        StatisticError
            If nothing fires in a recording, or no summary is installed.
        ConfigError
            If the perturbation is of another protocol, or not of the circuit given.

        References
        ----------
        Brunel 2000, J Comput Neurosci 8:183; Potjans & Diesmann 2014, Cereb Cortex 24:785; Ahmadian &
        Miller 2021, Neuron 109:3373; Tsodyks et al. 1997, J Neurosci 17:4382.
        """
        regimes, absent = templates()
        families = list(dict.fromkeys(template.family for template in regimes))
        names = [name for name in recordings if isinstance(name, str) and name in CASES]
        trees = opened([found for found in recordings if not (isinstance(found, str) and found in CASES)])
        options = {"n_bootstrap": n_bootstrap, "seed": seed}
        rows: list[dict[str, Any]] = []
        for tree in trees:
            kind = str(tree.attrs["source"]["kind"])
            if not spiking(tree):
                raise nothing_fires([tree], label_of(tree))
            for name, data in spiking(tree).items():
                population = Population(data, name)
                rows.append(
                    {"name": f"{label_of(tree)}: {name}", "kind": kind, "balance": _balance(data, kind, **options)}
                )
                rows[-1]["features"] = {
                    family: features_of_population(
                        population, step_ms=_step(data, kind, regimes, family), window_ms=_WINDOW_MS, **options
                    )
                    for family in families
                }
                rows[-1]["caution"] = cautions(population, STATISTICS["rate"])
                rows[-1]["step"] = {family: _step(data, kind, regimes, family) for family in families}
        for name in names:
            rows += _summary_rows(name, families, n_bootstrap, seed)
        result = _placed(rows, regimes, families, n_bootstrap, seed)
        result["caution"] = ("population", [row["caution"] for row in rows])
        result = result.merge(_kinds(rows)).merge(
            stabilised([row["kind"] for row in rows], trees, perturbation, n_bootstrap, seed)
        )
        return self.result(
            result,
            trees,
            label=", ".join([*map(label_of, trees), *names]),
            level=0.95,
            **options,
            **{f"cut_{name}": cut for name, cut in CUTS.items()},
            excluded="; ".join(f"{key}: {why}" for key, why in EXCLUDED.items()),
            absent=list(absent),
        )

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give where each population sits, what that rests on, and what was left out."""
        families = texts(result["family_name"])
        placed, rests = [], []
        for name in texts(result["population"]):
            one = result.sel(population=name)
            row = [name]
            for family in families:
                share = one["share"].sel(regime=(result["family"] == family).values)
                row.append(largest(share, "regime"))
            row += [largest(one["tightness"], "residual"), largest(one["tracking"], "in_time")]
            falls = float(one["paradoxical"])
            row.append(f"paradoxical in {100 * falls:.0f} %" if np.isfinite(falls) else "not determined")
            placed.append(tuple(row))
            for family in families:
                cells = [name, family, number_text(float(one["step_ms"].sel(family_name=family)))]
                for feature in texts(result["feature"]):
                    here = one.sel(family_name=family, feature=feature)
                    cells.append(str(here["reason"].item()) or _cell_of(here))
                rests.append(tuple(cells))
        columns = ("population", *families, "balance, residual", "balance, tracking", "inhibition-stabilised")
        note = (
            f"Shares of {result.attrs['n_bootstrap']} bootstrap draws nearest to a regime (below 5 % not listed); "
            "none: "
            "within tolerance of no regime; Poisson: like independent random spiking. Tight has two senses: a small "
            f"residual (|beta| < {result.attrs['cut_tight_residual']:g}) and inhibition that tracks excitation in "
            "time. "
            + "; ".join(sorted(set(texts(result["isn_note"]))))
            + "."
            + cautioned(
                _of_spikes(result), cautions_of(result, ["ei_correlation_time_excess"], variable="balance_caution")
            )[1]
        )
        yield Table("Regime of every population", columns, tuple(placed), note)
        tolerances = ", ".join(
            f"{feature} {tolerance:.2g}"
            for feature, tolerance in zip(texts(result["feature"]), result["tolerance"].values, strict=True)
        )
        absent = np.atleast_1d(result.attrs["absent"]).tolist()
        note = (
            f"Features [95 %] in the time of each family; tolerances: {tolerances}. Not used: "
            f"{result.attrs['excluded']}."
            + (f" Not installed: {', '.join(map(str, absent))}." if absent else "")
            + cautioned(_of_spikes(result))[1]
        )
        yield Table(
            "What the regimes rest on",
            ("population", "family", "window ms", *texts(result["feature"])),
            tuple(rests),
            note,
        )


def _of_spikes(result: xr.Dataset) -> dict[str, dict[str, str]]:
    """Return what limits the meaning of the spikes of each population; an earlier version does not say it."""
    said = texts(result["caution"]) if "caution" in result else []
    return {"spikes": {name: text for name, text in zip(texts(result["population"]), said, strict=False) if text}}


def _cell_of(data: xr.Dataset) -> str:
    return interval_text(*(float(data[f"feature_{part}"]) for part in ("value", "low", "high")))


def _step(data: xr.Dataset, kind: str, regimes: Sequence[Template], family: str) -> float:
    """Return the window in which synchrony is compared: a network's step in the time of the family, or 10 ms."""
    if kind != "network":
        return _WINDOW_MS
    tau = next(template.tau_ms for template in regimes if template.family == family)
    return step_in_ms(data, xr.Dataset(attrs={"tau_membrane": tau}))


def _balance(data: xr.Dataset, kind: str, **options: Any) -> xr.Dataset:
    matched = data if kind == "network" or "current_exc" not in data else match_time(data, _WINDOW_MS)
    return summarise(matched, _BALANCE, keep_draws=True, **options).isel(population=0, drop=True)


def _summary_rows(name: str, families: Sequence[str], n_bootstrap: int, seed: int) -> list[dict[str, Any]]:
    """Return the populations of a shipped summary; each draw takes another of its seeds."""
    data = shipped(name)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 5]))
    rows = []
    for population in data["population"].values.astype(str):
        one = data.sel(population=population)
        features = features_of_summary(one, window_ms=_WINDOW_MS, n_draws=n_bootstrap, rng=rng)
        shape = (len(_BALANCE),)
        table = xr.Dataset(
            {name: ("statistic", np.full(shape, np.nan)) for name in ("value", "low", "high")}
            | {"note": ("statistic", ["not in a summary at this window"] * len(_BALANCE))}
            | {"caution": ("statistic", [""] * len(_BALANCE))}
            | {"draws": (("statistic", "draw"), np.full((*shape, n_bootstrap), np.nan))},
            coords={"statistic": list(_BALANCE)},
        )
        if "balance_index" in one:
            balance = one["balance_index"].sel(interval="recorded")
            mean, low, high, sd = (float(balance.sel(over_seeds=part)) for part in ("mean", "low", "high", "std"))
            for key, number in (("value", mean), ("low", low), ("high", high)):
                table[key].loc[{"statistic": "balance_index"}] = number
            table["draws"].loc[{"statistic": "balance_index"}] = mean + sd * rng.standard_normal(n_bootstrap)
            table["note"].loc[{"statistic": "balance_index"}] = ""
        step = dict.fromkeys(families, _WINDOW_MS)
        rows.append({"name": f"{name}: {population}", "kind": "summary", "balance": table, "step": step, "caution": ""})
        rows[-1]["features"] = dict.fromkeys(families, features)
    return rows


def _placed(
    rows: Sequence[dict[str, Any]], regimes: Sequence[Template], families: list[str], n_bootstrap: int, seed: int
) -> xr.Dataset:
    shares, deviations = [], []
    for row in rows:
        rng = np.random.default_rng(np.random.SeedSequence([seed, 6]))
        parts = []
        for family in families:
            window = row["step"][family]
            looks = [
                features_of_summary(template.summary, window_ms=window, n_draws=n_bootstrap, rng=rng)
                for template in regimes
                if template.family == family
            ]
            parts.append(place(row["features"][family], looks)[:2])
        shares.append(np.concatenate([part[0] for part in parts]))
        deviations.append(np.concatenate([part[1] for part in parts]))
    labels, of_family = [], []
    for family in families:
        members = [template.regime for template in regimes if template.family == family]
        labels += [f"{family}: {regime}" for regime in (*members, *ELSE)]
        of_family += [family] * (len(members) + len(ELSE))
    features = [[[row["features"][family][name] for name in FEATURES] for family in families] for row in rows]

    def table(pick: Any) -> np.ndarray:
        return np.array([[[pick(cell) for cell in line] for line in block] for block in features])

    def quantile(cell: Feature, q: float) -> float:
        return float(np.quantile(cell.draws, q)) if np.isfinite(cell.draws).all() else np.nan

    template = []
    for family in families:
        for one in (regime for regime in regimes if regime.family == family):
            look = features_of_summary(one.summary, window_ms=_WINDOW_MS)
            template.append([look[name].value for name in FEATURES])
        template += [[np.nan] * len(FEATURES)] * len(ELSE)
    dims = ("population", "family_name", "feature")
    result = xr.Dataset(
        {
            "share": (("population", "regime"), np.array(shares)),
            "deviation": (("population", "regime"), np.array(deviations)),
            "feature_value": (dims, table(lambda cell: cell.value)),
            "feature_low": (dims, table(lambda cell: quantile(cell, 0.025))),
            "feature_high": (dims, table(lambda cell: quantile(cell, 0.975))),
            "used": (dims, table(lambda cell: cell.known)),
            "reason": (dims, table(lambda cell: cell.why).astype(str)),
            "template": (("regime", "feature"), np.array(template), {"window_ms": _WINDOW_MS}),
        },
        coords={
            "population": [row["name"] for row in rows],
            "kind": ("population", [row["kind"] for row in rows]),
            "regime": labels,
            "family": ("regime", of_family),
            "family_name": families,
            "feature": list(FEATURES),
            "feature_label": ("feature", [text for text, _ in FEATURES.values()]),
            "tolerance": ("feature", [tolerance for _, tolerance in FEATURES.values()]),
        },
    )
    result["step_ms"] = (("population", "family_name"), [[row["step"][family] for family in families] for row in rows])
    return result


def _kinds(rows: Sequence[dict[str, Any]]) -> xr.Dataset:
    """Return the shares of the kinds of balance, in the two senses of tight."""
    tightness, tracking = [], []
    for row in rows:
        beta, own, excess = (row["balance"]["draws"].sel(statistic=key).values for key in _BALANCE)
        tightness.append(_shares([np.abs(beta) < CUTS["tight_residual"], beta >= CUTS["tight_residual"], None], beta))
        follows = own >= CUTS["tracking"]
        detailed = excess >= CUTS["detailed"]
        tracking.append(_shares([follows & detailed, follows & ~detailed, None], own + excess))
    raw = {
        name: np.stack([row["balance"][name].sel(statistic=list(_BALANCE)).values for row in rows])
        for name in ("value", "low", "high", "note", "caution")
    }
    return xr.Dataset(
        {
            "tightness": (("population", "residual"), np.array(tightness)),
            "tracking": (("population", "in_time"), np.array(tracking)),
            **{
                "balance" if name == "value" else f"balance_{name}": (("population", "statistic"), values)
                for name, values in raw.items()
            },
        },
        coords={"residual": list(TIGHTNESS), "in_time": list(TRACKING), "statistic": list(_BALANCE)},
    )


def _shares(kinds: Sequence[np.ndarray | None], draws: FloatArray) -> list[float]:
    """Return the share of draws of every kind; the last is the rest; NaN where the draws are."""
    if not np.isfinite(draws).all():
        return [np.nan] * len(kinds)
    first = [float(kind.mean()) for kind in kinds if kind is not None]
    return [*first, 1.0 - sum(first)]
