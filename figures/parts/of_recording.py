"""Figures straight from a recording: ``tree.ei.plot.current_traces()`` runs the analysis and draws its result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import Parameter, signature
from typing import Any

import xarray as xr

from eiplatform.analyses import Analysis, find_analysis
from eiplatform.analyses.parts.inputs import Role
from eiplatform.errors import NotApplicableError, UnknownNameError, suggest
from eiplatform.figures.parts.finding import figure_names, find_figure

__all__ = ["RecordingPlots"]


class _NoSuchFigure(UnknownNameError, AttributeError):
    """No figure has that name; an AttributeError too, as Python expects of attributes."""


def _input(analysis: Analysis) -> Role | None:
    """Return what the analysis needs, if that is recordings and nothing else."""
    given = signature(type(analysis).run, eval_str=True).parameters
    needed = [role for name, role in analysis.inputs.items() if given[name].default is Parameter.empty]
    return needed[0] if len(needed) == 1 and needed[0].name in ("recording", "recordings", "references") else None


def _whole(data: xr.DataTree | xr.Dataset) -> xr.DataTree:
    """Return a recording, or what a node holds as a recording of its own."""
    if isinstance(data, xr.Dataset):
        raise NotApplicableError(
            "a Dataset does not say which recording it is of",
            where=".ei.plot",
            remedy="ask the recording or a node of it: tree['fc1/E'].ei.plot",
        )
    if data.parent is None:
        return data
    tree = xr.DataTree.from_dict({node.path: node.to_dataset() for node in data.subtree if node.has_data})
    tree.attrs = dict(data.root.attrs)
    return tree


class RecordingPlots:
    """Figures of one recording, as methods; each takes ``ax`` or ``figure``, and the options of its analysis.

    Parameters
    ----------
    data : xarray.DataTree or xarray.Dataset
        A recording, or one population of it.
    """

    def __init__(self, data: xr.DataTree | xr.Dataset) -> None:
        self._data = data

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        names = dir(self)
        if name not in names:
            raise _NoSuchFigure(
                f"no figure '{name}' of a recording{suggest(name, names)}", where=".ei.plot", valid=names
            )
        analysis = find_analysis(find_figure(name).ANALYSIS)
        role = _input(analysis)

        def draw(*, ax: Any = None, figure: Any = None, **options: Any) -> Any:
            recording = _whole(self._data)
            result = analysis.run(recording if role is not None and role.single else [recording], **options)
            return result.plot(name, ax=ax, figure=figure)

        draw.__name__, draw.__doc__ = name, f"{analysis.question}\n\n{find_figure(name).__doc__ or ''}"
        return draw

    def __dir__(self) -> Iterable[str]:
        return [name for name in figure_names() if _input(find_analysis(find_figure(name).ANALYSIS)) is not None]

    def __repr__(self) -> str:
        asked = {name: find_analysis(find_figure(name).ANALYSIS).question for name in dir(self)}
        return "\n".join(["<.ei.plot: figures of this recording>", *(f"  {name}: {asked[name]}" for name in asked)])
