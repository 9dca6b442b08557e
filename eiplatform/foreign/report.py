"""What can be recorded of a module, what cannot, and why."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from eiplatform.networks.description import Pathway, PopulationInfo

__all__ = ["Missing", "Probe"]


class Missing(NamedTuple):
    """Something that cannot be recorded.

    Attributes
    ----------
    name : str
        Population, module or weights.
    what : str
        Signals, or ``weights``.
    why : str
    """

    name: str
    what: str
    why: str


@dataclass(frozen=True)
class Probe:
    """What a module lets be recorded; printing it shows the tables.

    Attributes
    ----------
    module : str
        Class of the module.
    time : {"static", "steps", "sequence", "inside"}
        How time enters, see :func:`~eiplatform.foreign.adapt`.
    steps : int
        Time steps of a run.
    signs : str
        Sign rule.
    populations : dict of str to PopulationInfo
    pathways : tuple of Pathway
    missing : tuple of Missing
    """

    module: str
    time: str
    steps: int
    signs: str
    populations: dict[str, PopulationInfo]
    pathways: tuple[Pathway, ...]
    missing: tuple[Missing, ...]

    def tables(self) -> list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
        """Return title, columns and rows of each table."""
        populations: list[tuple[str, ...]] = [
            (name, str(info.n_neurons), " x ".join(map(str, info.shape)), ", ".join(info.signals))
            for name, info in self.populations.items()
        ]
        pathways: list[tuple[str, ...]] = [(path.name, path.source, path.target, path.sign) for path in self.pathways]
        return [
            ("populations", ("name", "neurons", "shape", "signals"), populations),
            ("pathways", ("weights", "source", "target", "sign"), pathways),
            ("not recordable", ("name", "what", "why"), [tuple(entry) for entry in self.missing]),
        ]

    @property
    def headline(self) -> str:
        """How the module was run, in one line."""
        return f"{self.module}: time {self.time}, T = {self.steps}, signs by {self.signs}"

    def __str__(self) -> str:
        lines = [self.headline]
        for title, columns, rows in self.tables():
            if rows:
                widths = [max(len(row[k]) for row in [columns, *rows]) for k in range(len(columns))]
                lines += ["", title]
                lines += [
                    "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
                    for row in [columns, *rows]
                ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts = [f"<p><b>{escape(self.headline)}</b></p>"]
        for title, columns, rows in self.tables():
            if rows:
                head = "".join(f"<th>{escape(column)}</th>" for column in columns)
                body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
                parts.append(f"<p>{escape(title)}</p><table><tr>{head}</tr>{body}</table>")
        return "".join(parts)
