"""What do lesions of a design do to performance, firing and balance, against their controls?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import xarray as xr
from scipy import stats

from eiplatform.analyses.parts.analysis import Analysis, Result, load_result
from eiplatform.analyses.parts.inputs import Role
from eiplatform.analyses.parts.lesion_dissociation import DISSOCIATION, dissociation_findings, dissociation_table
from eiplatform.analyses.parts.lesion_games import game_findings, game_table
from eiplatform.analyses.parts.lesion_measures import add_after, add_calibration, add_mean, over_networks_and_images
from eiplatform.analyses.parts.tables import Table, interval_text, number_text
from eiplatform.errors import StatisticError
from eiplatform.statistics.kernels.multiple import holm, mcnemar

__all__ = ["LesionStudy"]

Study = Annotated[str | Path | xr.Dataset, Role("study", "the result of a lesion study (.nc)", single=True)]

LEVEL = 0.05
INTERCHANGEABLE = 0.1
_CEILING = 0.1
_CONTROLS = {
    "random": "random synapse losses of as much current",
    "mean": "inhibition whose level stays",
    "shift": "an equal shift of the mean",
    "restored": "rates restored by biases",
    "tuned": "the intact network fine-tuned as long",
}
_KEYS = ("pathway", "layers", "dose", "kind", "neuron", "first", "last", "fraction", "iteration", "coalition", "images")


class LesionStudy(Analysis):
    """Accuracy of every cell against the intact network on the same images, with intervals over networks and images."""

    question = "What do lesions of a design do to performance, firing and balance, against their controls?"
    place = 95

    def run(self, study: Study, *, seed: int = 0) -> Result:
        """Answer the question anew from the cells of a study.

        Parameters
        ----------
        study : str, Path or xarray.Dataset
            Result of a lesion study, or its directory.
        seed : int
            Of the bootstrap.
        """
        if not isinstance(study, xr.Dataset):
            file = Path(study) / "result.nc" if Path(study).is_dir() else Path(study)
            study = load_result(file).data
        return self._measured(study, seed)

    def from_cells(
        self,
        cells: xr.Dataset,
        about: Mapping[str, Any],
        checks: Sequence[Mapping[str, Any]],
        alike: Sequence[Mapping[str, float]],
        seed: int = 0,
    ) -> Result:
        """Return the result of cells (network, cell, ...).

        Parameters
        ----------
        cells : xarray.Dataset
            As of :class:`eiplatform.lesions.engine.Engine`, with a dimension ``network``.
        about : mapping
            ``design``, ``question`` and ``parameters``.
        checks : sequence of mapping
            Per network, what every intervention did.
        alike : sequence of mapping
            Per network, the coefficient of variation of the weights I->E over I neurons, by layer.
        seed : int
            Of the bootstrap.
        """
        cells.attrs |= {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}
        cells.attrs["checks"] = json.dumps(list(checks))
        cells.attrs["inhibitory_weight_cv"] = json.dumps(list(alike))
        return self._measured(cells, seed)

    def _measured(self, cells: xr.Dataset, seed: int) -> Result:
        correct = cells["correct"].transpose("network", "cell", "sample").values.astype(float)
        roles, images = cells["role"].values, cells["images"].values
        where = {str(name): index for index, name in enumerate(images) if roles[index] == "intact"}
        intact = np.array([where[str(name)] for name in images])
        if "plain" not in where:
            raise StatisticError("the intact network is not among the cells", where="lesion study")
        change = correct - correct[:, intact]
        data = cells.copy()
        n_net, n_cells, n = correct.shape
        data["accuracy"] = (("network", "cell"), correct.mean(2))
        add_mean(data, "accuracy_mean", correct, seed)
        add_mean(data, "change", change, seed)
        add_calibration(data, correct, seed)
        if "correct_from" in data and "last" in data.coords:
            add_after(data, intact, seed)
        p = np.full(n_cells, np.nan)
        tested = np.flatnonzero(roles != "intact")
        for cell in tested:
            if n_net == 1:
                p[cell] = _two_sided(correct[0, intact[cell]], correct[0, cell])
            elif n_net >= 3:
                p[cell] = _over_networks(change[:, cell])
        lesions = np.flatnonzero(roles == "lesion")
        adjusted = np.full(n_cells, np.nan)
        if np.isfinite(p[lesions]).all() and len(lesions):
            adjusted[lesions] = holm(p[lesions])
        data["p"], data["p_holm"] = ("cell", p), ("cell", adjusted)
        self._against_controls(data, correct, seed)
        data.attrs |= {"n_networks": n_net, "n_samples": n}
        return self.result(data)

    def _against_controls(self, data: xr.Dataset, correct: np.ndarray, seed: int) -> None:
        """Add, per lesion and control, the accuracy of the lesion minus that of its control (mean over draws)."""
        roles = data["role"].values
        names = [name for name in _CONTROLS if name in roles]
        keys = [
            tuple(str(data[key].values[cell]) for key in _KEYS if key in data) for cell in range(data.sizes["cell"])
        ]
        excess = np.full((3, len(names), len(roles)), np.nan)
        for index, name in enumerate(names):
            for cell in np.flatnonzero(roles == "lesion"):
                controls = [i for i in np.flatnonzero(roles == name) if keys[i] == keys[cell]]
                if controls:
                    difference = correct[:, [cell]] - correct[:, controls].mean(1, keepdims=True)
                    low, high = over_networks_and_images(difference, seed)
                    excess[:, index, cell] = difference.mean(), low[0], high[0]
        if names:
            for part, label in zip(excess, ("excess", "excess_low", "excess_high"), strict=True):
                data[label] = (("control", "cell"), part)
            data.coords["control"] = names

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give one row per lesion: accuracy against the controls, confidence; of players what they do together."""
        if "coalition" in result:
            yield game_table(result)
            return
        if result.attrs["design"] == DISSOCIATION:
            yield dissociation_table(result)
        lesions = result.isel(cell=np.flatnonzero(result["role"].values == "lesion"))
        keys = [key for key in _KEYS if key in result and _varies(lesions[key].values)]
        controls = list(result["control"].values) if "control" in result else []
        rows, sure = [], []
        for index in range(lesions.sizes["cell"]):
            cell = lesions.isel(cell=index)
            names = [_text(cell[key].values.item()) for key in keys]
            row = [_points(cell, "accuracy_mean"), _points(cell, "change"), number_text(float(cell["p_holm"]))]
            row += [_points(cell.sel(control=name), "excess") for name in controls]
            if "after_change" in cell:
                row += [_points(cell, "after_change"), _ratios(cell["after_rate"])]
            rows.append((*names, *row))
            error = 100 * float(cell["calibration_error"].mean())
            sure.append((*names, _points(cell, "loss_mean", 1), _points(cell, "overconfidence"), number_text(error)))
        columns = (*keys, "accuracy % [95 %]", "change, points [95 %]", "p (Holm)")
        columns = (*columns, *(f"minus {_CONTROLS[name]}, points" for name in controls))
        if "after_change" in lesions:
            columns = (*columns, "change in the steps after, points", "rate after / intact")
        yield Table(f"Lesions: {result.attrs['design']}", columns, tuple(rows), _note(result))
        columns = (*keys, "loss [95 %]", "confidence minus accuracy, points [95 %]", "calibration error, points")
        yield Table("Confidence and loss", columns, tuple(sure), _calibration_note(result))

    def findings(self, result: xr.Dataset) -> Iterable[str]:
        """Say which lesions matter most, whether more than their controls, and what limits the study."""
        intact = 100 * float(result["accuracy_mean"].values[result["role"].values == "intact"][0])
        lesions = result.isel(cell=np.flatnonzero(result["role"].values == "lesion"))
        lower = lesions.isel(cell=np.flatnonzero((lesions["change"] < 0) & (lesions["p_holm"] <= LEVEL)))
        how = _how(result)
        if "coalition" in result:
            yield from game_findings(result)
        elif result.attrs["design"] == DISSOCIATION:
            yield from dissociation_findings(result)
        elif lesions.sizes["cell"] and lesions["p_holm"].isnull().all():
            worst = lesions.isel(cell=int(np.argmin(lesions["change"].values)))
            yield (
                f"The largest loss of the intact accuracy of {intact:.1f} %, "
                f"{-100 * float(worst['change']):.1f} points, follows {_named(worst)} ({how})."
            )
        elif not lower.sizes["cell"]:
            yield f"No lesion was found to lower the intact accuracy of {intact:.1f} % ({how})."
        else:
            worst = lower.isel(cell=int(np.argmin(lower["change"].values)))
            yield (
                f"{lower.sizes['cell']} of {lesions.sizes['cell']} lesions lower the intact accuracy of {intact:.1f} % "
                f"({how}). The largest loss, {-100 * float(worst['change']):.1f} points, follows {_named(worst)}."
            )
            yield from _control_findings(lower)
        yield from _cautions(result)


