"""Doses of every pathway in every set of layers, with controls: dose-response curves, maps, double dissociations."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from eiplatform.errors import ConfigError
from eiplatform.interventions import Mean, MeanShift, Scale
from eiplatform.lesions.cells import Cell, Images
from eiplatform.lesions.controls import losses_of, matchable
from eiplatform.lesions.design_kinds import Design
from eiplatform.lesions.engine import Engine
from eiplatform.lesions.operating_point import restored_rates
from eiplatform.recording.plan import evaluation, shown

__all__ = ["Control", "DoseResponse", "lesion_and_controls"]

Control = Literal["random", "mean", "shift", "restored"]
_SUBTRACTIVE = ("I->E subtractive", "input->E subtractive")
_SAMPLES = 256
"""On which rates are restored."""


class DoseResponse(Design):
    """Weaken or strengthen pathways by doses.

    Attributes
    ----------
    pathways : tuple of str
    layers : tuple of str
        Names or wildcards; each is a set of layers that is lesioned together.  ``each``: every layer by itself, and
        all together.
    doses : tuple of float
        Fractions removed; below 0 the pathway is strengthened.
    match : {"dose", "current"}
        ``current``: a dose is the fraction of the layer's excitatory and inhibitory current together that is taken,
        so that all layers and pathways lose as much; where a pathway has not that much the cell is left out.
    controls : tuple of {"random", "mean", "shift", "restored"}
        Random losses of synapses of as much current; inhibition whose level stays (its deviations from the mean are
        scaled); an equal shift of the mean without removing anything; the lesion with the rates restored by biases.
    draws : int
        Random losses per lesion.
    images : tuple of dict
        How the images are disturbed, e.g. ``{kind: noise, level: 0.2}``; the plain ones always come first.
    """

    question: ClassVar[str] = "How much of which pathway in which layer can be lost?"
    pathways: tuple[str, ...] = ("I->E subtractive", "I->E divisive", "input->I")
    layers: tuple[str, ...] = ("each",)
    doses: tuple[float, ...] = Field((-0.5, -0.25, 0.1, 0.25, 0.5, 0.75, 1.0), min_length=1)
    match: Literal["dose", "current"] = "dose"
    controls: tuple[Control, ...] = ("random", "mean", "shift", "restored")
    draws: int = Field(5, ge=1)
    images: tuple[dict[str, float | str], ...] = ()

    @field_validator("doses")
    @classmethod
    def _possible(cls, doses: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(doses)) < len(doses) or 0 in doses or max(doses) > 1:
            raise ValueError("different doses, at most 1 and not 0 (the intact network is always there)")
        return doses

    def cells(self, engine: Engine) -> list[Cell]:
        """Return every pathway in every set of layers at every dose, each followed by its controls."""
        found = []
        for images in (Images(), *(Images(**one) for one in self.images)):  # type: ignore[arg-type]
            found.append(Cell((), {"role": "intact", "dose": 0.0}, images))
            for pathway in self.pathways:
                for layers in self._sets(engine, pathway):
                    for dose in self.doses:
                        lesion = self._lesion(engine, pathway, layers, dose)
                        if lesion is not None:
                            found += lesion_and_controls(engine, lesion, dose, self.controls, self.draws, images)
        return found

    def _sets(self, engine: Engine, pathway: str) -> list[str]:
        having = [path.layer for path in engine.network.pathways() if path.name == pathway]
        if not having:
            Scale(pathway, 0.5).places(engine.network)  # says which pathways there are
        found = []
        for pattern in self.layers:
            found += [*having, "*"] if pattern == "each" else [pattern]
        if len(having) == 1 and "*" in found and len(found) > 1:
            found.remove("*")
        return list(dict.fromkeys(found))

    def _lesion(self, engine: Engine, pathway: str, layers: str, dose: float) -> Scale | None:
        """Return the lesion; None if a pathway has not so much current, or cannot be removed whole."""
        if self.match == "current":
            (place, *more) = Scale(pathway, 0.5, layers=layers).places(engine.network)
            if more:
                return None
            if place.signal not in ("current_exc", "current_inh", "activity"):
                raise ConfigError(f"'{pathway}' is not a current", where="match: current", valid=_SUBTRACTIVE)
            means = engine.currents([place.layer])[place.layer]
            own = means["current_exc" if place.signal == "current_exc" else "current_inh"]
            dose = dose * sum(means.values()) / own if own else 2.0
            if dose > 1:
                return None
        if dose == 1 and pathway == "I->E divisive":
            return None  # the gain would have no denominator
        return Scale(pathway, round(1 - dose, 12), layers=layers)


def lesion_and_controls(
    engine: Engine, lesion: Scale, dose: float, controls: tuple[Control, ...], draws: int, images: Images
) -> list[Cell]:
    """Return a lesion and its controls; those that do not exist for its pathway are left out."""
    about = {"pathway": lesion.target, "layers": lesion.layers, "dose": dose, "removed": lesion.dose}
    cells = [Cell((lesion,), {**about, "role": "lesion"}, images)]
    places = lesion.places(engine.network)
    currents = all(place.signal in ("current_exc", "current_inh") for place in places)
    if "random" in controls and matchable(lesion, engine.network) and lesion.dose > 0:
        seeds = range(1, draws + 1)
        losses = losses_of(lesion, engine.network, engine.currents([place.layer for place in places]), seeds)
        for draw, loss in zip(seeds, losses, strict=True):
            cells.append(Cell(loss, {**about, "role": "random", "draw": draw}, images))
    if "mean" in controls and lesion.dose > 0:
        cells.append(Cell((Mean(lesion.target, lesion.dose, layers=lesion.layers),), {**about, "role": "mean"}, images))
    if "shift" in controls and currents:
        cells.append(
            Cell((MeanShift(lesion.target, lesion.dose, layers=lesion.layers),), {**about, "role": "shift"}, images)
        )
    if "restored" in controls and any(place.layer in engine.hidden for place in places):
        first = engine.data.take(engine.plan.positions[:_SAMPLES])
        with evaluation(engine.network) as parameter:
            biases = restored_rates(engine.network, [lesion], shown(engine.plan, first, parameter), engine.plan.steps)
        cells.append(Cell((lesion, *biases), {**about, "role": "restored"}, images))
    return cells
