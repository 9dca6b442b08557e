"""From recordings to results, figures and reports: ``analyse``, ``compare``, ``figures``, ``report``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from eiplatform import plot
from eiplatform.analyses import Analysis, Result, find_analysis, load_result
from eiplatform.analyses.comparison import Comparison
from eiplatform.analyses.measured_cortex import MeasuredCortex
from eiplatform.analyses.parts.running import opened_all, run
from eiplatform.analyses.parts.sides import as_seeds, open_references
from eiplatform.errors import ConfigError, choose
from eiplatform.figures import SavedFigure, figure_names, find_figure, save
from eiplatform.files import claim_file
from eiplatform.report import draw_all, write_report
from eiplatform.report.paper import write_paper
from eiplatform.store.measured import shipped_measurements
from eiplatform.store.references import shipped_references

__all__ = ["Result", "analyse", "compare", "figures", "plot", "report"]

Recordings = str | Path | xr.DataTree
_RESULTS = "results of ei.analyse and ei.compare, or files of saved ones (.nc)"
Results = Result | str | Path | Mapping[str, Result] | Sequence[Result | str | Path]


def analyse(analysis: str | Analysis, *recordings: Any, **options: Any) -> Result:
    """Answer one question from recordings.

    Parameters
    ----------
    analysis : str or Analysis
        Name (``ei.list("analyses")``), the path of a Python file that holds one, or an analysis.
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
        If no analysis or option has that name.
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
    chosen = find_analysis(analysis) if isinstance(analysis, str) else analysis
    return run(chosen, *recordings, **options)