def _two_sided(before: np.ndarray, after: np.ndarray) -> float:
    lower, higher = (mcnemar(*pair)[0] for pair in ((before, after), (after, before)))
    return min(1.0, 2 * min(lower, higher))


def _over_networks(change: np.ndarray) -> float:
    """Return p of a t test over networks of changes (network, sample).

    Few networks that lose one image each have no variance by chance: it counts as at least what the images of a
    network let expect.
    """
    n_net, n = change.shape
    per_network = change.mean(1)
    variance = max(per_network.var(ddof=1), change.var(1).mean() / n)
    if not variance:
        return float(per_network[0] == 0)
    return float(2 * stats.t.sf(abs(per_network.mean()) / np.sqrt(variance / n_net), n_net - 1))


def _varies(values: np.ndarray) -> bool:
    return len({str(value) for value in values}) > 1


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _named(cell: xr.Dataset) -> str:
    told = [
        f"{key} {_text(cell[key].values.item())}" for key in _KEYS if key in cell and _told(cell[key].values.item())
    ]
    return ", ".join(told)


def _points(cell: xr.Dataset, name: str, scale: float = 100) -> str:
    return interval_text(*(scale * float(cell[f"{name}{end}"]) for end in ("", "_low", "_high")))


def _ratios(values: xr.DataArray) -> str:
    if values.isnull().all():
        return "–"
    return ", ".join(
        f"{layer} {number_text(float(value))}" for layer, value in zip(values["layer_read"].values, values, strict=True)
    )


