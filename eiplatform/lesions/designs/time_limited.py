"""When inhibition matters: lesions of single steps, and what happens in the steps after them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from eiplatform.errors import ConfigError
from eiplatform.interventions import Scale
from eiplatform.lesions.cells import Cell
from eiplatform.lesions.design_kinds import Design
from eiplatform.lesions.engine import Engine

__all__ = ["TimeLimited"]


class TimeLimited(Design):
    """Lesion pathways in windows of steps; accuracy and rates of the steps after a window show recovery or rebound.

    Attributes
    ----------
    pathways, layers : tuple of str
    dose : float
    width : int
        Steps of a window; all windows from the first step on are made, and one over all steps.
    """

    question: ClassVar[str] = "When does inhibition matter?"
    pathways: tuple[str, ...] = ("I->E subtractive",)
    layers: tuple[str, ...] = ("*",)
    dose: float = Field(0.5, le=1)
    width: int = Field(1, ge=1)

    def cells(self, engine: Engine) -> list[Cell]:
        """Return one cell per pathway, set of layers and window."""
        steps = engine.plan.steps
        if self.width >= steps:
            valid = f"1 to {steps - 1}" if steps > 1 else "at least 2 steps"
            raise ConfigError(f"windows of {self.width} in {steps} steps", where="time-limited", valid=valid)
        found = [Cell((), {"role": "intact", "dose": 0.0}, by_step=True)]
        windows = [(first, first + self.width) for first in range(0, steps - self.width + 1, self.width)]
        for pathway in self.pathways:
            for layers in self.layers:
                for first, last in [*windows, (0, steps)]:
                    lesion = Scale(pathway, round(1 - self.dose, 12), layers=layers, steps=(first, last))
                    about = {"role": "lesion", "pathway": pathway, "layers": layers, "dose": self.dose}
                    found.append(Cell((lesion,), {**about, "first": first, "last": last}, by_step=True))
        return found
