"""One HTML file that opens without a network: tables, figures, captions, provenance."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined

from eiplatform.analyses import Table
from eiplatform.files import atomic_write

__all__ = ["write_report"]


class Figure(Protocol):
    """What the report needs of a saved figure."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def png(self) -> Path:
        """Its picture."""

    @property
    def caption(self) -> str:
        """Its caption."""


def write_report(
    path: str | Path,
    *,
    title: str,
    question: str,
    findings: Sequence[str],
    tables: Sequence[Table],
    figures: Sequence[Figure],
    provenance: Mapping[str, Any],
) -> Path:
    """Write the report.

    Parameters
    ----------
    path : str or Path
        HTML file.
    title, question : str
        Heading and the question that the study answers.
    findings : sequence of str
        Sentences, shown first.
    tables : sequence of Table
    figures : sequence
        Saved figures, as given by :func:`eiplatform.figures.save`; embedded as PNG.
    provenance : mapping
        Shown in the footer, e.g. of :func:`eiplatform.store.provenance.provenance` with
        seeds and hashes added.
    """
    environment = Environment(
        loader=PackageLoader("eiplatform.report", "templates"), autoescape=True, undefined=StrictUndefined
    )
    shown = [
        {
            "name": figure.name.replace("_", " "),
            "caption": figure.caption,
            "data": base64.b64encode(figure.png.read_bytes()).decode(),
            "csv": f"{figure.png.parent.name}/{figure.name}.csv",
        }
        for figure in figures
    ]
    page = environment.get_template("report.html.j2").render(
        title=title,
        question=question,
        findings=findings,
        tables=tables,
        figures=shown,
        provenance=dict(provenance),
    )
    path = Path(path)
    atomic_write(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))
    return path
