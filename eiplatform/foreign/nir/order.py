"""In which order the nodes of a graph run within a step, and which edges bring what was sent a step before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from eiplatform.errors import ConfigError, StoreError
from eiplatform.foreign.nir.graph import Edge

__all__ = ["delayed_edges", "ordered"]


def delayed_edges(
    names: Sequence[str], edges: Sequence[Edge], start: str, neurons: Collection[str]
) -> tuple[Edge, ...]:
    """Return the edges out of neurons that lead back, through which spikes need one step.

    An edge u -> v leads back if every way from the input to u passes v.  The spikes that it brings are those of the
    step before, and the weights on the way back see them in the step in which they arrive.

    Parameters
    ----------
    names : sequence of str
        All nodes.
    edges : sequence of (str, str)
    start : str
        The input.
    neurons : collection of str
        Nodes of neurons.

    Raises
    ------
    StoreError
        If a loop has no neurons, or its way back also leads forward.
    ConfigError
        If a loop is entered at several places, so that which of its edges lead back is not determined.

    Examples
    --------
    >>> loop = [("x", "w"), ("w", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "y")]
    >>> delayed_edges(["x", "w", "lif", "rec", "y"], loop, "x", {"lif"})
    (('lif', 'rec'),)
    """
    before, after = _neighbours(names, edges)
    over = _dominators(names, before, start)
    found: dict[Edge, None] = {}
    for last, first in edges:
        if first not in over[last]:
            continue
        body = _body(first, last, before)
        way = {last} - set(neurons)
        if last in neurons:
            found[last, first] = None
        waiting = list(way)
        while waiting:
            node = waiting.pop()
            for source in before[node]:
                if source in neurons and source in body:
                    found[source, node] = None
                elif source == first:
                    raise StoreError("a loop without neurons", where=f"nodes {', '.join(sorted(body))}")
                elif source in body and source not in way:
                    way.add(source)
                    waiting.append(source)
        for node in way:
            forward = [target for target in after[node] if target not in way and target != first]
            if forward:
                raise StoreError(
                    f"leads back to '{first}' and forward to '{forward[0]}'",
                    where=f"node '{node}'",
                    remedy="give the way back weights of its own",
                )
    try:
        ordered(names, [edge for edge in edges if edge not in found])
    except StoreError as error:
        raise ConfigError(
            "a loop is entered at several places, so that which of its edges bring the spikes of the step before is "
            "not determined",
            where=error.where,
            remedy=f"name them: delayed={[edge for edge in edges if edge[0] in neurons]} or some of these",
        ) from None
    return tuple(found)


def ordered(names: Sequence[str], edges: Iterable[Edge]) -> list[str]:
    """Return the nodes so that every edge leads onwards.

    Raises
    ------
    StoreError
        If some edges form a loop.

    Examples
    --------
    >>> ordered(["b", "a"], [("a", "b")])
    ['a', 'b']
    """
    edges = list(edges)
    found: list[str] = []
    waiting = list(names)
    while waiting:
        ready = [name for name in waiting if not any(target == name and source in waiting for source, target in edges)]
        if not ready:
            raise StoreError("edges form a loop", where=f"nodes {', '.join(waiting)}")
        found += ready
        waiting = [name for name in waiting if name not in ready]
    return found


def _neighbours(names: Sequence[str], edges: Iterable[Edge]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    before: dict[str, list[str]] = {name: [] for name in names}
    after: dict[str, list[str]] = {name: [] for name in names}
    for source, target in edges:
        before[target].append(source)
        after[source].append(target)
    return before, after


def _dominators(names: Sequence[str], before: Mapping[str, Sequence[str]], start: str) -> dict[str, set[str]]:
    """Return for each node the nodes that every way from the input to it passes."""
    over = {name: set(names) for name in names} | {start: {start}}
    changed = True
    while changed:
        changed = False
        for name in names:
            if name == start:
                continue
            above = [over[source] for source in before[name]]
            new = (set.intersection(*above) if above else set()) | {name}
            if new != over[name]:
                over[name], changed = new, True
    return over


def _body(first: str, last: str, before: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the nodes of the loop that an edge from the last to the first closes."""
    body, waiting = {first, last}, [last] if last != first else []
    while waiting:
        for source in before[waiting.pop()]:
            if source not in body:
                body.add(source)
                waiting.append(source)
    return body
