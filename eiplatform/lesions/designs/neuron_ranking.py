"""Which single I neurons matter: each is silenced by itself."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from eiplatform.interventions import Silence
from eiplatform.lesions.cells import Cell
from eiplatform.lesions.design_kinds import Design
from eiplatform.lesions.engine import Engine

__all__ = ["NeuronRanking"]


class NeuronRanking(Design):
    """Silence single neurons (channels) of populations.

    Attributes
    ----------
    populations : str
        Name or wildcard.
    neurons : int
        At most so many of each population, drawn with `seed`.
    seed : int
    """

    question: ClassVar[str] = "Which single neurons matter?"
    populations: str = "fc*/I"
    neurons: int = Field(32, ge=2)
    seed: int = 1

    def cells(self, engine: Engine) -> list[Cell]:
        """Return one cell per neuron."""
        found = [Cell((), {"role": "intact", "dose": 0.0})]
        for place in Silence(self.populations, [0]).places(engine.network):
            n = place.shape[0] if place.role == "I" else int(np.prod(place.shape))
            drawn = np.random.default_rng([self.seed, *place.population.encode()]).permutation(n)[: self.neurons]
            for neuron in sorted(drawn.tolist()):
                about = {"role": "lesion", "pathway": place.population, "layers": place.layer, "neuron": neuron}
                found.append(Cell((Silence(place.population, [neuron]),), {**about, "dose": 1 / n}))
        return found
