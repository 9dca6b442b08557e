"""How a result is shown: what came out and means with their intervals first, arrays after."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import xarray as xr

from eiplatform.analyses.parts.headlines import Headline
from eiplatform.analyses.parts.tables import Table

__all__ = ["as_html", "as_text"]

_ROWS = 12
"""Rows of the first table that the text shows."""


def as_text(name: str, question: str, findings: Sequence[str], tables: Sequence[Table], data: xr.Dataset) -> str:
    """Return a result as text: question, findings, its first table, then the arrays."""
    parts = [f"<Result of '{name}'> {question}".rstrip(), *(f"- {finding}" for finding in findings)]
    if tables:
        parts += ["", *_text_of(tables[0])]
        if len(tables) > 1:
            parts.append(f"Further tables: {'; '.join(table.title for table in tables[1:])}.")
    return "\n".join([*parts, "", repr(data)])


def _text_of(table: Table) -> list[str]:
    rows = [table.columns, *(tuple(cell.split("\n")[0] for cell in row) for row in table.rows[:_ROWS])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    rest = [f"... {len(table.rows) - _ROWS} further rows"] if len(table.rows) > _ROWS else []
    return [table.title, *lines, *rest]


def as_html(
    name: str, question: str, headlines: Sequence[Headline], picture: str, tables: Sequence[Table], data: xr.Dataset
) -> str:
    """Return a result as HTML for notebooks: headlines and a figure; tables and arrays folded.

    Parameters
    ----------
    name, question : str
        Of the analysis.
    headlines : sequence of Headline
    picture : str
        SVG, or nothing.
    tables : sequence of Table
    data : xarray.Dataset
    """
    parts = [f"<div><b>{escape(name.replace('_', ' '))}</b> {escape(question)}"]
    for one in headlines:
        how = f' <small style="opacity:.7">{escape(one.how)}</small>' if one.how else ""
        parts.append(f'<p style="margin:.3em 0;max-width:60em">{escape(one.text)}{how}</p>')
    if picture:
        parts.append(f'<div style="max-width:52em;background:#fff">{picture}</div>')
    parts += [f"<details><summary>{escape(table.title)}</summary>{_html_of(table)}</details>" for table in tables]
    return "".join([*parts, "<details><summary>arrays</summary>", data._repr_html_(), "</details></div>"])


def _html_of(table: Table) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        texts = (escape(cell).replace("\n", "<br>") for cell in cells)
        return f"<tr>{''.join(f'<{tag}>{text}</{tag}>' for text in texts)}</tr>"

    note = f"<p>{escape(table.note)}</p>" if table.note else ""
    return f"<table>{row(table.columns, 'th')}{''.join(row(cells, 'td') for cells in table.rows)}</table>{note}"
