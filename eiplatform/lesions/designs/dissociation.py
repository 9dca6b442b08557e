"""Whether two pathways carry different things: the loss of each, under plain and under disturbed images."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from eiplatform.interventions import Scale
from eiplatform.lesions.cells import Cell, Images
from eiplatform.lesions.design_kinds import Design
from eiplatform.lesions.designs.dose_response import lesion_and_controls
from eiplatform.lesions.engine import Engine

__all__ = ["Dissociation"]


class Dissociation(Design):
    """Lesion two pathways, each by its dose, under plain images and under every disturbance.

    Attributes
    ----------
    pathways : tuple of str
        Two.
    doses : tuple of float
        Of each; best so that both cost about as much on plain images.
    layers : str
    images : tuple of dict
        Disturbances, e.g. ``{kind: contrast, level: 0.5}``; the plain images come first.
    """

    question: ClassVar[str] = "Do two pathways carry different things, or one the same?"
    pathways: tuple[str, str] = ("I->E subtractive", "I->E divisive")
    doses: tuple[float, float] = (0.12, 0.75)
    layers: str = "*"
    images: tuple[dict[str, float | str], ...] = Field(
        ({"kind": "contrast", "level": 0.5}, {"kind": "noise", "level": 0.2}), min_length=1
    )

    def cells(self, engine: Engine) -> list[Cell]:
        """Return the intact network and both lesions, also with rates restored, under every kind of images."""
        found = []
        for images in (Images(), *(Images(**one) for one in self.images)):  # type: ignore[arg-type]
            found.append(Cell((), {"role": "intact", "dose": 0.0}, images))
            for pathway, dose in zip(self.pathways, self.doses, strict=True):
                lesion = Scale(pathway, round(1 - dose, 12), layers=self.layers)
                found += lesion_and_controls(engine, lesion, dose, ("restored",), 1, images)
        return found
