"""From recordings to results, figures and reports: ``analyse``, ``compare``, ``figures``, ``report``, ``study``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from eiplatform import plot
from eiplatform.analyses import Result, find_analysis, load_result
from eiplatform.analyses.comparison import Comparison
from eiplatform.analyses.parts.running import run
from eiplatform.analyses.parts.sides import open_references
from eiplatform.errors import ConfigError, choose
from eiplatform.figures import SavedFigure, figure_names, save
from eiplatform.files import claim_file
from eiplatform.report import draw_all, write_study_report
from eiplatform.store.references import shipped_references
from eiplatform.study import Outcome, expand, find_study, load_study, run_study

__all__ = ["Result", "analyse", "compare", "figures", "plot", "report", "study"]

Recordings = str | Path | xr.DataTree
_RESULTS = "results of ei.analyse and ei.compare, or files of saved ones (.nc)"
Results = Result | str | Path | Mapping[str, Result] | Sequence[Result | str | Path]


def analyse(analysis: str, *recordings: Any, **options: Any) -> Result:
    """Answer one question from recordings.

    Parameters
    ----------
    analysis : str
        Name (``ei.list("analyses")``), or the path of a Python file that holds one.
    *recordings : Recording, path, or a sequence of them
        What the analysis is made from, in the order of its arguments; see ``ei.describe(analysis)``.  One recording
        counts as a list of one where the analysis takes several.
    **options
        Of the analysis, e.g. ``nulls=``, ``statistics=``, ``n_bootstrap=``, ``seed=``.

    Returns
    -------
    Result
        With ``.findings()``, ``.tables()``, ``.plot()``, ``.data`` (an :class:`xarray.Dataset`) and
        ``.save(path)``.

    Raises
    ------
    UnknownNameError
        If there is no such analysis or option.
    StatisticError, ConfigError
        If the recordings do not fit, or there are none.

    Examples
    --------
    >>> import eiplatform as ei, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> exc, inh, fired = 1 + rng.random((30, 20, 5)), rng.random((30, 20, 5)), rng.random((30, 20, 5)) < 0.2
    >>> own = ei.from_arrays(exc, inh, fired, dt=1, time_units="step")
    >>> ei.analyse("traces", [own]).data.attrs["analysis"]
    'traces'
    """
    return run(find_analysis(analysis), *recordings, **options)


def compare(
    recording: Any,
    to: Any,
    *,
    null: Any = None,
    statistics: str | Sequence[str] | None = None,
    margin: float = 0.5,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> Result:
    """Compare every layer of a network with cortical circuits, own measurements or other networks.

    Parameters
    ----------
    recording : Recording, path, or a sequence of them
        Of a network that ran for some hundred steps; several are its seeds.
    to : Recording, path, name, or a sequence of them
        Recordings of circuits, measurements or networks, or names of shipped summaries (``"brunel-2000-C"``).
    null : Recording or sequence, optional
        Recordings of untrained networks, compared in the same table: what training changes is the difference.
    statistics : str or sequence of str, optional
        Keys (``ei.list("statistics")``); default: all.
    margin : float
        Largest difference that counts as none, in units of the reference's spread over neurons.
    n_bootstrap, seed : int
        Of the intervals and permutations.

    Returns
    -------
    Result

    Raises
    ------
    ConfigError
        If `recording` is not of a network, or there is nothing to compare with.
    StatisticError
        If the two have nothing that can be compared.
    """
    references: list[Any] = []
    others = _each(to)
    if not others:
        known = ", ".join(shipped_references())
        raise ConfigError("there is nothing to compare with", where="to", valid=f"recordings, or a summary of {known}")
    for one in others:
        references += open_references([one], partial=False) if isinstance(one, str | Path) else [one]
    if null is not None:
        nulls = _each(null)
        references.append(nulls[0] if len(nulls) == 1 else nulls)
    return run(
        Comparison(), recording, references, statistics=statistics, margin=margin, n_bootstrap=n_bootstrap, seed=seed
    )


def figures(
    results: Results,
    path: str | Path,
    *,
    only: Sequence[str] | None = None,
    svg: bool = False,
    overwrite: bool = False,
) -> list[SavedFigure]:
    """Draw the figures of results to files: PNG, PDF, and the numbers drawn as CSV.

    Parameters
    ----------
    results : Result, path, or several
    path : str or Path
        Directory.
    only : sequence of str, optional
        Names (``ei.list("figures")``); default: all that these results allow.
    svg : bool
        Write SVG too.
    overwrite : bool
        Replace earlier figures of these names.

    Returns
    -------
    list of SavedFigure
        Each with ``.png``, ``.pdf``, ``.csv`` and ``.caption``.
    """
    folder = Path(path)
    possible = {name: result for result in _results(results).values() for name in result.plots}
    wanted = [choose(name, figure_names(), "figure") for name in only] if only else [*possible]
    for name in wanted:
        if name not in possible:
            raise ConfigError(f"these results have nothing that the figure '{name}' draws", valid=possible)
        claim_file(folder / f"{name}.png", overwrite=overwrite)
    return [save(name, possible[name], folder, svg=svg) for name in wanted]


def report(
    results: Results,
    path: str | Path,
    *,
    title: str = "Excitation and inhibition",
    overwrite: bool = False,
) -> Path:
    """Write results, figures and provenance into one HTML file that opens without a network.

    Parameters
    ----------
    results : Result, path, or several
        A mapping names them.
    path : str or Path
        HTML file; the figures are drawn into the directory ``figures`` next to it.
    title : str
    overwrite : bool
        Replace an earlier report, and its figures.

    Returns
    -------
    Path
    """
    found = _results(results)
    place = claim_file(Path(path), overwrite=overwrite)
    place.parent.mkdir(parents=True, exist_ok=True)
    drawn = draw_all(found, place.parent / "figures")
    question = " ".join(dict.fromkeys(result.analysis.question for result in found.values()))
    return write_study_report(place, title=title, question=question, results=found, figures=drawn, facts={})


def study(
    name: str | Path,
    path: str | Path | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    only: Sequence[str] | None = None,
    jobs: int = 1,
    quiet: bool = False,
) -> Outcome:
    """Answer a whole question: trainings, recordings, simulations, analyses, figures, tables.

    Run again, it goes on where it was: what is up to date is not done again.

    Parameters
    ----------
    name : str or Path
        Name (``ei.list("studies")``), or a YAML file.
    path : str or Path, optional
        Directory; default: ``runs/studies/NAME``.
    changes : mapping, optional
        Changes to the study, e.g. ``{"axes.seed": [1, 2]}``.
    only : sequence of str, optional
        Tasks by name or wildcard, with what they need.
    jobs : int
        Tasks done at the same time, each on one thread.
    quiet : bool
        Show no progress.

    Returns
    -------
    Outcome
        What was done, skipped, and failed.
    """
    import json

    overrides = [f"{key}={json.dumps(value)}" for key, value in (changes or {}).items()]
    graph = expand(load_study(find_study(str(name)), overrides))
    place = Path("runs/studies") / graph.study.name if path is None else Path(path)
    return run_study(graph if only is None else graph.only(only), place, jobs=jobs, quiet=quiet)


def _each(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else [given]


def _results(results: Results) -> dict[str, Result]:
    """Return results by name; paths are read."""
    found: dict[str, Result] = dict(results) if isinstance(results, Mapping) else {}
    for one in () if isinstance(results, Mapping) else _each(results):
        loaded = _result(one)
        name = Path(one).stem if isinstance(one, str | Path) else loaded.analysis.name
        if name in found:
            raise ConfigError(f"two results are called '{name}'", remedy="name them: {'first': ..., 'second': ...}")
        found[name] = loaded
    if not found:
        raise ConfigError("there is no result", where="results", valid=_RESULTS)
    return {name: _result(one) for name, one in found.items()}


def _result(one: Any) -> Result:
    if isinstance(one, str | Path):
        return load_result(one)
    if not isinstance(one, Result):
        raise ConfigError(f"{one!r} is of the type {type(one).__name__}", where="results", valid=_RESULTS)
    return one
