"""From results to figures and the report that holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from eiplatform.analyses import Result, Table, defined
from eiplatform.analyses.parts.headlines import TOPICS, ranked
from eiplatform.figures import SavedFigure, find_figure, save
from eiplatform.report.html import render, write_page
from eiplatform.report.paper import bibtex, cited, methods
from eiplatform.report.sections import Picture, Section, drawn, section_of, used_colours
from eiplatform.store.provenance import provenance

__all__ = ["Figures", "draw_all", "findings_of", "scorecard", "write_report"]

Figures = Mapping[tuple[str, str], SavedFigure]
"""Saved figures by the name of the result and that of the figure."""
MOST_NUMBERS = 3_000_000
"""Characters of the numbers of figures that stand within a page; of more, those of the largest figures do not."""
_FACTS = 4
"""Panels of the figure on the first screen."""


def _in_order(results: Mapping[str, Result]) -> dict[str, Result]:
    """Return results in the order in which a report has them: by the place of their analyses."""
    return dict(sorted(results.items(), key=lambda item: (item[1].analysis.place, item[1].analysis.name)))


def scorecard(results: Mapping[str, Result]) -> list[Table]:
    """Return the tables of results, in the order of a report."""
    return [table for result in _in_order(results).values() for table in result.tables()]


def findings_of(results: Mapping[str, Result]) -> list[str]:
    """Return what results show, in sentences that the numbers alone decide, in the order of a report."""
    return [finding for result in _in_order(results).values() for finding in result.findings()]


def draw_all(
    results: Mapping[str, Result], directory: Path, *, progress: Callable[[int, int, str], None] | None = None
) -> dict[tuple[str, str], SavedFigure]:
    """Draw every figure that the results allow.

    Parameters
    ----------
    results : mapping of str to Result
        Results by name.  A second result of one analysis gives figures with its name added.
    directory : Path
        Where PNG, PDF, SVG and CSV go.
    progress : callable, optional
        Called with (done, total, message).

    Returns
    -------
    dict of (str, str) to SavedFigure
        By the name of the result and that of the figure.
    """
    wanted = [(name, key, result) for key, result in results.items() for name in result.plots]
    made: dict[tuple[str, str], SavedFigure] = {}
    for index, (name, key, result) in enumerate(wanted):
        taken = any(figure.name == name for figure in made.values())
        made[key, name] = save(name, result, directory, stem=f"{name}_{key}" if taken else name, svg=True)
        if progress:
            progress(index + 1, len(wanted), name)
    return made


def write_report(
    path: str | Path,
    *,
    title: str,
    question: str,
    results: Mapping[str, Result],
    figures: Figures,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write results as one page: the answer first, then one section per question, methods, and where all came from.

    Parameters
    ----------
    path : str or Path
        HTML file.
    title, question : str
        Heading, and the question that the page answers.
    results : mapping of str to Result
        By name.
    figures : mapping of (str, str) to SavedFigure
        What to show, by the name of the result and that of the figure; :func:`draw_all` gives all.
    facts : mapping, optional
        What else identifies the results: seeds, hashes.
    """
    path = Path(path)
    ordered = _in_order(results)
    base = path.parent
    sections = []
    for key, result in ordered.items():
        own = {name: saved for (of, name), saved in figures.items() if of == key}
        sections.append(section_of(key, result, own, base, file=_from(base, result.data.encoding.get("source"))))
    hero = _hero(ordered, figures)
    about = _about(ordered) | dict(facts or {})
    command = about.pop("command")
    page = render(
        "report.html.j2",
        interactive=any(section.widget for section in sections),
        title=title,
        question=question,
        headlines=ranked([one for result in ordered.values() for one in result.headlines()]),
        topics=TOPICS,
        hero=hero,
        sections=_told_apart(_lightened(sections)),
        methods=methods(ordered.values(), entries := cited(ordered.values())).removeprefix("# Methods\n\n"),
        references=entries,
        bibtex=bibtex(entries),
        command=command,
        provenance=about,
        colours=used_colours(
            [picture.svg for section in sections for picture in section.pictures] + [hero["svg"] if hero else ""]
        ),
    )
    return write_page(path, page)


def _from(base: Path, source: Any) -> str:
    """Return where a result was read from, from the folder of the page; nothing if it is elsewhere."""
    file = Path(str(source or "")).resolve()
    return file.relative_to(base.resolve()).as_posix() if file.is_relative_to(base.resolve()) and source else ""


def _lightened(sections: Sequence[Section]) -> list[Section]:
    """Return sections without the numbers of the largest figures, where all together are too many for a page."""
    largest, total = -1, 0
    for size in sorted(len(picture.numbers) for section in sections for picture in section.pictures):
        total += size
        if total > MOST_NUMBERS:
            break
        largest = size

    def light(picture: Picture) -> Picture:
        return picture if len(picture.numbers) <= largest else replace(picture, numbers="")

    return [replace(section, pictures=[light(picture) for picture in section.pictures]) for section in sections]


def _told_apart(sections: Sequence[Section]) -> list[tuple[Section, str]]:
    """Return sections with what was analysed, where another answers the same question."""
    titles = [section.title for section in sections]
    return [(section, section.of if titles.count(section.title) > 1 else "") for section in sections]


def _hero(results: Mapping[str, Result], figures: Figures) -> dict[str, str] | None:
    """Return the figure of the first screen: one that declares ``HERO``, with a reference and a null if any has them.

    ``HERO`` names the statistics that are worth a panel there, the most telling first; empty: the whole figure.
    """
    found = []
    for key, name in figures:
        wanted = getattr(find_figure(name), "HERO", None)
        if wanted is not None:
            result = results[key]
            held = sum(part in result.data for part in ("reference_value", "null"))
            found.append((-held, result.analysis.place, key, name, wanted))
    if not found:
        return None
    _, _, key, name, wanted = min(found, key=lambda one: one[:4])
    result = results[key]
    data = result.data
    statistics = list(dict.fromkeys(defined(data, wanted)))[:_FACTS] if wanted else []
    data = data.sel(statistic=statistics) if statistics else data
    module = find_figure(name)
    svg = drawn(name, result, "hero", alt=module.alt(data), statistics=statistics)
    return {"svg": svg, "caption": module.caption(data), "section": key}


def _about(results: Mapping[str, Result]) -> dict[str, Any]:
    """Return where all of it came from."""
    about = provenance()
    git = about.pop("git")
    about["git"] = "not a checkout" if git is None else f"{git['revision']}{' (with changes)' if git['dirty'] else ''}"
    attrs = {name: result.data.attrs for name, result in results.items()}
    ids = {name: held["recording_ids"] for name, held in attrs.items() if "recording_ids" in held}
    about["recordings"] = {
        name: ", ".join(identifier[:12] for identifier in ([found] if isinstance(found, str) else found))
        for name, found in ids.items()
    }
    return about