def _told(value: Any) -> bool:
    return value not in ("", "plain") and not (isinstance(value, float) and np.isnan(value))


def _how(result: xr.Dataset) -> str:
    n = int(result.attrs["n_networks"])
    if n == 1:
        return "exact paired test on the same images, corrected for the number of lesions (Holm); one network"
    if n < 3:
        return f"{n} networks: too few for a test"
    return f"t test over {n} networks, corrected for the number of lesions (Holm)"


def _note(result: xr.Dataset) -> str:
    return (
        f"{result.attrs['n_networks']} networks, n = {result.attrs['n_samples']} images. Intervals: bootstrap of "
        f"networks and images. p: {_how(result)}. 'Minus' a control: accuracy under the lesion minus accuracy under "
        "the control on the same images; below 0 the lesion does more than the control."
    )


def _calibration_note(result: xr.Dataset) -> str:
    intact = result.isel(cell=int(np.flatnonzero(result["role"].values == "intact")[0]))
    return (
        f"Intact network: loss {_points(intact, 'loss_mean', 1)}, confidence minus accuracy "
        f"{_points(intact, 'overconfidence')} points, calibration error "
        f"{number_text(100 * float(intact['calibration_error'].mean()))}. Loss: cross-entropy. Calibration error: mean "
        f"difference of confidence and accuracy over {result.sizes['bin']} bins of confidence (Guo et al. 2017), mean "
        "over networks; few images make it large by chance, so that it has no interval."
    )


def _control_findings(lower: xr.Dataset) -> Iterable[str]:
    if "control" not in lower:
        return
    for name in lower["control"].values:
        part = lower.sel(control=name)
        known = part.isel(cell=np.flatnonzero(part["excess"].notnull()))
        if known.sizes["cell"]:
            more = int((known["excess_high"] < 0).sum())
            yield (
                f"{more} of these {known.sizes['cell']} lesions cost more accuracy than {_CONTROLS[str(name)]} "
                "(95 % intervals, each by itself)."
            )


def _cautions(result: xr.Dataset) -> Iterable[str]:
    n = int(result.attrs["n_networks"])
    if n == 1:
        yield "One network was lesioned: another training seed may answer otherwise."
    alike = {
        layer
        for one in json.loads(result.attrs["inhibitory_weight_cv"])
        for layer, cv in one.items()
        if cv < INTERCHANGEABLE
    }
    if alike and "neuron" in result:
        yield (
            f"The I neurons of {', '.join(sorted(alike))} are interchangeable (their weights I->E hardly differ): "
            "a ranking of them means nothing."
        )
    always = result["always_on"].mean("network").isel(cell=np.flatnonzero(result["role"].values == "lesion"))
    share = float((always.max("layer_read") > _CEILING).mean())
    if share:
        yield (
            f"In {100 * share:.0f} % of the lesions more than {100 * _CEILING:.0f} % of a layer's neurons fire at "
            "every step: rates cannot rise further, and their changes are understated."
        )
    if result.attrs.get("left_out"):
        yield f"{result.attrs['left_out']} cells are not possible in all networks, and were left out."
    unchanged = {
        key for one in json.loads(result.attrs["checks"]) for key, check in one.items() if not check["changed"]
    }
    if unchanged:
        yield f"{len(unchanged)} interventions changed nothing, e.g. {sorted(unchanged)[0]}."
