"""Which weights lead from where to where, and which are not followed."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from eiplatform.foreign.neurons import Neuron
from eiplatform.foreign.recorder import Found
from eiplatform.foreign.report import Missing
from eiplatform.foreign.tracer import Event, Tracer
from eiplatform.networks.description import Pathway

__all__ = ["Sources", "mixed_populations", "pathways_of", "recurrent_weights", "sources_of", "unseen_weights"]


Sources = dict[tuple[str, str], set[str]]
"""Where what arrives at a population through a set of weights comes from."""


def sources_of(events: list[tuple[int, Event]], tracer: Tracer) -> Sources:
    """Return the sources of every population, by its name and the name of the weights."""
    found: Sources = {}
    for _, event in events:
        for term, calls in event.current.calls.items() if event.current is not None else ():
            for call in calls if isinstance(calls, tuple) else (calls,):
                found.setdefault((event.population, term), set()).update(tracer.flow.sources_at.get((term, call), ()))
    return found


def recurrent_weights(sources: Sources, tracer: Tracer) -> set[str]:
    """Return the weights whose source is what they drive, and nothing else."""
    return tracer.recurrent | {term for (population, term), names in sources.items() if names == {population}}


def mixed_populations(sources: Sources) -> set[str]:
    """Return the populations that one set of weights connects both to themselves and to others."""
    return {population for (population, _), names in sources.items() if population in names and len(names) > 1}


def pathways_of(populations: Mapping[str, Found], sources: Sources) -> tuple[Pathway, ...]:
    """Return two pathways of every set of weights: its positive and its negative ones."""
    paths = []
    for name, found in populations.items():
        for term in found.terms:
            source = " + ".join(sorted(sources.get((name.partition("@")[0], term), ()))) or "not followed"
            source = " + ".join(sorted(sources.get((name, term), ()))) or source
            paths.append(Pathway(name, term, source, name, "+", "additive", "", "current_exc"))
            paths.append(Pathway(name, f"{term} subtractive", source, name, "-", "subtractive", "", "current_inh"))
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
