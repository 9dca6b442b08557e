"""What a forward pass shows of a module: where the current of each set of weights ends.

The current of a set of weights is what it contributes per call.  It is followed from its product
through operations that are linear with constant coefficients, as far as all calls go the same
way, to the activation or the module of neurons that takes it in.  Where it is added up with
other calls of the same weights, or reaches anything else, it ends: the weights then are a
population of their own.  What only watches a tensor, and leads to no output, does not count.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from eiplatform.foreign.timeline import Layout

__all__ = ["Classes", "End", "Node", "Structure", "classes_of", "ends_of", "has_loop"]


class Consumer(NamedTuple):
    """What takes a current in: ``neuron``, ``activation``, ``product``, ``output`` or ``other``."""

    kind: str
    name: str
    serials: tuple[int, ...]


@dataclass
class Node:
    """Tensors with a current that were made by the same operations from the same weights."""

    sign: str
    shape: tuple[int, ...]
    first: str
    count: int = 0
    serials: list[int] = field(default_factory=list)
    many: bool = False
    parents: set[str] = field(default_factory=set)
    children: dict[str, None] = field(default_factory=dict)
    consumers: list[Consumer] = field(default_factory=list)


class Call(NamedTuple):
    """A product with a set of weights, or a call of a module of neurons (``kind``).

    Attributes
    ----------
    kind, name : str
    sources : frozenset of str
        What the weights saw.
    step : int
    of, made : int
        Serial numbers of the product's input and result.
    """

    kind: str
    name: str
    sources: frozenset[str]
    step: int
    of: int = -1
    made: int = -1


class Structure:
    """What happened in a pass, in order."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.calls: list[Call] = []
        self.random = False
        self.added_up: set[str] = set()
        self.given: list[tuple[str, tuple[int, ...]]] = []
        self.edges: list[tuple[int, tuple[int, ...]]] = []
        self._sinks: set[int] = set()
        self._live: set[int] | None = None

    def node(
        self, sign: str, shape: tuple[int, ...], first: str, serial: int, parents: list[str], many: bool = False
    ) -> None:
        """Note that a tensor has a current; of `many` calls of its weights, if it is a list of steps."""
        node = self.nodes.setdefault(sign, Node(sign, shape, first, many=many))
        node.count += sign not in parents
        node.serials.append(serial)
        for parent in parents:
            if parent in self.nodes and parent != sign:
                node.parents.add(parent)
                self.nodes[parent].children[sign] = None

    def consumed(self, sign: str, kind: str, name: str, serials: tuple[int, ...]) -> None:
        """Note what took a current in."""
        if sign in self.nodes:
            self.nodes[sign].consumers.append(Consumer(kind, name, serials))

    def edge(self, made: int, of: tuple[int, ...]) -> None:
        """Note what was computed from what."""
        self.edges.append((made, of))

    def sink(self, serial: int) -> None:
        """Note that something matters: it is returned, multiplied with weights or reaches neurons."""
        self._sinks.add(serial)

    def live(self) -> set[int]:
        """Return what leads to a sink."""
        if self._live is None:
            live = set(self._sinks)
            for made, of in reversed(self.edges):
                if made in live:
                    live.update(of)
            self._live = live
        return self._live


def has_loop(structure: Structure) -> bool:
    """Whether something repeats in time: one input is shown again, or each call builds on more than the last.

    Weights that are used several times on different inputs, side by side, do not make a loop.
    """
    depth: dict[int, int] = {}
    for made, of in structure.edges:
        depth[made] = max(depth.get(made, 0), 1 + max((depth.get(one, 0) for one in of), default=0))
    seen: dict[str, list[int]] = {}
    for call in structure.calls:
        if call.kind == "product":
            seen.setdefault(call.name, []).append(call.of)
    for inputs in seen.values():
        depths = [depth.get(one, 0) for one in inputs]
        growing = len(depths) > 1 and all(a < b for a, b in zip(depths, depths[1:], strict=False))
        if growing or len(set(inputs)) < len(inputs):
            return True
    return False


class Classes(NamedTuple):
    """Which use of its weights a call is, where a step uses them more than once.

    Attributes
    ----------
    modulo : int
        Uses per step, in order.
    by_source : dict of frozenset to int
        Use by what the weights see; empty: by order.
    """

    modulo: int = 1
    by_source: dict[frozenset[str], int] = {}  # noqa: RUF012

    def of(self, number: int, sources: frozenset[str]) -> int:
        """Return the use of a call by its number and sources."""
        if self.by_source:
            return self.by_source.get(sources, 0)
        return number % self.modulo


