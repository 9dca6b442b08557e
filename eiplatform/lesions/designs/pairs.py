"""Which lesions cost more together than their sum: every pair of layers x pathways, alone and together."""

from __future__ import annotations

from itertools import combinations
from typing import ClassVar

from eiplatform.lesions.cells import Cell
from eiplatform.lesions.engine import Engine
from eiplatform.lesions.players import Players

__all__ = ["Pairs"]


class Pairs(Players):
    """Lesion every player, layer x pathway, alone and with every other.

    Attributes
    ----------
    pathways, layers, dose
        As of ``shapley``, whose number of cells doubles with every player; here it grows with their square.
    """

    question: ClassVar[str] = "Which layers' which pathways interact?"

    def cells(self, engine: Engine) -> list[Cell]:
        """Return the intact network, every player, and every pair."""
        players = self.players(engine)
        sizes = (0, 1, 2)
        return self.coalitions(players, [m for size in sizes for m in combinations(range(len(players)), size)])
