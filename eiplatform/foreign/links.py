"""Which weights lead from where to where, and which are not followed."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from eiplatform.foreign.neurons import Neuron
from eiplatform.foreign.recorder import Found
from eiplatform.foreign.report import Missing
from eiplatform.foreign.tracer import Event, Tracer
from eiplatform.snn.description import Pathway

__all__ = ["pathways_of", "recurrent_weights", "unseen_weights"]


def recurrent_weights(events: list[tuple[int, Event]], tracer: Tracer) -> set[str]:
    """Return the weights whose source is what they drive."""
    found = set(tracer.recurrent)
    for _, event in events:
        if event.current is not None:
            found |= {term for term in event.current.terms if event.population in tracer.flow.sources_of.get(term, ())}
    return found


def pathways_of(populations: Mapping[str, Found], tracer: Tracer) -> tuple[Pathway, ...]:
    """Return two pathways of every set of weights: its positive and its negative ones."""
    paths = []
    for name, found in populations.items():
        for term in found.terms:
            source = " + ".join(sorted(tracer.flow.sources_of.get(term, ()))) or "not followed"
            paths.append(Pathway(name, term, source, name, "+", "additive", ""))
            paths.append(Pathway(name, f"{term} subtractive", source, name, "-", "subtractive", ""))
    return tuple(paths)


def unseen_weights(
    module: nn.Module, tracer: Tracer, neurons: Mapping[str, Neuron], populations: Mapping[str, Found]
) -> list[Missing]:
    """Return the weights that no population's currents contain, and why."""
    missing = []
    followed = {term for found in populations.values() for term in found.terms}
    for name, parameter in module.named_parameters():
        if parameter.ndim < 2 or name in tracer.seen:
            continue
        prefix = name.rpartition(".")[0]
        if not tracer.calls.get(prefix) and name not in tracer.unfollowed:
            why = "its module is never called"
        else:
            operation = tracer.unfollowed.get(name)
            why = (
                f"used in {operation}, which is not followed" if operation else "no operation that is followed uses it"
            )
        missing.append(Missing(name, "weights", why))
    lost = "its current reaches no population whose currents are known"
    missing += [Missing(term, "weights", lost) for term in tracer.flow.sources_of if term not in followed]
    missing += [Missing(name, "all signals", "it is never called") for name in neurons if not tracer.calls.get(name)]
    return missing
