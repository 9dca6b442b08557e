"""Recovery from a lesion: by further training, or in the steps after it."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from eiplatform.figures.grammar import baseline, colour, count, intervals, layer_colours
from eiplatform.figures.parts.lesions import about, cells_of, done, intact_of, role_style
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "lesion_study"
QUESTION = "Does the network recover from a lesion?"
_MARKS = "os^vDpX"


def caption(result: xr.Dataset) -> str:
    """Return the caption with n and the control."""
    if "iteration" in result:
        what = (
            f"Accuracy after the loss of {done(result)} over further training (iteration: one batch; 0: none yet). "
            "Dashed: the intact network, fine-tuned as long. Dotted: intact network"
        )
    else:
        what = (
            "Accuracy when a pathway is lost in a window of steps only (the last point: in all of them). Dotted: intact"
        )
    return f"{what}. {about(result)}; none excluded."


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    last = table(result).iloc[-1]
    return (
        f"Accuracy over recovery from a lesion; the last value is {last['value']:.2f}, intact {intact_of(result):.2f}."
    )


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per role, dose and iteration (or window)."""
    columns = ["role", "dose", "place", "value", "low", "high"]
    if "iteration" not in result and "first" not in result:
        return pd.DataFrame(columns=columns)
    rows = cells_of(result, "accuracy_mean")
    rows = rows[(rows["role"] != "intact") & (rows["images"] == "plain")]
    if "iteration" in rows:
        return rows.assign(place=rows["iteration"]).reindex(columns=columns).reset_index(drop=True)
    ends = [(int(first) + 1, int(last)) for first, last in zip(rows["first"], rows["last"], strict=True)]
    names = [f"{first}–{last}" if last > first else f"{last}" for first, last in ends]
    return rows.assign(place=names).reindex(columns=columns).reset_index(drop=True)


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw accuracy over iterations, one line per dose; or over windows."""
    (ax,) = sheet.panels(1, 1, width="single", height_mm=60)
    baseline(ax, intact_of(result), "intact")
    numeric = pd.api.types.is_numeric_dtype(numbers["place"])
    doses = list(dict.fromkeys(numbers["dose"]))
    inks = layer_colours(len(doses))
    for role in ("lesion", "tuned"):
        for index, (dose, ink) in enumerate(zip(doses, inks, strict=True)):
            mine = numbers[(numbers["dose"] == dose) & (numbers["role"] == role)]
            if mine.empty or (role == "tuned" and index):
                continue
            style = role_style(role) | {"linestyle": "-" if role == "lesion" else (0, (4, 1.2))}
            if role == "lesion":
                style |= {
                    "color": ink,
                    "markerfacecolor": ink,
                    "marker": _MARKS[index % 7],
                    "label": f"{100 * dose:g} % lost",
                }
            place = mine["place"] if numeric else range(len(mine))
            intervals(ax, list(place), mine, joined=numeric, **style | ({} if numeric else {"linestyle": ""}))
    if not numeric:
        names = list(dict.fromkeys(numbers["place"]))
        ax.set_xticks(range(len(names)), names)
    else:
        moments = sorted(set(numbers["place"]))
        ax.set_xscale("symlog", linthresh=max(min(moments[1:], default=1), 1), linscale=0.4)
        ax.set_xticks(moments, [f"{moment:g}" for moment in moments])
        ax.minorticks_off()
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("iterations of further training" if numeric else "steps in which the pathway is lost")
    ax.set_ylabel("accuracy")
    if "n_classes" in result.attrs:
        baseline(ax, 1 / float(result.attrs["n_classes"]), "chance")
    count(ax, f"{result.attrs['n_networks']} networks")
    ax.tick_params(color=colour("ink"))
    sheet.legend()
