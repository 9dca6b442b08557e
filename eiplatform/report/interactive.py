"""Which results have an interactive panel: single neurons, doses of a lesion, every statistic of every layer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses import Result, number_text
from eiplatform.report.lesion_widget import study_doses
from eiplatform.report.widgets import Control, Frame, Options, Widget, legend_above, panel, series, whiskers

__all__ = ["neuron_frame", "neuron_panels", "widget_of"]

PANELS = {
    "currents": ("current_exc", "current_inh", "current_net"),
    "gain": ("gain",),
    "voltage": ("voltage",),
    "activity": ("activity",),
}
"""Panels of a neuron, and the signals in them; spikes are ticks in a panel of their own."""


def widget_of(key: str, result: Result) -> Widget | None:
    """Return the interactive panel of a result, if its analysis has one.

    Parameters
    ----------
    key : str
        Name of the result.
    result : Result
    """
    made = {
        "neuron_sample": _neurons,
        "lesions": _doses,
        "lesion_study": study_doses,
        "balance": _statistics,
    }.get(result.analysis.name)
    return made(key, result.data) if made else None


def neuron_panels(signals: Collection[str]) -> Any:
    """Return the Bokeh panels of one neuron, with the sources ``trace`` and ``fired``.

    Parameters
    ----------
    signals : collection of str
        Those that some neuron has; others get no panel.
    """
    from bokeh.layouts import column
    from bokeh.models import ColumnDataSource

    names = [name for shown in PANELS.values() for name in shown]
    trace = ColumnDataSource({name: [] for name in ("time", "mirrored", *names)}, name="trace")
    spikes = ColumnDataSource({"time": [], "row": []}, name="fired")
    values = [("time", "@time{0.0}"), ("E", "@current_exc{0.000}"), ("I", "@current_inh{0.000}")]
    values += [("net", "@current_net{0.000}"), ("gain", "@gain{0.000}")]
    currents = panel("currents", height=230, tooltips=values, mode="vline", y_axis_label="current")
    made = {"currents": currents}
    series(
        currents,
        "line",
        trace,
        "exc",
        x="time",
        y="current_exc",
        line_width=1.4,
        legend_label="excitation",
        hovered=True,
    )
    held: dict[str, Any] = {"x": "time", "y": "mirrored", "line_width": 1.4, "line_dash": "dashed"}
    series(currents, "line", trace, "inh", **held, legend_label="inhibition (−)")
    series(currents, "line", trace, "net", x="time", y="current_net", line_width=1.0, legend_label="net")
    legend_above(currents)
    ticks = panel("spikes", height=56, y_range=(-0.5, 0.5), x_range=currents.x_range, toolbar=False)
    series(ticks, "scatter", spikes, "ink", x="time", y="row", marker="dash", angle=np.pi / 2, size=16, line_width=1.4)
    ticks.yaxis.ticker = []
    ticks.yaxis.axis_label = "spikes"
    ticks.xaxis.visible = False
    ticks.ygrid.visible = False
    made["spikes"] = ticks
    for name, colour in (("gain", "gain"), ("voltage", "net"), ("activity", "net")):
        if name not in signals:
            continue
        one = panel(name, height=120, tooltips=[("time", "@time{0.0}"), (name, f"@{name}{{0.000}}")], mode="vline",
                    x_range=currents.x_range, y_axis_label=name, toolbar=False)  # fmt: skip
        series(one, "line", trace, colour, x="time", y=name, line_width=1.4)
        made[name] = one
    for one in made.values():
        one.xgrid.visible = False
    return column(*made.values(), sizing_mode="stretch_width", name="neuron")


def neuron_frame(
    time: np.ndarray,
    held: Mapping[str, np.ndarray],
    fired: np.ndarray,
    *,
    who: str,
    units: Mapping[str, str],
    time_units: str,
    correlation: float = np.nan,
) -> Frame:
    """Return what the panels of a neuron show.

    Parameters
    ----------
    time : array, shape (time,)
    held : mapping of str to array, shape (time,)
        Signals.
    fired : array
        Times of spikes.
    who : str
    units : mapping of str to str
        Of the signals.
    time_units : str
    correlation : float
        Of E with I.
    """
    names = [name for signals in PANELS.values() for name in signals]
    columns = {name: held.get(name, np.full(time.size, np.nan)) for name in names}
    sources = {
        "trace": {"time": time, "mirrored": -columns["current_inh"], **columns},
        "fired": {"time": fired, "row": np.zeros(fired.size)},
    }
    present = {name for name, values in columns.items() if np.isfinite(values).any()}
    hidden = [name for name, signals in PANELS.items() if not present & set(signals)]
    hidden += [] if fired.size else ["spikes"]
    unit = {name: "" if text in ("1", "") else f" ({text})" for name, text in units.items()}
    labels = {name: name + unit.get(signals[0], "") for name, signals in PANELS.items()}
    labels["currents.x"] = f"time ({time_units})"
    facts = [f"{fired.size} spike{'s' if fired.size != 1 else ''} in {time.size} recorded intervals"]
    if {"current_exc", "current_inh"} <= present and np.nanmean(columns["current_inh"]) > 0:
        ratio = float(np.nanmean(columns["current_exc"]) / np.nanmean(columns["current_inh"]))
        facts.insert(0, f"E/I {number_text(ratio)}")
    if np.isfinite(correlation):
        facts.insert(1, f"correlation of E with I {number_text(correlation)}")
    span = f"{time[0]:g} to {time[-1]:g} {time_units}" if time.size else "nothing recorded"
    return Frame(sources, f"{who}, {span}: {', '.join(facts)}.", hidden, labels)


def _neurons(key: str, data: xr.Dataset) -> Widget:
    rows = [f"{one}: {name}" for one, name in zip(data["recording"].values, data["population"].values, strict=True)]
    place, cell = data["spike_row"].values, data["spike_cell"].values
    options: dict[str, Options] = {}
    frames = {}
    for index, row in enumerate(rows):
        one = data.isel(row=index)
        last = int(one["time"].notnull().sum())
        cells = np.flatnonzero(one["number"].values >= 0)
        options[str(index)] = [f"neuron {one['number'].values[number]}" for number in cells]
        for number in cells:
            traces = one["trace"].isel(cell=number, point=slice(last))
            frames[f"{index}|{number}"] = neuron_frame(
                one["time"].values[:last],
                {str(name): traces.sel(signal=name).values for name in traces["signal"].values},
                data["spike_time"].values[(place == index) & (cell == number)],
                who=f"{row}, neuron {int(one['number'].values[number])}, sample {one['sample'].item()}",
                units=dict(zip(one["signal"].values.astype(str), one["units"].values.astype(str), strict=True)),
                time_units=str(one["time_units"].item()),
                correlation=float(one["correlation"].values[number]),
            )
    middle = int((data["number"].values[0] >= 0).sum()) // 2  # neither silent nor always on, in most layers
    held = [str(name) for name in data["signal"].values if data["trace"].sel(signal=name).notnull().any()]
    controls = [Control("population", "Population", rows), Control("neuron", "Neuron", options, start=middle)]
    about = (
        "Choose a population and a neuron. Move over the panels for values, drag to zoom, and use the reset button to "
        "go back. The neurons are spaced evenly over the ranks of their mean net current."
    )
    return Widget(f"{key}-neurons", "Look at single neurons", about, neuron_panels(held), controls, frames)


def _doses(key: str, data: xr.Dataset) -> Widget:
    from bokeh.layouts import column
    from bokeh.models import ColumnDataSource

    doses = data["dose"].values
    percent = {name: 100 * data[name].values for name in ("accuracy", "accuracy_low", "accuracy_high")}
    line = ColumnDataSource({"dose": doses, **percent})
    point = ColumnDataSource({"dose": [], "accuracy": []}, name="point")
    layers = ColumnDataSource({name: [] for name in ("layer", "value", "low", "high", "intact")}, name="values")
    values = [("dose", "@dose"), ("accuracy", "@accuracy{0.0} % [@accuracy_low{0.0}, @accuracy_high{0.0}]")]
    curve = panel("curve", height=260, tooltips=values, x_axis_label="fraction removed", y_axis_label="accuracy (%)")
    at: dict[str, Any] = {"x": "dose", "y": "accuracy"}
    if data.attrs["n_controls"]:
        losses = 100 * data["control_accuracy"].values
        random = ColumnDataSource({"dose": np.tile(doses, len(losses)), "accuracy": losses.ravel()})
        series(curve, "scatter", random, "null", **at, size=6, marker="square", legend_label="random losses")
    series(curve, "line", line, "trained", **at, line_width=1.5)
    series(curve, "scatter", line, "trained", **at, size=7, legend_label="lesion", hovered=True)
    whiskers(curve, line, "dose", "accuracy_low", "accuracy_high", "trained")
    series(curve, "scatter", point, "ink", **at, size=16, fill_alpha=0, line_width=2.5)
    legend_above(curve)
    names = data["population"].values.astype(str)
    tips = [("layer", "@layer"), ("value", "@value{0.000} [@low{0.000}, @high{0.000}]"), ("intact", "@intact{0.000}")]
    below = panel("layers", height=200, tooltips=tips, x_range=list(names), y_axis_label="value")
    whiskers(below, layers, "layer", "low", "high", "trained")
    mark: dict[str, Any] = {"x": "layer", "y": "intact", "size": 14, "marker": "dash", "line_width": 3}
    series(below, "scatter", layers, "null", **mark, legend_label="intact")
    series(below, "scatter", layers, "trained", x="layer", y="value", size=8, legend_label="at this dose", hovered=True)
    legend_above(below)
    labels = data["label"].values.astype(str)
    numbers = {
        name: data[name].transpose("dose", "statistic", "population").values for name in ("value", "low", "high")
    }
    nothing = np.full(numbers["value"].shape[1:], np.nan)
    intact = numbers["value"][doses.tolist().index(0.0)] if 0.0 in doses else nothing
    frames = {}
    for index, dose in enumerate(doses):
        one = {"dose": doses[[index]], "accuracy": percent["accuracy"][[index]]}
        for other, label in enumerate(labels):
            shown = {name: part[index, other] for name, part in numbers.items()}
            sizes = [f"{name} {number_text(float(value))}" for name, value in zip(names, shown["value"], strict=True)]
            text = (
                f"{100 * dose:g} % removed: accuracy {percent['accuracy'][index]:.1f} %; {label}: {', '.join(sizes)}."
            )
            sources = {"point": one, "values": {"layer": names, "intact": intact[other], **shown}}
            frames[f"{index}|{other}"] = Frame(sources, text, labels={"layers": label})
    controls = [
        Control("dose", "Dose", [f"{100 * dose:g} % removed" for dose in doses], "range"),
        Control("statistic", "Below", labels.tolist()),
    ]
    where = f"{data.attrs['pathway']} in '{data.attrs['layers']}'"
    about = f"Lesion of {where}. Move the slider; the lower panel shows what the layers do at that dose."
    both = column(curve, below, sizing_mode="stretch_width")
    return Widget(f"{key}-doses", "Go through the doses", about, both, controls, frames)


def _statistics(key: str, data: xr.Dataset) -> Widget:
    from bokeh.models import ColumnDataSource

    names = data["population"].values.astype(str)
    columns = ["value", "low", "high", *(["null_minimum", "null_maximum", "z", "q"] if "null" in data else [])]
    values = {column: data[column].transpose("statistic", "population").values for column in columns}
    held = np.flatnonzero(np.isfinite(values["value"]).any(axis=1))
    source = ColumnDataSource({name: [] for name in ("layer", *columns)}, name="values")
    tips = [("layer", "@layer"), ("value", "@value{0.000} [@low{0.000}, @high{0.000}]")]
    if "null" in data:
        tips += [("null", "@null_minimum{0.000} to @null_maximum{0.000}"), ("z", "@z{0.0}"), ("q", "@q{0.000}")]
    one = panel("layers", height=280, tooltips=tips, x_range=list(names), y_axis_label="value")
    if "null" in data:
        bar: dict[str, Any] = {"x": "layer", "bottom": "null_minimum", "top": "null_maximum", "width": 0.5}
        bar["fill_alpha"] = 0.5
        series(one, "vbar", source, "null", **bar, legend_label=f"range of {int(data.attrs['n_nulls'])} nulls")
    whiskers(one, source, "layer", "low", "high", "trained")
    legend: dict[str, Any] = {"legend_label": str(data.attrs["label"]), "hovered": True}
    series(one, "scatter", source, "trained", x="layer", y="value", size=9, **legend)
    legend_above(one)
    labels = data["label"].values[held].astype(str).tolist()
    frames = {}
    for index, place in enumerate(held):
        shown = zip(names, values["value"][place], strict=True)
        text = ", ".join(f"{layer} {number_text(float(value))}" for layer, value in shown)
        sources = {"values": {"layer": names, **{column: values[column][place] for column in columns}}}
        frames[str(index)] = Frame(sources, f"{labels[index]}: {text}.", labels={"layers": labels[index]})
    title, what = (
        "Every statistic of every layer",
        "Choose any statistic that was measured; hovering shows its interval",
    )
    controls = [Control("statistic", "Statistic", labels)]
    return Widget(f"{key}-statistics", title, f"{what} and null.", one, controls, frames)
