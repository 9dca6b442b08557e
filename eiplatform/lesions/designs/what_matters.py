"""What about inhibition matters: its level, its sample, its neuron, its precision, its timing."""

from __future__ import annotations

from typing import ClassVar

from eiplatform.interventions import Delay, Mean, Noise, Resample, Scale, ShuffleNeurons
from eiplatform.interventions.intervention import Kind
from eiplatform.lesions.cells import Cell
from eiplatform.lesions.design_kinds import Design
from eiplatform.lesions.engine import Engine

__all__ = ["WhatMatters"]


class WhatMatters(Design):
    """Replace a pathway's contribution by what keeps one of its properties and destroys the others.

    Attributes
    ----------
    pathways, layers : tuple of str
        Every layer that matches is lesioned by itself.
    noise : float
        In standard deviations.
    delay : int
        Steps.
    """

    question: ClassVar[str] = "Is it the level of inhibition that matters, or its match to sample, neuron and time?"
    pathways: tuple[str, ...] = ("I->E subtractive",)
    layers: tuple[str, ...] = ("*",)
    noise: float = 0.5
    delay: int = 1

    def cells(self, engine: Engine) -> list[Cell]:
        """Return one cell per kind, pathway and layer."""
        found = [Cell((), {"role": "intact", "dose": 0.0})]
        for pathway in self.pathways:
            for pattern in self.layers:
                for place in Scale(pathway, 0.5, layers=pattern).places(engine.network):
                    layer = place.layer
                    kinds: dict[str, Kind] = {
                        "mean": Mean(pathway, layers=layer),
                        "resample": Resample(pathway, layers=layer),
                        "noise": Noise(pathway, self.noise, layers=layer),
                        "delay": Delay(pathway, self.delay, layers=layer),
                    }
                    if place.shape[0] > 1:
                        kinds["shuffle neurons"] = ShuffleNeurons(pathway, layers=layer)
                    if len(place.shape) == 3 and place.shape[0] > 1:  # of maps: the place stays
                        kinds["shuffle channels"] = ShuffleNeurons(pathway, "place", layers=layer)
                    if pathway != "I->E divisive":
                        kinds["remove"] = Scale(pathway, 0, layers=layer)
                    for name, one in kinds.items():
                        about = {"role": "lesion", "pathway": pathway, "layers": layer, "kind": name}
                        found.append(Cell((one,), about))
        return found