def compare(
    recording: Any,
    to: Any,
    *,
    null: Any = None,
    statistics: str | Sequence[str] | None = None,
    margin: float = 0.5,
    seeds: bool = False,
    partial: bool = False,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> Result:
    """Compare every layer of a network with cortical circuits, measured cortex or other networks.

    Parameters
    ----------
    recording : Recording, path, or a sequence of them
        Of a network that ran for some hundred steps, or a directory of recordings; several are its seeds.  With
        measured cortex also of circuits, and own recordings.
    to : Recording, path, name, or a sequence of them
        Recordings of circuits, measurements or networks, or names of shipped summaries (``"brunel-2000-C"``).  Or the
        name of measured cortex alone (``"mouse-v1-neuropixels"``): then the analysis is ``measured_cortex``.
    null : Recording or sequence, optional
        Recordings of untrained networks: one more reference in the same table, with the same scores and tests.  No
        p-value is taken from them as a null distribution; for that see ``ei.analyse("balance", rec, nulls=...)``.
    statistics : str or sequence of str, optional
        Keys (``ei.list("statistics")``); default: all.
    margin : float
        Largest difference that counts as none, in units of the reference's spread over neurons.
    seeds : bool
        The networks in `to` are seeds of one: a single reference.
    partial : bool
        Take what is complete of interrupted or damaged recordings.
    n_bootstrap, seed : int
        Of the intervals and permutations.

    Returns
    -------
    Result

    Raises
    ------
    ConfigError
        If `recording` is not of a network, or nothing was given to compare with.
    StatisticError
        If the two have nothing that can be compared.
    """
    others = _each(to)
    if not others:
        known = ", ".join(shipped_references())
        raise ConfigError("nothing was given to compare with", where="to", valid=f"recordings, or a summary of {known}")
    if any(str(one) in shipped_measurements() for one in others if isinstance(one, str | Path)):
        return _with_cortex(recording, others, null, statistics, partial, n_bootstrap, seed)
    references: list[Any] = []
    for one in others:
        references += open_references([one], partial=partial) if isinstance(one, str | Path) else [one]
    references = as_seeds(references) if seeds else references
    if null is not None:
        nulls = _each(null)
        references.append(nulls[0] if len(nulls) == 1 else nulls)
    own = opened_all([recording], partial) if isinstance(recording, str | Path) else recording
    return run(Comparison(), own, references, statistics=statistics, margin=margin, n_bootstrap=n_bootstrap, seed=seed)


def _with_cortex(
    recording: Any, to: list[Any], null: Any, statistics: Any, partial: bool, n_bootstrap: int, seed: int
) -> Result:
    """Compare recordings with one measurement of cortex."""
    if len(to) > 1 or null is not None or statistics is not None:
        raise ConfigError(
            "measured cortex is compared on its own, by rates, their spread and synchrony",
            where="compare",
            remedy="leave out the other references, null and statistics; compare with those in a call of their own",
        )
    own = [part for one in _each(recording) for part in (opened_all([one], partial) if _is_place(one) else [one])]
    return run(MeasuredCortex(), own, to=str(to[0]), n_bootstrap=n_bootstrap, seed=seed)


def _is_place(one: Any) -> bool:
    return isinstance(one, str | Path)


def figures(
    results: Results,
    path: str | Path,
    *,
    only: Sequence[str] | None = None,
    svg: bool = False,
    overwrite: bool = False,
    labels: Mapping[str, str] | None = None,
    theme: str | None = None,
    paper: bool = False,
) -> list[SavedFigure]:
    """Draw the figures of results to files: PNG, PDF, and the numbers drawn as CSV.

    Parameters
    ----------
    results : Result, path, or several
        The path of a run (of a study or the demo) stands for all its results.
    path : str or Path
        Directory.
    only : sequence of str, optional
        Names (``ei.list("figures")``); default: all that these results allow.
    svg : bool
        Write SVG too.
    overwrite : bool
        Replace earlier figures of these names.
    labels : mapping of str to str, optional
        Names to put in the place of those of the results, e.g. ``{"fc1/E": "Layer 1"}``.
    theme : {"paper", "slide"}, optional
        White paper (default) or dark slides.
    paper : bool
        Write the figures of a paper instead: Figure 1 to 5 in PNG, PDF and SVG, source data per panel, captions,
        a paragraph of methods, and references as BibTeX.

    Returns
    -------
    list of SavedFigure
        Each with ``.png``, ``.pdf``, ``.csv`` and ``.caption``.
    """
    folder, found = Path(path), _results(results)
    if paper:
        if only or svg or theme:
            what = "the figures of a paper are chosen for it"
            raise ConfigError(
                what, where="figures", remedy="leave out only, svg and theme; ei.figures.compose takes any"
            )
        named = "".join(f' --label "{name}={label}"' for name, label in (labels or {}).items())
        command = f"eiplatform figures {_run_of(results)} --paper --out {folder.name}{named}"
        return write_paper(found, folder, command=command, labels=labels, overwrite=overwrite).figures
    possible = {name: result for result in found.values() for name in result.plots}
    wanted = [choose(name, figure_names(), "figure") for name in only] if only else [*possible]
    for name in wanted:
        if name not in possible:
            analysis = find_figure(name).ANALYSIS
            what = f"figure '{name}' draws the analysis '{analysis}', which is not among these results"
            raise ConfigError(what, valid=possible)
        claim_file(folder / f"{name}.png", overwrite=overwrite)
    return [save(name, possible[name], folder, svg=svg, labels=labels, theme=theme) for name in wanted]


def _run_of(results: Results) -> str:
    """Return the name of the run, or of the files, that results were read from."""
    places = [Path(one).name for one in _each(results) if isinstance(one, str | Path)]
    return " ".join(places) or "RESULTS"


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
    return write_all(results, path, title=title, overwrite=overwrite)[0]


def write_all(results: Results, path: str | Path, *, title: str, overwrite: bool) -> tuple[Path, list[SavedFigure]]:
    """Write a report, and return its place and the figures that were drawn for it; see :func:`report`."""
    found = _results(results)
    place = claim_file(Path(path), overwrite=overwrite)
    place.parent.mkdir(parents=True, exist_ok=True)
    drawn = draw_all(found, place.parent / "figures")
    questions = list(dict.fromkeys(result.analysis.question for result in found.values()))
    question = " ".join(questions) if len(questions) < 3 else f"{len(questions)} questions, answered from recordings."
    return write_report(place, title=title, question=question, results=found, figures=drawn), list(drawn.values())


def _each(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else [given]


def _results(results: Results) -> dict[str, Result]:
    """Return results by name; paths are read."""
    found: dict[str, Result] = dict(results) if isinstance(results, Mapping) else {}
    given = [] if isinstance(results, Mapping) else _each(results)
    for one in [part for thing in given for part in _of_run(thing)]:
        loaded = _result(one)
        name = Path(one).stem if isinstance(one, str | Path) else loaded.analysis.name
        if name in found:
            raise ConfigError(f"two results are called '{name}'", remedy="name them: {'first': ..., 'second': ...}")
        found[name] = loaded
    if not found:
        raise ConfigError("no result was given", where="results", valid=_RESULTS)
    return {name: _result(one) for name, one in found.items()}


def _of_run(one: Any) -> list[Any]:
    """Return the files of the results of a run, if this is the folder of one."""
    if not isinstance(one, str | Path) or not Path(one).is_dir():
        return [one]
    files = [file for folder in (Path(one) / "results", Path(one)) for file in sorted(folder.glob("*.nc"))]
    if not files:
        raise ConfigError("this folder holds no results", where=str(one), valid="a run with results/*.nc")
    return files


def _result(one: Any) -> Result:
    if isinstance(one, str | Path):
        return load_result(one)
    if not isinstance(one, Result):
        raise ConfigError(f"{one!r} is of the type {type(one).__name__}", where="results", valid=_RESULTS)
    return one
