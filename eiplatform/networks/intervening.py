"""Running a network under interventions, and taking them back bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from eiplatform.errors import ConfigError
from eiplatform.networks.edits import Edit, Edits
from eiplatform.networks.layer import Layer
from eiplatform.networks.pathways import Factor, PathwayScale

__all__ = ["Applied", "Intervention", "Place", "Reference", "UnchangedWarning", "combined", "intervened"]


class UnchangedWarning(UserWarning):
    """An intervention changed nothing."""


class Place(NamedTuple):
    """One place of a network where an intervention acts.

    Attributes
    ----------
    layer, site : str
        The site is a pathway's factor, or ``output/<role>``.
    role : str
        Of the neurons whose values stand there.
    signal : str
        What a recording calls these values.
    shape : tuple of int
        (neurons,), or (channels, rows, columns).
    source : str
        Another site of the same neurons that the intervention refers to, if it does not act there itself.
    """

    layer: str
    site: str
    role: str
    signal: str
    shape: tuple[int, ...]
    source: str = ""

    @property
    def population(self) -> str:
        """Population of those neurons."""
        return f"{self.layer}/{self.role}"


@dataclass
class Reference:
    """What the intact network does with the samples that are shown: interventions refer to it.

    Attributes
    ----------
    samples : Tensor of int, shape (B,)
        Ids of the samples of the batch.
    own, partner : dict of Place to Tensor, shape (T, B, ...)
        Values of the intact run of the same samples, and of other samples.
    mean, sd : dict of Place to Tensor, shape (T, ...) and (...)
        Over samples; the standard deviation over samples and steps.
    memory : dict of int to list of Tensor
        What interventions remember of a run that goes step by step.
    """

    samples: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    own: dict[Place, Tensor] = field(default_factory=dict)
    partner: dict[Place, Tensor] = field(default_factory=dict)
    mean: dict[Place, Tensor] = field(default_factory=dict)
    sd: dict[Place, Tensor] = field(default_factory=dict)
    memory: dict[Any, list[Tensor]] = field(default_factory=dict)


class Intervention(Protocol):
    """A change of a network, as data; :mod:`eiplatform.interventions` has them."""

    @property
    def seed(self) -> int:
        """What its draws start from."""

    @property
    def needs(self) -> frozenset[str]:
        """What it refers to: ``own``, ``partner`` or ``moments`` of the intact network."""

    def places(self, network: Any) -> tuple[Place, ...]:
        """Return where it acts, checked against this network."""

    def referred(self, network: Any) -> tuple[Place, ...]:
        """Return the places of the intact network that it refers to."""

    def factors(self, network: Any) -> Mapping[str, PathwayScale] | None:
        """Return the factors on weights that do the same, by layer; None if there are none."""

    def edit(self, place: Place, reference: Reference) -> Edit:
        """Return what it does at one place."""

    def about(self, network: Any) -> Mapping[str, Any]:
        """Return what the manifest of a recording says."""


class Changeable(Protocol):
    """A network whose layers can be changed for a while."""

    interventions: tuple[Mapping[str, Any], ...]
    prepare: Any

    def named_layers(self) -> Mapping[str, Layer]:
        """Return the layers by name."""


_Network = TypeVar("_Network", bound=Changeable)


def intervened(network: _Network, interventions: Sequence[Intervention]) -> AbstractContextManager[_Network]:
    """Run a network under interventions; those on the same pathway act one after another.

    Parameters
    ----------
    network : Network
    interventions : sequence of Intervention

    Returns
    -------
    context manager
        Gives the same object, with what is done to it in ``network.interventions``; on exit it is as it was.

    Raises
    ------
    ConfigError
        If no intervention is given, or one changes nothing.
    UnknownNameError
        If one names what this network does not have.
    """
    if not callable(getattr(network, "named_layers", None)):
        raise ConfigError(
            f"a {type(network).__name__} has no pathways to change",
            where="intervene",
            valid="a network of ei.train or ei.load",
        )
    if not interventions:
        raise ConfigError("no intervention is given", where="intervene", valid="e.g. ei.Scale('I->E subtractive', 0.5)")
    for one in interventions:
        if not (callable(getattr(one, "edit", None)) and not isinstance(one, type)):
            raise ConfigError(
                f"{one!r} is not an intervention", where="intervene", valid="e.g. ei.Scale('I->E subtractive', 0.5)"
            )
    return _while_changed(network, interventions)


@contextmanager
def _while_changed(network: _Network, interventions: Sequence[Intervention]) -> Iterator[_Network]:
    outer = network.prepare
    applied = Applied(network, interventions, outer)  # all is checked before anything changes
    layers = network.named_layers()
    before = {name: (layer.lesion, layer.edits) for name, layer in layers.items()}
    about, more = network.interventions, [dict(one.about(network)) for one in interventions]
    try:
        applied.apply(before)
        network.interventions = (*about, *more)
        network.prepare = applied
        yield network
    finally:
        network.interventions, network.prepare = about, outer
        for name, layer in layers.items():
            layer.lesion, layer.edits = before[name]


class Applied:
    """All interventions that are in force on a network, and what they refer to.

    Parameters
    ----------
    network : Network
    interventions : sequence of Intervention
    outer : Applied, optional
        Those in force already, which act before these.
    edits_only : bool
        Whether none acts on weights.
    """

    def __init__(
        self,
        network: Changeable,
        interventions: Sequence[Intervention],
        outer: Applied | None = None,
        *,
        edits_only: bool = False,
    ) -> None:
        earlier: Sequence[Intervention] = () if outer is None else outer.interventions
        self.interventions: tuple[Intervention, ...] = (*earlier, *interventions)
        self.in_edits: list[Intervention] = [] if outer is None else list(outer.in_edits)
        self.reference = Reference()
        self._network = network
        self._factors: dict[str, PathwayScale] = {}
        self._edits: dict[str, dict[str, tuple[Edit, ...]]] = {}
        self._needs: dict[str, set[Place]] = {"own": set(), "partner": set(), "moments": set()}
        self._learnt = False
        self._partner: Tensor | None = None
        self._shown_to_partner: Callable[[Tensor], Tensor] | None = None
        # What acts on weights acts before any edit: after one, it has to be an edit itself.
        for one in interventions:
            factors, places = None if edits_only else one.factors(network), one.places(network)
            edited = {place.layer for other in self.in_edits for place in other.places(network)}
            if factors is None or edited & {place.layer for place in places}:
                self.in_edits.append(one)
            else:
                for name, scale in factors.items():
                    self._factors[name] = combined(self._factors.get(name), scale)
        for one in self.in_edits:
            for place in one.places(network):
                sites = self._edits.setdefault(place.layer, {})
                sites[place.site] = (*sites.get(place.site, ()), one.edit(place, self.reference))
            for need in one.needs:
                self._needs[need].update(one.referred(network))

    @property
    def refers(self) -> bool:
        """Whether an intervention refers to the intact network."""
        return any(self._needs.values())

    def apply(self, before: Mapping[str, tuple[PathwayScale | None, Edits | None]]) -> None:
        """Change the layers, which have `before` of interventions outside these."""
        layers = self._network.named_layers()
        for name, scale in self._factors.items():
            layers[name].lesion = combined(before[name][0], scale)
        for name, sites in self._edits.items():
            layers[name].edits = Edits((sites,))

    def learn(self, ids: np.ndarray, batches: int, shown: Callable[[np.ndarray], Tensor], steps: int | None) -> None:
        """Refer to all samples that will be shown, not to those of a batch alone.

        Parameters
        ----------
        ids : array of int, shape (sample,)
        batches : int
            Samples that are run at once.
        shown : callable
            Returns what some samples, by their place in `ids`, are shown.
        steps : int or None
            Of a static input.
        """
        ids = np.asarray(ids)
        if self._needs["partner"]:
            seed = next(one.seed for one in self.in_edits if "partner" in one.needs)
            drawn, partner = np.random.default_rng(seed).permutation(len(ids)), np.empty(len(ids), dtype=int)
            partner[drawn] = np.roll(drawn, -1)
            where = {int(sample): int(other) for sample, other in zip(ids, partner, strict=True)}
            self._shown_to_partner = lambda samples: shown(np.array([where[sample] for sample in samples.tolist()]))
        places = self._needs["moments"]
        if not places:
            return
        sums: dict[Place, Tensor] = {}
        squares: dict[Place, Tensor] = {}
        for start in range(0, len(ids), batches):
            x = shown(np.arange(start, min(start + batches, len(ids))))
            for place, values in self._intact(x, steps, places).items():
                real = values.double()
                sums[place] = real.sum(1) + sums.get(place, 0)
                squares[place] = (real**2).sum(1) + squares.get(place, 0)
        for place in places:
            self._moments(place, sums[place] / len(ids), squares[place] / len(ids))
        self._learnt = True

    def take_over(self, other: Applied) -> None:
        """Refer to what another one, of the same interventions, has learnt."""
        self.reference.mean.update(other.reference.mean)
        self.reference.sd.update(other.reference.sd)
        self._learnt, self._shown_to_partner = other._learnt, other._shown_to_partner

    def show(self, ids: Tensor) -> None:
        """Say which samples the next run shows."""
        self.reference.samples = ids
        self._partner = None if self._shown_to_partner is None else self._shown_to_partner(ids)

    def __call__(self, network: Any, x: Tensor, steps: int | None) -> None:
        """Run the intact network on what interventions refer to, before a run under them."""
        reference = self.reference
        reference.memory.clear()
        n = x.shape[0 if x.ndim == len(self._input_shape) + 1 else 1]
        if len(reference.samples) != n:
            reference.samples, self._partner = torch.arange(n), None
        own = self._needs["own"] | (set() if self._learnt else self._needs["moments"])
        own |= self._needs["partner"] if self._partner is None else set()
        values = self._intact(x, steps, own) if own else {}
        reference.own = {place: values[place] for place in self._needs["own"]}
        if self._needs["partner"]:
            others = self._intact(self._partner, steps, self._needs["partner"]) if self._partner is not None else {
                place: values[place].roll(1, 1) for place in self._needs["partner"]
            }  # fmt: skip
            reference.partner = others
        if not self._learnt:
            for place in self._needs["moments"]:
                real = values[place].double()
                self._moments(place, real.mean(1), (real**2).mean(1))

    def _moments(self, place: Place, mean: Tensor, square: Tensor) -> None:
        over_time = mean.mean(0)
        self.reference.mean[place] = mean
        self.reference.sd[place] = (square.mean(0) - over_time**2).clamp(min=0).sqrt()

    @property
    def _input_shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self._network.input_shape  # type: ignore[attr-defined]
        return shape

    def _intact(self, x: Tensor, steps: int | None, places: Iterable[Place]) -> dict[Place, Tensor]:
        with intact(self._network):
            record: dict[str, frozenset[str]] = {}
            for place in places:
                record[place.population] = record.get(place.population, frozenset()) | {place.signal}
            run: Callable[..., Any] = self._network.run  # type: ignore[attr-defined]
            with torch.no_grad():
                signals = run(x, steps, record).signals
        return {place: signals[place.population][place.signal] for place in places}


@contextmanager
def intact(network: Changeable) -> Iterator[None]:
    """Run a network without any of the interventions that are in force."""
    layers = network.named_layers()
    before = {name: (layer.lesion, layer.edits) for name, layer in layers.items()}
    prepare, network.prepare = network.prepare, None
    try:
        for layer in layers.values():
            layer.lesion = layer.edits = None
        yield
    finally:
        network.prepare = prepare
        for name, layer in layers.items():
            layer.lesion, layer.edits = before[name]


def combined(first: PathwayScale | None, second: PathwayScale) -> PathwayScale:
    """Return the product of two sets of factors.

    Examples
    --------
    >>> combined(PathwayScale(subtractive=0.5), PathwayScale(subtractive=0.5, input_exc=2.0)).subtractive
    0.25
    """
    if first is None:
        return second

    def product(one: Factor, other: Factor) -> Factor:
        return other if one is None else one if other is None else one * other

    return PathwayScale(*map(product, first, second))  # type: ignore[arg-type]  # a mask times a mask is a mask
