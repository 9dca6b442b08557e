"""A lesion as data: frozen, hashable, stored in the manifest of what was recorded under it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from eiplatform.config import parse_model
from eiplatform.errors import ConfigError

__all__ = ["Lesion", "Pathway", "make_lesions"]

Pathway = Literal[
    "input->E",
    "input->I",
    "I->E subtractive",
    "I->E divisive",
    "input->E subtractive",
    "recurrent->E",
    "recurrent->E subtractive",
    "recurrent->I",
    "I->I subtractive",
]


class Lesion(BaseModel):
    """A fraction of one pathway is removed in some layers.

    The pathway's contribution is multiplied by ``1 - dose`` wherever it arrives; everything
    downstream (firing, later layers) follows from the network's own dynamics.

    Attributes
    ----------
    pathway : str
        ``"input->E"``, ``"input->I"``, ``"I->E subtractive"`` or ``"I->E divisive"``; of signed
        weights ``"input->E"`` (positive) and ``"input->E subtractive"`` (negative), and what feedback
        networks feed back likewise: ``"recurrent->E"``, ``"recurrent->E subtractive"``; with E and I
        populations ``"recurrent->I"`` and ``"I->I subtractive"`` too.
    dose : float
        Fraction removed, 0 (intact) to 1 (all).  Divisive inhibition is the denominator of the
        gain and nothing else stands there, so its dose must stay below 1.
    layers : str
        Layer name or wildcard, e.g. ``"fc2"`` or ``"fc*"``.

    Examples
    --------
    >>> Lesion(pathway="I->E subtractive", dose=0.5).remaining
    0.5
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pathway: Pathway
    dose: Annotated[float, Field(ge=0, le=1)]
    layers: str = "*"

    @property
    def remaining(self) -> float:
        """Fraction of the pathway that is left."""
        return 1.0 - self.dose


def make_lesions(pathway: str, doses: Sequence[float], layers: str = "*") -> list[Lesion]:
    """Make one lesion per dose.

    Parameters
    ----------
    pathway : str
    doses : sequence of float
    layers : str

    Raises
    ------
    ConfigError
        For an unknown pathway, a dose outside 0 to 1, or all of divisive inhibition.

    Examples
    --------
    >>> [lesion.dose for lesion in make_lesions("I->E subtractive", [0, 0.5])]
    [0.0, 0.5]
    """
    lesions = [
        parse_model(Lesion, {"pathway": pathway, "dose": dose, "layers": layers}, where="lesion") for dose in doses
    ]
    if any(lesion.pathway == "I->E divisive" and lesion.dose >= 1 for lesion in lesions):
        raise ConfigError(
            "all of divisive inhibition cannot be removed: the gain would have no denominator",
            where="lesion dose",
            valid="0 <= dose < 1 for 'I->E divisive'",
            remedy="name the doses, e.g. doses=(0, 0.25, 0.5, 0.75, 0.9)",
        )
    return lesions
