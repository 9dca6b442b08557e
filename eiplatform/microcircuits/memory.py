"""Memory of a simulation, estimated before it runs."""

from __future__ import annotations

from eiplatform.microcircuits.circuit import Circuit

__all__ = ["estimate_memory"]

# Bytes per synapse, measured: indices, Brian2's queue (grown by doubling) and scratch of construction.
_BYTES_PER_SYNAPSE = {"cpp_standalone": 24, "cython": 44, "numpy": 44}
_BYTES_OF_PROCESS = {"cpp_standalone": 120e6, "cython": 250e6, "numpy": 200e6}


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
        Bytes.  Spikes are counted at the rate of theory, at least 20 Hz.

    Examples
    --------
    >>> from eiplatform.microcircuits import load
    >>> 0.3e9 < estimate_memory(load("brunel-2000"), duration_ms=1200) < 1e9
    True
    """
    recorded = sum(min(n_recorded, population.size) for population in circuit.populations)
    signals = 3 * 8 * recorded * len(circuit.signals) * duration_ms / record_dt_ms
    rate = max(20.0, circuit.theory().get("rate", 20.0))
    spikes = 5 * 12 * circuit.n_neurons * rate * duration_ms * 1e-3
    return int(
        _BYTES_OF_PROCESS[device]
        + _BYTES_PER_SYNAPSE[device] * circuit.n_synapses
        + 400 * circuit.n_neurons
        + signals
        + spikes
    )
