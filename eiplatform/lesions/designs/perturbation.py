"""Current into E or I cells, all or a part of them: gain, and the paradoxical effect."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from eiplatform.interventions import Add
from eiplatform.lesions.cells import Cell
from eiplatform.lesions.design_kinds import Design
from eiplatform.lesions.engine import Engine

__all__ = ["Perturbation"]


class Perturbation(Design):
    """Inject current into populations.

    Attributes
    ----------
    populations : tuple of str
        Names or wildcards.
    amounts : tuple of float
        In units of the mean excitatory input of the population's cells.
    fractions : tuple of float
        Parts of the cells that receive it.
    """

    question: ClassVar[str] = "How do rates and performance answer to current into E or I cells?"
    populations: tuple[str, ...] = ("*/E", "*/I")
    amounts: tuple[float, ...] = Field((-0.2, -0.1, 0.1, 0.2), min_length=1)
    fractions: tuple[float, ...] = Field((1.0,), min_length=1)

    def cells(self, engine: Engine) -> list[Cell]:
        """Return one cell per population, amount and fraction."""
        found = [Cell((), {"role": "intact", "dose": 0.0})]
        for populations in self.populations:
            for fraction in self.fractions:
                for amount in self.amounts:
                    part = None if fraction == 1 else fraction
                    about = {"role": "lesion", "pathway": populations, "dose": amount, "fraction": fraction}
                    found.append(Cell((Add(populations, amount, "mean", fraction=part),), about))
        return found
