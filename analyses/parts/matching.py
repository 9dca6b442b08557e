"""What forbids the comparison of a network with something else, and in which unit it is made."""

from __future__ import annotations

from eiplatform.analyses.parts.measured import Side
from eiplatform.statistics import Statistic

__all__ = ["BY_SIZE", "comparability"]

BY_SIZE = (
    *("ei_ratio", "balance_index", "imbalance_index", "ei_ratio_sd"),
    *("mean_to_fluctuation_samples", "mean_to_fluctuation_time"),
)
"""Statistics that depend on the in-degree: of networks only the same layers at the same sizes are compared."""


def comparability(entry: Statistic, own: Side, reference: Side) -> tuple[bool, str, float]:
    """Say whether a statistic may be compared, why, and by what the network's value is multiplied for it.

    Parameters
    ----------
    entry : Statistic
    own : Side
        Of a network.
    reference : Side
        Of a network, a circuit or a shipped summary.

    Returns
    -------
    comparable : bool
    reason : str
        Why not, or with what caution.
    factor : float
        From the network's unit to the reference's.
    """
    mine, other = own.cells[entry.key], reference.cells[entry.key]
    if other.not_comparable:
        return False, other.not_comparable, 1.0
    if reference.kind != "network" and "voltage" in entry.needs:
        return (
            False,
            "the circuit's time is matched to steps, and an average of the voltage is none before a reset",
            1.0,
        )
    if reference.kind != "network":
        taken = f"a step is taken as {reference.step_ms:.3g} ms"
        if entry.key == "rate":
            return True, f"spikes per step in Hz: {taken}", 1e3 / reference.step_ms
        if entry.in_steps and reference.kind == "circuit":
            by_time = bool(entry.by_time)
            what = "steps in ms" if by_time else "windows of as many steps on both sides"
            return True, f"{what}: {taken}", reference.step_ms if by_time else 1.0
        return entry.comparable, entry.comparable_reason, 1.0
    sizes, others = own.facts["sizes"], reference.facts["sizes"]
    unlike = [name for name in sizes if name in others and sizes[name] != others[name]]
    if entry.key in BY_SIZE and unlike:
        return False, f"other sizes ({', '.join(unlike)}): it depends on the in-degree", 1.0
    if mine.units != other.units:
        return False, f"other units: {mine.units} against {other.units}", 1.0
    if own.facts["dt"] != reference.facts["dt"] and entry.over != "sample":
        return False, f"every {own.facts['dt']:g} steps recorded against every {reference.facts['dt']:g}", 1.0
    if mine.window and other.window and mine.window != other.window:
        return False, f"other windows: {mine.window} against {other.window}", 1.0
    if "time" in entry.over and entry.over != "sample and time" and own.facts["n_time"] != reference.facts["n_time"]:
        steps = f"{own.facts['n_time']} against {reference.facts['n_time']}"
        return False, f"estimated over other lengths: {steps} recorded intervals", 1.0
    cautions = []
    if own.facts["input"] != reference.facts["input"]:
        cautions.append(f"other input: {own.facts['input'] or '?'} against {reference.facts['input'] or '?'}")
    if any(own.facts[name] != reference.facts[name] for name in ("sample", "shown")):
        cautions.append("other samples: the difference is of networks and samples together")
    return True, "; ".join(cautions), 1.0
