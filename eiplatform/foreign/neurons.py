"""What the frameworks call the state of their neurons, by our names; torch alone is imported.

A module is known by its classes' names and the package they come from, so that a framework is
needed only by whoever brings its network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from eiplatform.foreign.operations import tensors_in

__all__ = ["Neuron", "describe", "keeps_state", "reset"]


@dataclass(frozen=True)
class Neuron:
    """How to read a module of neurons.

    Attributes
    ----------
    voltage, spikes, activity : str or None
        Where to read it: ``"output"`` (the first tensor the module returns), ``"output.N"``
        (the N-th), ``"state.NAME"`` (a field of a returned state), or an attribute of the
        module after its forward, e.g. ``"mem"``, ``"recordings.v_mem"``.
    time_axis : int or None
        Axis of time in the module's input; None: one step per call.
    flat : bool
        Whether the module takes (batch x time, ...) as one axis.
    after_reset : bool
        Whether the voltage is read after the reset of a step's spikes (else before).
    framework : str
    switch : str or None
        Attribute set to True while recording, without which the voltage is not kept.
    delay : int
        Steps after which the recurrent weights inside the module act.
    why_not : mapping of str to str
        Why a signal cannot be had.
    opaque : str
        Why the currents that reach it cannot be had; empty if they can.
    """

    voltage: str | None = None
    spikes: str | None = None
    activity: str | None = None
    time_axis: int | None = None
    flat: bool = False
    after_reset: bool = True
    framework: str = "declared"
    switch: str | None = None
    delay: int = 0
    why_not: Mapping[str, str] = field(default_factory=dict)
    opaque: str = ""

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of what can be read."""
        return tuple(name for name in ("voltage", "spikes", "activity") if getattr(self, name) is not None)

    def read(self, module: nn.Module, output: Any) -> dict[str, Tensor | None]:
        """Return each signal of the call that just ended; None where the place holds no tensor."""
        return {name: _read(getattr(self, name), module, output) for name in self.signals}

    def attributes(self) -> dict[str, str]:
        """Return what the store says of the state."""
        told = {"framework": self.framework}
        if self.voltage is not None:
            told |= {
                "voltage_source": self.voltage,
                "voltage_read": "after reset" if self.after_reset else "before reset",
            }
        return told


def _read(place: str, module: nn.Module, output: Any) -> Tensor | None:
    head, _, rest = place.partition(".")
    if head == "output":
        found = list(tensors_in(output))
        index = int(rest or 0)
        return found[index] if index < len(found) else None
    value: Any = module
    if head == "state":
        if isinstance(output, tuple) and len(output) > 1:
            value = output[1]
        place = rest
    for part in place.split("."):
        value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
    return value if isinstance(value, Tensor) else None


def _families(module: nn.Module) -> set[str]:
    """Return ``package:Class`` of all classes of a module."""
    return {f"{cls.__module__.partition('.')[0]}:{cls.__name__}" for cls in type(module).__mro__}


def describe(module: nn.Module) -> Neuron | None:
    """Return how to read a module of neurons, None if it is none that is known.

    Examples
    --------
    >>> describe(nn.RNN(2, 3, batch_first=True)).time_axis
    1
    """
    families = _families(module)
    for known, reader in _READERS.items():
        if known in families:
            return reader(module)
    if type(module).__module__.startswith("spikingjelly.activation_based.neuron"):
        return _spikingjelly_other(module)
    return None


def _snntorch(module: nn.Module) -> Neuron:
    name = type(module).__name__
    voltage = "mem" if hasattr(module, "mem") else None
    if not _families(module) & {f"snntorch:{known}" for known in _SNNTORCH}:
        return Neuron(
            framework="snntorch", why_not={"voltage": f"the states of {name} are not known; declare them (neurons=)"}
        )
    factor = _get(module, "graded_spikes_factor")
    graded = isinstance(factor, Tensor) and bool((factor != 1).any())
    return Neuron(
        voltage=voltage,
        spikes=None if graded else "output",
        activity="output" if graded else None,
        after_reset=not bool(getattr(module, "reset_delay", True)),
        framework="snntorch",
        why_not={"spikes": "graded spikes (graded_spikes_factor) are recorded as activity"} if graded else {},
    )


_SNNTORCH = ("Leaky", "RLeaky", "Synaptic", "RSynaptic", "Alpha", "Lapicque")


def _snntorch_parallel(module: nn.Module) -> Neuron:
    return Neuron(
        spikes="output",
        time_axis=0,
        framework="snntorch",
        why_not={"voltage": "it runs the whole sequence at once and keeps no membrane potential"},
        opaque="its leak and its recurrence are one matrix (weight_hh_l0): current and state cannot be separated; "
        "use Linear and Leaky"
        if hasattr(module, "rnn")
        else "",
    )


def _get(module: nn.Module, name: str) -> Any:
    return getattr(module, name, None)


