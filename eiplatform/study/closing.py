"""What a study ends with: its tables as text, and a report with figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from eiplatform.analyses import Result, Table
from eiplatform.files import write_bytes, write_json
from eiplatform.report import findings_of, scorecard, write_report
from eiplatform.study.graph import Graph
from eiplatform.study.spec import AnalyseTask, FigureTask, LesionStudyTask
from eiplatform.study.status import jobs_of, status_of

__all__ = ["Closing", "as_markdown", "write_closing"]


@dataclass(frozen=True)
class Closing:
    """What came out.

    Attributes
    ----------
    tables : list of Table
    findings : list of str
    files : list of Path
        ``tables.md``, ``tables.json`` and ``report.html``.
    """

    tables: list[Table]
    findings: list[str]
    files: list[Path]


def write_closing(graph: Graph, out: Path, *, any_code: bool = False) -> Closing:
    """Write tables and report from those results that are there.

    Parameters
    ----------
    graph : Graph
        The whole study.
    out : Path
        Its directory; results that are not up to date are left out.
    any_code : bool
        Take what another version of the code made.
    """
    from eiplatform.analyses import load_result
    from eiplatform.figures import SavedFigure, find_figure

    missing = {name for name, state in status_of(graph, out, any_code=any_code).items() if not state.up_to_date}
    order = list(graph.study.steps)
    planned = sorted(jobs_of(graph, out).items(), key=lambda item: order.index(graph.steps[item[0]].name))
    jobs = {name: job for name, job in planned if name not in missing}
    results: dict[str, Result] = {
        job.out.stem: load_result(job.out)
        for job in jobs.values()
        if isinstance(job.task, AnalyseTask | LesionStudyTask)
    }
    if not results:
        return Closing([], [], [])
    drawn = {}
    for job in jobs.values():
        if isinstance(job.task, FigureTask) and job.inputs["of"][0].stem in results:
            (result,) = job.inputs["of"]
            module, data = find_figure(job.task.figure), results[result.stem].data
            told = {name: getattr(module, name)(data) for name in ("caption", "alt") if hasattr(module, name)}
            png, pdf, csv = (job.out.with_suffix(ending) for ending in (".png", ".pdf", ".csv"))
            question = getattr(module, "QUESTION", "")
            drawn[result.stem, job.task.figure] = SavedFigure(job.out.stem, png, pdf, csv, **told, question=question)
    tables, findings = scorecard(results), findings_of(results)
    files = [out / "tables.md", out / "tables.json", out / "report.html"]
    write_bytes(files[0], as_markdown(tables).encode())
    write_json(files[1], {"findings": findings, "tables": [asdict(table) for table in tables]})
    state = "complete" if not missing else f"without {', '.join(sorted(missing))}"
    write_report(
        files[2],
        title=graph.study.title,
        question=graph.study.question,
        results=results,
        figures=drawn,
        facts={
            "study": graph.study.name,
            "axes": {name: list(v) for name, v in graph.study.axes.items()},
            **({"constants": graph.study.constants} if graph.study.constants else {}),
            "state": state,
        },
    )
    return Closing(tables, findings, files)


def as_markdown(tables: list[Table]) -> str:
    r"""Return tables as Markdown.

    Examples
    --------
    >>> print(as_markdown([Table("Rates", ("layer", "Hz"), (("fc1", "1\n[0, 2]"),), "Means.")]))
    ### Rates
    <BLANKLINE>
    | layer | Hz |
    |---|---|
    | fc1 | 1<br>[0, 2] |
    <BLANKLINE>
    Means.
    <BLANKLINE>
    """
    parts = []
    for table in tables:
        rows = [table.columns, ("---",) * len(table.columns), *table.rows]
        lines = [
            f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), '<br>') for cell in row)} |"
            for row in rows
        ]
        lines[1] = "|" + "---|" * len(table.columns)
        parts.append("\n".join([f"### {table.title}", "", *lines, "", table.note, ""]))
    return "\n".join(parts)
