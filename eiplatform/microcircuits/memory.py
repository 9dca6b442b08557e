"""Memory of a simulation, estimated before it runs."""

from __future__ import annotations

from eiplatform.microcircuits.circuit import Circuit

__all__ = ["estimate_memory", "estimate_scratch"]

# Measured, and rounded up: what is kept and what it takes to draw it; a fixed part for both processes.
_BYTES_PER_SYNAPSE = {"cpp_standalone": 12, "cython": 60, "numpy": 60}
_BYTES_OF_PROCESS = {"cpp_standalone": 400e6, "cython": 450e6, "numpy": 400e6}
_PIECES = 150e6
_SCRATCH_PER_SYNAPSE, _SCRATCH = 80, 400e6  # of drawing a block of synapses


def estimate_memory(
    circuit: Circuit,
    *,
    duration_ms: float,
    record_dt_ms: float = 1.0,
    n_recorded: int = 100,
    device: str = "cpp_standalone",
    in_memory: bool = True,
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
    in_memory : bool
        Whether the result is held in memory; the simulation itself writes it to disk as it goes.

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
    values, spikes = _amounts(circuit, duration_ms, record_dt_ms, n_recorded)
    # Float32, with the sums that follow; a writer holds pieces.
    held = 2 * 4 * (1 + 2 / len(circuit.signals)) * values + 60 * spikes if in_memory else 0.0
    if device != "cpp_standalone":  # until a piece is written, in float64
        held += min(2 * 8 * values, _PIECES)
    return int(
        _BYTES_OF_PROCESS[device]
        + _BYTES_PER_SYNAPSE[device] * circuit.n_synapses
        + min(_SCRATCH_PER_SYNAPSE * circuit.n_synapses, _SCRATCH)
        + 1000 * circuit.n_neurons
        + held
    )


def estimate_scratch(circuit: Circuit, duration_ms: float, record_dt_ms: float, n_recorded: int) -> int:
    """Estimate the bytes of the temporary files of one simulation, from above; arguments as of the memory.

    Examples
    --------
    >>> from eiplatform.microcircuits import load
    >>> 0.1e9 < estimate_scratch(load("brunel-2000"), 1200.0, 1.0, 100) < 0.3e9
    True
    """
    values, spikes = _amounts(circuit, duration_ms, record_dt_ms, n_recorded)
    # Synapses; recordings in float64 as they come, and in float32 with what is derived from them.
    return int(8 * circuit.n_synapses + (8 + 4 * 2) * values + 24 * spikes)


def _amounts(circuit: Circuit, duration_ms: float, record_dt_ms: float, n_recorded: int) -> tuple[float, float]:
    """Return how many numbers and how many spikes are recorded, the latter from above."""
    recorded = sum(min(n_recorded, population.size) for population in circuit.populations)
    rate = max(5.0, 1.5 * circuit.theory().get("rate", 20.0))
    return recorded * len(circuit.signals) * duration_ms / record_dt_ms, circuit.n_neurons * rate * duration_ms * 1e-3
