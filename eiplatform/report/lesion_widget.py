"""The doses of a lesion study as an interactive panel: a pathway in a layer, and how much of it is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from eiplatform.analyses import number_text
from eiplatform.figures.grammar import pathway
from eiplatform.figures.parts.lesions import ROLES, cells_of, intact_of, many_doses, where
from eiplatform.report.widgets import Control, Frame, Widget, legend_above, panel, series, whiskers

__all__ = ["study_doses"]


def study_doses(key: str, data: xr.Dataset) -> Widget | None:
    """Return the panel of a lesion study; none if it has no doses to go through.

    Parameters
    ----------
    key : str
        Name of the result.
    data : xarray.Dataset
        Of the analysis ``lesion_study``.
    """
    if "coalition" in data or "layers" not in data.coords or not many_doses(data):
        return None
    rows = cells_of(data, "accuracy_mean")
    rows = rows[(rows["images"] == "plain") & (rows["role"] != "intact")]
    rows = rows.assign(
        place=[f"{pathway(str(p))}, {where(str(q))}" for p, q in zip(rows.pathway, rows.layers, strict=True)]
    )
    places = list(dict.fromkeys(rows.loc[rows["role"] == "lesion", "place"]))
    intact, rates = intact_of(data), _rates(data)
    layers = data["layer_read"].values.astype(str).tolist()
    options: dict[str, list[str]] = {}
    frames = {}
    for index, place in enumerate(places):
        mine = rows[rows["place"] == place]
        whole = {"dose": 0.0, "value": intact, "low": np.nan, "high": np.nan}
        curves = {
            role: pd.concat([part[list(whole)], pd.DataFrame([whole])]).sort_values("dose")
            for role, part in mine.groupby("role")
        }
        lesion = mine[mine["role"] == "lesion"].sort_values("dose")
        options[str(index)] = [_said(dose) for dose in lesion["dose"]]
        for number, row in enumerate(lesion.itertuples()):
            frames[f"{index}|{number}"] = _frame(place, row, curves, rates, intact, layers)
    removed = next((k for k, name in enumerate(options["0"]) if name.endswith("removed")), 0)
    controls = [Control("where", "Lesion", places), Control("dose", "Dose", options, "range", removed)]
    about = (
        f"Design '{data.attrs['design']}', mean over {data.attrs['n_networks']} networks. Choose a pathway and where "
        "it is lost, and move the slider; the lower panel shows the rates of the layers at that dose."
    )
    used = [role for role in ROLES if (rows["role"] == role).any()]
    return Widget(f"{key}-doses", "Go through the doses", about, _panels(used, layers), controls, frames)


def _said(dose: float) -> str:
    return f"{abs(100 * dose):g} % {'removed' if dose >= 0 else 'added'}"


def _rates(data: xr.Dataset) -> dict[tuple[str, str, float], np.ndarray]:
    """Return the mean rates of the layers by pathway, layers and dose; those of the intact network under 0."""
    rate = data["rate"].mean("network").transpose("cell", "layer_read").values
    plain = data["images"].values == "plain"
    found = {}
    for cell in np.flatnonzero(plain & np.isin(data["role"].values, ["intact", "lesion"])):
        if data["role"].values[cell] == "intact":
            found["", "", 0.0] = rate[cell]
        else:
            route, layers = (str(data[name].values[cell]) for name in ("pathway", "layers"))
            found[route, layers, float(data["dose"].values[cell])] = rate[cell]
    return found


def _frame(
    place: str,
    row: Any,
    curves: dict[Any, pd.DataFrame],
    rates: dict[tuple[str, str, float], np.ndarray],
    intact: float,
    layers: list[str],
) -> Frame:
    columns = {"dose": "dose", "accuracy": "value", "low": "low", "high": "high"}
    sources: dict[str, dict[str, Any]] = {}
    for role in ROLES:
        part = curves.get(role, pd.DataFrame(columns=list(columns.values())))
        scale = {name: 1.0 if name == "dose" else 100.0 for name in columns}
        sources[role] = {name: scale[name] * part[of].to_numpy(dtype=float) for name, of in columns.items()}
    sources["point"] = {"dose": [row.dose], "accuracy": [100 * row.value]}
    before, after = rates["", "", 0.0], rates[str(row.pathway), str(row.layers), float(row.dose)]
    sources["layers"] = {"layer": layers, "intact": before, "rate": after}
    controls = ", ".join(
        f"{ROLES[role][0]} {100 * float(at['value'].iloc[0]):.1f} %"
        for role, part in curves.items()
        if role != "lesion" and role in ROLES and len(at := part[part["dose"] == row.dose])
    )
    text = f"{place}, {_said(row.dose)}: accuracy {100 * row.value:.1f} % (intact {100 * intact:.1f} %)"
    text += f"; {controls}" if controls else ""
    return Frame(sources, f"{text}; spikes per neuron and step {', '.join(number_text(float(one)) for one in after)}.")


def _panels(roles: list[str], layers: list[str]) -> Any:
    from bokeh.layouts import column
    from bokeh.models import ColumnDataSource

    tips = [("dose", "@dose"), ("accuracy", "@accuracy{0.0} % [@low{0.0}, @high{0.0}]")]
    curve = panel("curve", height=280, tooltips=tips, x_axis_label="fraction removed", y_axis_label="accuracy (%)")
    at: dict[str, Any] = {"x": "dose", "y": "accuracy"}
    shapes = {"s": "square", "^": "triangle", "v": "inverted_triangle", "D": "diamond", "P": "plus", "o": "circle"}
    for role in [*(role for role in ROLES if role != "lesion"), "lesion"]:
        source = ColumnDataSource({name: [] for name in ("dose", "accuracy", "low", "high")}, name=role)
        label, ink, marker, _ = ROLES[role]
        held: dict[str, Any] = {"legend_label": label} if role in roles else {}
        dash: dict[str, Any] = {} if role == "lesion" else {"line_dash": "dashed"}
        series(curve, "line", source, ink, **at, line_width=1.5, **dash, **held)
        series(curve, "scatter", source, ink, **at, size=7, marker=shapes[marker], hovered=role == "lesion", **held)
        if role == "lesion":
            whiskers(curve, source, "dose", "low", "high", ink)
    point = ColumnDataSource({"dose": [], "accuracy": []}, name="point")
    series(curve, "scatter", point, "ink", **at, size=16, fill_alpha=0, line_width=2.5)
    legend_above(curve)
    rates = ColumnDataSource({"layer": [], "intact": [], "rate": []}, name="layers")
    tips = [("layer", "@layer"), ("rate", "@rate{0.000}"), ("intact", "@intact{0.000}")]
    label = "spikes per neuron and step"
    below = panel("rates", height=200, tooltips=tips, x_range=layers, y_axis_label=label, toolbar=False)
    mark: dict[str, Any] = {"x": "layer", "y": "intact", "size": 14, "marker": "dash", "line_width": 3}
    series(below, "scatter", rates, "null", **mark, legend_label="intact")
    series(below, "scatter", rates, "trained", x="layer", y="rate", size=8, legend_label="at this dose", hovered=True)
    legend_above(below)
    return column(curve, below, sizing_mode="stretch_width")
