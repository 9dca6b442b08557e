"""Which pathways of which layers carry the performance: Shapley values of lesions, and pairwise interactions."""

from __future__ import annotations

from itertools import combinations
from typing import ClassVar

import numpy as np
from pydantic import Field

from eiplatform.lesions.cells import Cell
from eiplatform.lesions.engine import Engine
from eiplatform.lesions.players import Players

__all__ = ["Shapley"]

EXACT = 12
"""Most players for whom every coalition is run."""


class Shapley(Players):
    """Lesion every coalition of players; their Shapley values share the loss out.

    Attributes
    ----------
    pathways, layers, dose
        Who is lesioned, where, and how much.
    permutations : int
        Orders of the players that are drawn where there are more than twelve; with fewer all coalitions are run.
    seed : int
    """

    question: ClassVar[str] = "Which layer's which pathway carries the performance, alone and together?"
    permutations: int = Field(40, ge=2)
    seed: int = 1

    def cells(self, engine: Engine) -> list[Cell]:
        """Return the coalitions, the empty one first."""
        players = self.players(engine)
        n = len(players)
        if n <= EXACT:
            return self.coalitions(players, [m for size in range(n + 1) for m in combinations(range(n), size)])
        drawn = np.random.default_rng(self.seed)
        orders = [drawn.permutation(n).tolist() for _ in range(self.permutations)]
        coalitions = {tuple(sorted(order[:size])) for order in orders for size in range(n + 1)}
        return self.coalitions(players, sorted(coalitions, key=lambda members: (len(members), members)))
