"""Lesions of several players, layers x pathways, alone and together."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from eiplatform.errors import ConfigError
from eiplatform.interventions import Scale
from eiplatform.lesions.cells import Cell
from eiplatform.lesions.design_kinds import Design
from eiplatform.lesions.engine import Engine

__all__ = ["Players"]


class Players(Design):
    """Players, layers x pathways, that are lesioned alone and together.

    Attributes
    ----------
    pathways : tuple of str
    layers : tuple of str
        Names or wildcards; every layer with a pathway is a player.
    dose : float
        Of a player who is lesioned.
    """

    pathways: tuple[str, ...] = ("I->E subtractive", "input->I")
    layers: tuple[str, ...] = ("*",)
    dose: float = Field(0.25, le=1)

    def players(self, engine: Engine) -> list[Scale]:
        """Return the lesion of every player; at least two."""
        found = [
            Scale(pathway, 1 - self.dose, layers=place.layer)
            for pathway in self.pathways
            for pattern in self.layers
            for place in Scale(pathway, 0.5, layers=pattern).places(engine.network)
        ]
        found = list(dict.fromkeys(found))
        if len(found) < 2:
            raise ConfigError(f"{len(found)} player", where="players", valid="at least 2 layers x pathways")
        return found

    def coalitions(self, players: Sequence[Scale], coalitions: Sequence[tuple[int, ...]]) -> list[Cell]:
        """Return the cells of coalitions of players, by their numbers."""
        names = " | ".join(f"{one.layers} {one.target}" for one in players)
        return [
            Cell(
                tuple(players[i] for i in members),
                {
                    "role": "lesion" if members else "intact",
                    "coalition": " ".join(map(str, members)) or "none",
                    "players": names,
                    "dose": self.dose if members else 0.0,
                },
            )
            for members in coalitions
        ]
