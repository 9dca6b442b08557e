"""One run of a feedback network in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from eiplatform.networks.equilibrium.layers import Edge, LoopLayer
from eiplatform.networks.kernels.ei import NOTHING
from eiplatform.networks.kernels.lif import Membrane

__all__ = ["Masks", "Simulation"]

Parts = tuple[Tensor, Tensor]


class Masks(NamedTuple):
    """Dropout of currents, the same at all steps; None: none.

    Attributes
    ----------
    below : sequence of Tensor (B, ...) or None
        Per layer, of what comes from the layer below.
    back : Tensor or None
        Of the feedback.
    """

    below: Sequence[Tensor | None]
    back: Tensor | None


class Simulation:
    """The loop, step by step: what is kept for longer than a step is what is asked for.

    Parameters
    ----------
    layers : mapping of str to LoopLayer
        In the order of the loop.
    below, back : sequence of Edge, Edge
        The maps of this run.
    masks : Masks
    read : int
        The layer that is read out.
    record : mapping of str to frozenset of str
        ``E/<signal>`` per layer; whether ``readout`` is among them decides if the spikes that it
        sees are kept.
    through_time : bool
        Whether gradients pass through the steps; normalisation is then that of training.
    """

    def __init__(
        self,
        layers: Mapping[str, LoopLayer],
        below: Sequence[Edge],
        back: Edge,
        masks: Masks,
        read: int,
        record: Mapping[str, frozenset[str]],
        *,
        through_time: bool,
    ) -> None:
        self.layers, self.below, self.back, self.masks = layers, below, back, masks
        self.read, self.record, self.through_time = read, record, through_time
        self.state: dict[str, Membrane] = {}
        self.fed: Tensor | None = None
        self.shown: list[Tensor] = []
        self._tape: dict[str, dict[str, list[Tensor]]] = {name: {} for name in layers}

    def run(self, x: Tensor, current: Tensor, static: bool, steps: int, fed: Tensor | None) -> list[Tensor]:
        """Return the rates (B, ...) of all layers, starting from ``self.state`` and the spikes `fed` back.

        Parameters
        ----------
        x : Tensor, shape (B, ...) if `static`, else (T, B, ...)
        current : Tensor, shape (B, ...)
            Of the first layer, of a static input.
        static : bool
        steps : int
        fed : Tensor or None
            Spikes of the last layer at the step before.
        """
        decay = next(iter(self.layers.values())).neuron.decay
        totals: list[Tensor] = []
        first_parts: Parts | None = None
        for step in range(steps):
            now = x if static else x[step]
            spikes = now
            for index, (name, layer) in enumerate(self.layers.items()):
                wanted = self.record.get(name, NOTHING)
                returns = self.back if index == 0 else None
                drive = self._drive(index, layer, spikes, current if static else None)
                if returns is not None and fed is not None:
                    drive = drive + returns(fed)
                if layer.edits is not None or any("/current" in signal for signal in wanted):
                    parts = first_parts if index == 0 and first_parts is not None else self.below[index].split(spikes)
                    if index == 0 and static:
                        first_parts = parts
                    # As many zeros as spikes at rest: what has not fired yet comes back as nothing.
                    nothing = torch.zeros_like(parts[0])
                    back = None if returns is None else (nothing, nothing) if fed is None else returns.split(fed)
                    if layer.edits is not None:
                        drive, parts, back = layer.edited(drive, parts, back, step)
                    self._keep_currents(name, wanted, parts, back)
                before = self.state.get(name)
                through = self.through_time
                self.state[name], _, (spikes, voltage) = layer(drive, before, through_time=through, step=step)
                self._keep(name, wanted, {"drive": drive, "voltage": voltage, "spikes": spikes.abs(), "output": spikes})
                spikes = layer.sent(spikes, step)
                if step == 0:
                    totals.append(spikes)
                else:
                    totals[index] = torch.add(spikes, totals[index], alpha=decay)
                if index == self.read and "readout" in self.record:
                    self.shown.append(layer.visible(spikes))
            self.fed = fed = spikes
        counted = sum(decay**step for step in range(steps))
        return [total / counted for total in totals]

    def recorded(self, name: str) -> dict[str, Tensor]:
        """Return the recorded signals (T, B, ...) of a layer; they are not kept here any longer."""
        return {key: torch.stack(values) for key, values in self._tape.pop(name).items()}

    def _drive(self, index: int, layer: LoopLayer, spikes: Tensor, current: Tensor | None) -> Tensor:
        if index == 0 and current is not None:
            return current
        if index and self.through_time and layer.training:
            return layer.batch_edge(spikes, self.masks.below[index])[0]
        return self.below[index](spikes)

    def _keep_currents(self, name: str, wanted: frozenset[str], parts: Parts, back: Parts | None) -> None:
        exc, inh = parts
        known = {}
        if back is not None:
            more, less = back
            known = {
                "current_exc_external": exc,
                "current_inh_external": inh,
                "current_exc_recurrent": more,
                "current_inh_recurrent": less,
            }
            exc, inh = exc + more, inh + less
        known |= {"current_exc": exc, "current_inh": inh, "current_net": exc - inh}
        self._keep(name, wanted, known)

    def _keep(self, name: str, wanted: frozenset[str], known: Mapping[str, Tensor]) -> None:
        """Keep what is wanted of each population; several of them lie side by side in the last axis."""
        parts = self.layers[name].parts
        for key in wanted:
            role, _, signal = key.partition("/")
            if signal in known:
                values = known[signal] if len(parts) == 1 else known[signal][..., parts[role]]
                self._tape[name].setdefault(key, []).append(values)
