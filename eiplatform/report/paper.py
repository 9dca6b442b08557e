"""A paper's figures from the results of a run: Figures 1 to 5, their numbers, captions, methods and references."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from eiplatform.analyses import Result
from eiplatform.errors import ConfigError
from eiplatform.figures import SavedFigure
from eiplatform.files import atomic_write, claim_file
from eiplatform.statistics import STATISTICS
from eiplatform.store.csvw import write_sidecar
from eiplatform.store.identity import origin
from eiplatform.version import __version__

__all__ = ["FIGURES", "Paper", "bibtex", "cited", "methods", "write_paper"]

FIGURES: dict[str, tuple[tuple[str, ...], ...]] = {
    "The network, a cortical circuit, and the currents of their neurons": (
        ("schematic",),
        ("raster",),
        ("current_traces",),
    ),
    "Excitation and inhibition in every layer": (("ei_scatter",), ("balance_across_depth",), ("ei_correlogram",)),
    "Distance from cortex": (("activity_distributions",), ("forest",), ("regime_plane",), ("systems",)),
    "How balance and gain come about": (("learning_curve",), ("tuning",), ("gain_modulation",), ("balance_emergence",)),
    "What the loss of inhibition does": (
        ("lesion_dose_response",),
        ("disinhibition",),
        ("lesion_map", "lesion_shapley"),
        ("paradoxical_response",),
    ),
}
"""Titles and rows of the figures; what a run does not hold is left out, and with it empty rows and figures."""

SOFTWARE = (
    "Harris, C. R. et al. 2020, Nature 585:357",
    "Virtanen, P. et al. 2020, Nat Methods 17:261",
    "Hoyer, S. and Hamman, J. 2017, J Open Res Softw 5:10",
    "Hunter, J. D. 2007, Comput Sci Eng 9:90",
)
"""NumPy, SciPy, xarray and Matplotlib."""
_TRAINED = "Paszke, A. et al. 2019, Adv Neural Inf Process Syst 32:8024"
_SIMULATED = "Stimberg, M., Brette, R. and Goodman, D. F. M. 2019, eLife 8:e47314"
_ENTRY = re.compile(r"^(?P<who>.+?),? (?P<year>(?:19|20)\d\d)\w?, (?P<where>.+?) (?P<volume>\d+):(?P<pages>[\w-]+)$")


@dataclass(frozen=True)
class Paper:
    """Files of a paper.

    Attributes
    ----------
    figures : list of SavedFigure
        Figure 1 to 5, as far as the run has them; their ``csv`` is the folder of the source data.
    captions, methods, references : Path
    """

    figures: list[SavedFigure]
    captions: Path
    methods: Path
    references: Path


def write_paper(
    results: Mapping[str, Result],
    folder: Path,
    *,
    command: str,
    labels: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Paper:
    """Write Figures 1 to 5, source data per panel, captions, a paragraph of methods, and references as BibTeX.

    Parameters
    ----------
    results : mapping of str to Result
    folder : Path
    command : str
        That makes them again; the pictures name it.
    labels : mapping of str to str, optional
        Names to put in the place of those of the results.
    overwrite : bool
        Replace an earlier paper.

    Raises
    ------
    ConfigError
        If no figure draws any of the results.
    """
    from eiplatform.drawing import import_matplotlib

    import_matplotlib()
    held = _drawable(results)
    chosen = {title: _rows(rows, held) for title, rows in FIGURES.items()}
    chosen = {title: rows for title, rows in chosen.items() if rows}
    if not chosen:
        wanted = sorted({name for rows in FIGURES.values() for row in rows for name in row})
        raise ConfigError("no figure of a paper draws these results", where="figures --paper", valid=wanted)
    data = folder / "source-data"
    drawn: list[SavedFigure] = []
    texts, used = [], dict[str, Result]()
    for number, (title, rows) in enumerate(chosen.items(), start=1):
        claim_file(folder / f"figure-{number}.png", overwrite=overwrite)
        data.mkdir(parents=True, exist_ok=True)
        saved, text = _figure(number, title, rows, folder, command, labels)
        drawn.append(saved)
        texts.append(text)
        used |= {result.analysis.name: result for row in rows for _, result in row}
    entries = cited(used.values())
    paper = Paper(drawn, folder / "captions.md", folder / "methods.md", folder / "references.bib")
    _write(paper.captions, "# Captions\n\n" + "\n\n".join(texts) + "\n")
    _write(paper.methods, methods(used.values(), entries) + "\n")
    _write(paper.references, bibtex(entries))
    return paper


def _write(path: Path, text: str) -> None:
    atomic_write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _drawable(results: Mapping[str, Result]) -> dict[str, Result]:
    """Return by figure the result that it draws: of several, the one over time, else the first."""
    found: dict[str, Result] = {}
    for name, result in results.items():
        for figure in result.plots:
            if figure not in found or "noisy" in name:
                found[figure] = result
    return found


def _rows(rows: tuple[tuple[str, ...], ...], held: Mapping[str, Result]) -> list[list[tuple[str, Result]]]:
    found = [[(name, held[name]) for name in row if name in held] for row in rows]
    return [row for row in found if row]


def _figure(
    number: int,
    title: str,
    rows: list[list[tuple[str, Result]]],
    folder: Path,
    command: str,
    labels: Mapping[str, str] | None,
) -> tuple[SavedFigure, str]:
    """Write one figure and its source data, and return it with its caption."""
    from eiplatform.figures import find_figure
    from eiplatform.figures.grammar import look, style
    from eiplatform.figures.parts.composed import compose
    from eiplatform.figures.parts.printing import write_files

    page = compose(rows, labels=labels)
    files = {kind: folder / f"figure-{number}.{kind}" for kind in ("png", "pdf", "svg")}
    with style(page.theme):
        write_files(page, files, lambda kind: page.origin(kind, f"figure-{number}", command))
    told = []
    with look(labels=labels):
        for letter, (name, result) in page.parts.items():
            table = folder / "source-data" / f"figure-{number}{letter}.csv"
            numbers = find_figure(name).table(result)
            atomic_write(table, partial(numbers.to_csv, index=False))
            write_sidecar(table, numbers.columns, f"figure-{number}{letter}: {name}", origin(result))
            told.append(f"**{letter}**, {find_figure(name).caption(result)}")
        alt = " ".join(find_figure(name).alt(result) for name, result in page.parts.values())
    caption = f"**Figure {number}. {title}.** {' '.join(told)}"
    question = find_figure(next(iter(page.parts.values()))[0]).QUESTION
    csv = folder / "source-data"
    saved = SavedFigure(f"figure-{number}", files["png"], files["pdf"], csv, caption, question=question, alt=alt)
    return saved, caption


def cited(results: Iterable[Result]) -> list[str]:
    """Return the papers behind what was used, each once: statistics, circuits, data, software."""
    found: list[str] = []
    kinds: set[str] = set()
    results = list(results)
    for result in results:
        data = result.data
        if "statistic" in data.coords:
            for key in np.ravel(data["statistic"].values).astype(str):
                if key in STATISTICS:
                    found += STATISTICS[key].reference.split("; ")
        found += [str(text) for text in np.atleast_1d(data.attrs.get("band_source", [])) if str(text)]
        kinds |= set(map(str, np.ravel(data["kind"].values))) if "kind" in data.variables else set()
    recordings = [str(name) for result in results for name in np.atleast_1d(result.data.attrs.get("recordings", []))]
    if any("brunel" in name.lower() for name in recordings):
        found.append("Brunel 2000, J Comput Neurosci 8:183")
    found += [*SOFTWARE, _TRAINED, *([_SIMULATED] if "circuit" in kinds else [])]
    return [entry for entry in dict.fromkeys(found) if _ENTRY.match(entry)]


def methods(results: Iterable[Result], cited: Iterable[str]) -> str:
    """Return a paragraph of methods: what was recorded, resampled, compared and excluded, with citation keys.

    Parameters
    ----------
    results : iterable of Result
    cited : iterable of str
        Papers, as in the docstrings of statistics.
    """
    results = list(results)
    attrs = [result.data.attrs for result in results]
    recordings = list(dict.fromkeys(str(name) for one in attrs for name in np.atleast_1d(one.get("recordings", []))))
    nulls = [name for name in recordings if "untrained" in name]
    lesioned = [name for name in recordings if name.startswith("dose ")]
    others = [name for name in recordings if name not in {*nulls, *lesioned}]
    parts = [", ".join(others)] + ([f"the network under {len(lesioned)} lesions and controls"] if lesioned else [])
    parts += [f"{len(nulls)} untrained networks as the null"] if nulls else []
    draws = sorted({int(one["n_bootstrap"]) for one in attrs if "n_bootstrap" in one})
    levels = sorted({float(one["level"]) for one in attrs if "level" in one})
    rates = sorted({float(one["fdr"]) for one in attrs if "fdr" in one})
    text = [f"# Methods\n\nAnalyses were made with eiplatform {__version__}."]
    text.append(f"Recorded were {'; '.join(parts)}.")
    if draws:
        many = " to ".join(str(draw) for draw in dict.fromkeys((draws[0], draws[-1])))
        text.append(
            f"Intervals ({', '.join(f'{100 * level:g} %' for level in levels)}) are hierarchical bootstrap intervals "
            f"over samples and neurons ({many} draws), or Student's over seeds, as the captions say."
        )
    if rates:
        text.append(
            f"Differences were tested at a false discovery rate of {100 * rates[0]:g} % (Benjamini & Hochberg)."
        )
    text.append("Neurons for which a statistic is undefined were excluded; the captions and tables say how many.")
    text.append("Questions: " + " ".join(dict.fromkeys(result.analysis.question for result in results)))
    keys = ", ".join(f"@{_key(match)}" for entry in cited if (match := _ENTRY.match(entry)))
    text.append(f"Statistics, circuits and software: [{keys}].")
    return " ".join(text)


def bibtex(entries: Iterable[str]) -> str:
    """Return papers as BibTeX; titles are not known here and have to be completed.

    Parameters
    ----------
    entries : iterable of str
        ``"Authors year, Journal volume:pages"``.

    Examples
    --------
    >>> print(bibtex(["Okun & Lampl 2008, Nat Neurosci 11:535"]))
    @article{Okun2008,
      author = {Okun and Lampl},
      year = {2008},
      journal = {Nat Neurosci},
      volume = {11},
      pages = {535}
    }
    <BLANKLINE>
    """
    found: dict[str, str] = {}
    for entry in entries:
        match = _ENTRY.match(entry)
        if match is None:
            continue
        who = match["who"].replace(" & ", " and ").replace(" et al.", " and others")
        who = who if re.search(r"\b[A-Z]\.", who) else who.replace(", ", " and ")
        fields = {"author": who, "year": match["year"], "journal": match["where"]}
        fields |= {"volume": match["volume"], "pages": match["pages"]}
        body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        key = _key(match)
        while key in found and found[key] != body:
            key += "a"
        found[key] = body
    return "".join(f"@article{{{key},\n{body}\n}}\n" for key, body in found.items())


def _key(match: Any) -> str:
    return re.sub(r"\W", "", match["who"].split(",")[0].split(" ")[0]) + str(match["year"])