def classes_of(structure: Structure, steps: int, looped: bool) -> tuple[dict[str, Classes], dict[str, str]]:
    """Return the uses of all weights, and why those of others are unknown.

    Parameters
    ----------
    structure : Structure
    steps : int
    looped : bool
        Whether the module is called once per step.
    """
    found: dict[str, Classes] = {}
    unclear: dict[str, str] = {}
    by_name: dict[str, list[tuple[int, Call]]] = {}
    for order, call in enumerate(structure.calls):
        if call.kind == "product":
            by_name.setdefault(call.name, []).append((order, call))
    counts = {name: len(calls) for name, calls in by_name.items()}
    for call in structure.calls:
        if call.kind == "neuron":
            counts[f"neuron {call.name}"] = counts.get(f"neuron {call.name}", 0) + 1
    for name, calls in by_name.items():
        count = len(calls)
        if looped:
            per_step = Counter(call.step for _, call in calls)
            if len(per_step) == steps and len(set(per_step.values())) == 1:
                found[name] = Classes(next(iter(per_step.values())))
            else:
                unclear[name] = f"its weights are used {count} times in {steps} steps, not alike in all"
        elif count in (1, steps):
            found[name] = Classes()
        elif steps > 1 and count % steps == 0:
            sources = Counter(call.sources for _, call in calls)
            if set(sources.values()) == {steps}:
                found[name] = Classes(1, {source: k for k, source in enumerate(sources)})
            elif _interleaved(name, count // steps, structure, counts, steps):
                found[name] = Classes(count // steps)
            else:
                unclear[name] = (
                    f"its weights are used {count} times in {steps} steps, and which of them belong to one step "
                    "is unknown"
                )
        elif steps == 1:
            found[name] = Classes(count)
        else:
            unclear[name] = f"its weights are used {count} times in {steps} steps"
    return found, unclear


def _interleaved(name: str, uses: int, structure: Structure, counts: dict[str, int], steps: int) -> bool:
    """Whether something that happens once per step lies between the uses of any two steps."""
    for call in structure.calls:
        label = call.name if call.kind == "product" else f"neuron {call.name}"
        if counts.get(label) != steps:
            continue
        windows, seen = [], 0
        for other in structure.calls:
            if (other.kind, other.name) == (call.kind, call.name):
                windows.append(seen)
                seen = 0
            elif (other.kind, other.name) == ("product", name):
                seen += 1
        if all(count == uses for count in windows[1:]) and windows[0] + seen == uses:
            return True
    return False


class End(NamedTuple):
    """Where a current ends.

    Attributes
    ----------
    sign : str
        Of the tensors that hold it.
    first : str
        The weights that it is called by.
    active : bool
        Whether an activation, and nothing else, takes it in.
    """

    sign: str
    first: str
    active: bool


def ends_of(structure: Structure, layouts: dict[str, Layout | None], steps: int) -> tuple[list[End], dict[str, str]]:
    """Return the populations of weights that no module of neurons takes in, and what reaches neurons.

    Parameters
    ----------
    structure : Structure
    layouts : dict of str to Layout or None
        Of the nodes, by sign.
    steps : int

    Returns
    -------
    list of End
    dict of str to str
        Signs that reach a module of neurons, and its name.
    """
    finder = _Finder(structure, layouts, steps)
    ends: dict[str, End] = {}
    for node in list(structure.nodes.values()):
        if not node.parents:
            for sign in finder.ends(node.sign):
                found = structure.nodes[sign]
                ends[sign] = End(sign, found.first, finder.active(found))
    order = {sign: min(structure.nodes[sign].serials) for sign in ends}
    return [ends[sign] for sign in sorted(ends, key=order.__getitem__)], finder.neurons


class _Finder:
    def __init__(self, structure: Structure, layouts: dict[str, Layout | None], steps: int) -> None:
        self.nodes = structure.nodes
        self.live = structure.live()
        self.layouts = layouts
        self.steps = steps
        self.neurons: dict[str, str] = {}
        self._found: dict[str, tuple[list[str], bool]] = {}

    def cover(self, node: Node) -> int:
        layout = self.layouts.get(node.sign)
        return node.count * (self.steps if layout is not None and layout.has_time else 1)

    def goes_on(self, node: Node) -> list[Node]:
        """Return the children that every call of a node leads to."""
        mine = self.cover(node)
        found = []
        for sign in node.children:
            child = self.nodes[sign]
            held = mine == 1 and self.cover(child) == self.steps
            if self.layouts.get(sign) is None or not (self.cover(child) == mine or held):
                continue
            if child.many and not node.many and self._ends(sign) != ([], True):
                continue  # a list of steps, unless neurons take it in
            if not self.live.isdisjoint(child.serials):
                found.append(child)
        return found

    def active(self, node: Node) -> bool:
        takes = [one for one in node.consumers if not self.live.isdisjoint(one.serials)]
        return len(takes) == node.count and all(one.kind == "activation" for one in takes) and not self.goes_on(node)

    def ends(self, sign: str) -> list[str]:
        return self._ends(sign)[0]

    def _ends(self, sign: str) -> tuple[list[str], bool]:
        """Return the ends that a node leads to, and whether neurons or activations take it in there."""
        if sign not in self._found:
            self._found[sign] = ([], False)  # against cycles
            self._found[sign] = self._look(self.nodes[sign])
        return self._found[sign]

    def _look(self, node: Node) -> tuple[list[str], bool]:
        takes = [
            one
            for one in node.consumers
            if one.kind in ("neuron", "product", "output") or not self.live.isdisjoint(one.serials)
        ]
        neuron = next((one.name for one in takes if one.kind == "neuron"), None)
        children = [self._ends(child.sign) for child in self.goes_on(node)]
        good = [signs for signs, taken in children if taken]
        if neuron is not None:
            self.neurons[node.sign] = neuron
            return [sign for signs in good for sign in signs], True
        if any(one.kind == "activation" for one in takes):
            return [node.sign, *(sign for signs in good for sign in signs)], True
        if good:
            return [sign for signs in good for sign in signs], True
        usable = self.layouts.get(node.sign) is not None
        if len(children) == 1 and (not takes or not usable):
            return children[0]
        if len(children) > 1 and not takes and all(len(signs) == 1 for signs, _ in children) and self._parts(node):
            return [sign for signs, _ in children for sign in signs], False
        return [node.sign], False

    def _parts(self, node: Node) -> bool:
        """Whether the children are parts of a node that are used apart."""
        whole = _size(node.shape)
        return sum(_size(child.shape) for child in self.goes_on(node)) == whole


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
