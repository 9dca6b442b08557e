"""Memory of a simulation, estimated before it runs."""

from __future__ import annotations

from eiplatform.microcircuits.circuit import Circuit

__all__ = ["estimate_memory"]

# Measured, and rounded up: what is kept and what it takes to draw it; a fixed part for both processes.
_BYTES_PER_SYNAPSE = {"cpp_standalone": 12, "cython": 60, "numpy": 60}
_BYTES_OF_PROCESS = {"cpp_standalone": 400e6, "cython": 450e6, "numpy": 400e6}
_SCRATCH_PER_SYNAPSE, _SCRATCH = 80, 400e6  # of drawing a block of synapses


def estimate_memory(
    circuit: Circuit,
    *,
    duration_ms: float,
    record_dt_ms: float = 1.0,
    n_recorded: int = 100,
    device: str = "cpp_standalone",
) -> int:
    """Estimate the memory of one simulation, from above.

    Parameters
    ----------
    circuit : Circuit
    duration_ms : float
        Including the warm-up.
    record_dt_ms : float
    n_recorded : int
        Neurons per population.
    device : str

    Returns
    -------
    int
        Bytes, over all processes of the simulation.  Spikes are counted at 1.5 times the rate of theory.

    Examples
    --------
    >>> from eiplatform.microcircuits import load
    >>> 0.3e9 < estimate_memory(load("brunel-2000"), duration_ms=1200) < 1.2e9
    True
    """
    recorded = sum(min(n_recorded, population.size) for population in circuit.populations)
    # Float32, with the two sums that the runner forms; a writer holds all of it twice.
    signals = 2 * 4 * recorded * (len(circuit.signals) + 2) * duration_ms / record_dt_ms
    if device != "cpp_standalone":  # kept in float64 until the end; a compiled program writes to disk
        signals += 2 * 8 * recorded * len(circuit.signals) * duration_ms / record_dt_ms
    rate = max(5.0, 1.5 * circuit.theory().get("rate", 20.0))
    spikes = 60 * circuit.n_neurons * rate * duration_ms * 1e-3
    return int(
        _BYTES_OF_PROCESS[device]
        + _BYTES_PER_SYNAPSE[device] * circuit.n_synapses
        + min(_SCRATCH_PER_SYNAPSE * circuit.n_synapses, _SCRATCH)
        + 1000 * circuit.n_neurons
        + signals
        + spikes
    )