def _spikingjelly(module: nn.Module) -> Neuron:
    sequence = _get(module, "step_mode") == "m"
    return Neuron(
        voltage="v_seq" if sequence else "v",
        spikes="output",
        time_axis=0 if sequence else None,
        framework="spikingjelly",
        switch="store_v_seq" if sequence else None,
    )


def _spikingjelly_other(module: nn.Module) -> Neuron | None:
    if not hasattr(module, "step_mode"):
        return None
    return Neuron(
        spikes="output",
        time_axis=0 if _get(module, "step_mode") == "m" else None,
        framework="spikingjelly",
        why_not={"voltage": f"{type(module).__name__} does not keep its membrane potential"},
    )


def _norse_cell(module: nn.Module) -> Neuron:
    return Neuron(voltage="state.v", spikes="output", framework="norse")


def _norse_sequence(module: nn.Module) -> Neuron:
    if _get(module, "record_states"):
        return Neuron(voltage="state.v", spikes="output", time_axis=0, framework="norse")
    why = "it runs the whole sequence and returns its last state; build it with record_states=True"
    return Neuron(spikes="output", time_axis=0, framework="norse", why_not={"voltage": why})


def _norse_integrator(module: nn.Module) -> Neuron:
    cell = "norse:SNNCell" in _families(module)
    return Neuron(voltage="output", time_axis=None if cell else 0, framework="norse")


def _sinabs(module: nn.Module) -> Neuron:
    flat = "sinabs:SqueezeMixin" in _families(module)
    if not _get(module, "does_spike"):
        return Neuron(voltage="output", time_axis=1, flat=flat, framework="sinabs")
    function = _get(module, "spike_fn")
    binary = getattr(function, "__name__", type(function).__name__) == "SingleSpike"
    why_not = {}
    if not binary:
        why_not["spikes"] = "several spikes per step are possible; their count is recorded as activity"
    recurrent = hasattr(module, "rec_connect")
    if recurrent:  # seen in sinabs 3.1.3: lif_recurrent keeps the dictionary that the next step changes
        why_not["voltage"] = "sinabs overwrites the recorded membrane of recurrent layers with that of the next step"
    return Neuron(
        voltage=None if recurrent else "recordings.v_mem",
        spikes="output" if binary else None,
        activity=None if binary else "output",
        time_axis=1,
        flat=flat,
        framework="sinabs",
        switch=None if recurrent else "record_states",
        delay=1,
        why_not=why_not,
    )


def _torch_sequence(module: nn.Module) -> Neuron:
    return Neuron(activity="output", time_axis=1 if _get(module, "batch_first") else 0, framework="torch")


def _torch_cell(module: nn.Module) -> Neuron:
    return Neuron(activity="output", framework="torch")


def _nir(module: nn.Module) -> Neuron:
    if not _get(module, "fires"):
        return Neuron(voltage="output", framework="NIR")
    voltage = "voltage" if _get(module, "remembers") else None
    return Neuron(voltage=voltage, spikes="output", after_reset=False, framework="NIR")


_READERS: dict[str, Callable[[nn.Module], Neuron]] = {
    "torch:RNNBase": _torch_sequence,
    "torch:RNNCellBase": _torch_cell,
    "snntorch:SpikingNeuron": _snntorch,
    "snntorch:LeakyParallel": _snntorch_parallel,
    "snntorch:LeakyKernel": _snntorch_parallel,
    "spikingjelly:BaseNode": _spikingjelly,
    "spikingjelly:SimpleBaseNode": _spikingjelly,
    "norse:LICell": _norse_integrator,
    "norse:LI": _norse_integrator,
    "norse:SNNCell": _norse_cell,
    "norse:SNNRecurrentCell": _norse_cell,
    "norse:SNN": _norse_sequence,
    "norse:SNNRecurrent": _norse_sequence,
    "sinabs:StatefulLayer": _sinabs,
    "eiplatform:NIRNeurons": _nir,
}

_RESETS = {
    "snntorch:SpikingNeuron": "reset_mem",
    "spikingjelly:MemoryModule": "reset",
    "sinabs:StatefulLayer": None,
    "eiplatform:NIRNetwork": "reset",
}


def keeps_state(module: nn.Module) -> bool:
    """Whether a module of a known framework keeps its neurons' state between calls."""
    return not _families(module).isdisjoint(_RESETS)


def reset(network: nn.Module) -> None:
    """Return every module of a known framework to rest; no tensor is changed in place."""
    for module in network.modules():
        families = _families(module)
        for known, method in _RESETS.items():
            if known not in families:
                continue
            if method is None:  # sinabs would also zero what belongs to the modules inside
                for name, buffer in module._buffers.items():
                    module._buffers[name] = (
                        None if buffer is None else buffer.new_zeros(0)
                    )  # made anew at the next call
            elif hasattr(module, method):
                getattr(module, method)()
