"""Which pathways of which layers carry the performance: Shapley values of lesions, and pairwise interactions."""

from __future__ import annotations

from itertools import combinations
from typing import ClassVar

import numpy as np
from pydantic import Field

from eiplatform.errors import ConfigError
from eiplatform.interventions import Scale
from eiplatform.lesions.cells import Cell
from eiplatform.lesions.design_kinds import Design
from eiplatform.lesions.engine import Engine

__all__ = ["Shapley"]

EXACT = 12
"""Most players for whom every coalition is run."""


class Shapley(Design):
    """Lesion every coalition of players, layers x pathways; their Shapley values share the loss out.

    Attributes
    ----------
    pathways : tuple of str
    layers : tuple of str
        Names or wildcards; every layer with a pathway is a player.
    dose : float
        Of a player who is lesioned.
    permutations : int
        Orders of the players that are drawn where there are more than twelve; with fewer all coalitions are run.
    seed : int
    """

    question: ClassVar[str] = "Which layer's which pathway carries the performance, alone and together?"
    pathways: tuple[str, ...] = ("I->E subtractive", "input->I")
    layers: tuple[str, ...] = ("*",)
    dose: float = Field(0.25, le=1)
    permutations: int = Field(40, ge=2)
    seed: int = 1

    def cells(self, engine: Engine) -> list[Cell]:
        """Return the coalitions, the empty one first."""
        players = [
            Scale(pathway, 1 - self.dose, layers=place.layer)
            for pathway in self.pathways
            for pattern in self.layers
            for place in Scale(pathway, 0.5, layers=pattern).places(engine.network)
        ]
        players = list(dict.fromkeys(players))
        names = [f"{one.layers} {one.target}" for one in players]
        n = len(players)
        if n < 2:
            raise ConfigError(f"{n} player", where="shapley", valid="at least 2 layers x pathways")
        if n <= EXACT:
            coalitions = [members for size in range(n + 1) for members in combinations(range(n), size)]
        else:
            drawn = np.random.default_rng(self.seed)
            orders = [drawn.permutation(n).tolist() for _ in range(self.permutations)]
            coalitions = [tuple(sorted(order[:size])) for order in orders for size in range(n + 1)]
            coalitions = sorted(set(coalitions), key=lambda members: (len(members), members))
        told = " | ".join(names)
        return [
            Cell(
                tuple(players[i] for i in members),
                {
                    "role": "lesion" if members else "intact",
                    "coalition": " ".join(map(str, members)) or "none",
                    "players": told,
                    "dose": self.dose if members else 0.0,
                },
            )
            for members in coalitions
        ]
