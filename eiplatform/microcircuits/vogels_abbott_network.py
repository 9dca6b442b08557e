"""What both networks of Vogels & Abbott (2005) share: names, drives, pathways, connectivity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eiplatform.microcircuits.circuit import Drive, Edges, generator
from eiplatform.microcircuits.connectivity import independent

__all__ = ["DRIVES", "NAME", "PATHWAYS", "REFERENCE", "check_network", "connect"]

NAME = "vogels-abbott-2005"
REFERENCE = (
    "Vogels & Abbott 2005, J Neurosci 25:10786-10795, doi:10.1523/JNEUROSCI.3508-05.2005; "
    "Brette et al. 2007, doi:10.1007/s10827-007-0038-6"
)
PATHWAYS = {"E->E": "w_exc_to_exc", "E->I": "w_exc_to_inh", "I->E": "w_inh_to_exc", "I->I": "w_inh_to_inh"}
DRIVES = {
    "E": Drive("drive_exc_pa", 1.0, relative=False),
    "I": Drive("drive_inh_pa", 1.0, relative=False),
}


def check_network(p: Any) -> None:
    """Raise :class:`~eiplatform.errors.ConfigError` for impossible sizes, probability, weights or drives."""
    for name in ("n_exc", "n_inh"):
        p.require(getattr(p, name) > 0, name, "a positive number")
    p.require(0 <= p.p_connect <= 1, "p_connect", "from 0 to 1")
    for name in (*PATHWAYS.values(), "drive_exc_pa", "drive_inh_pa"):
        p.require(getattr(p, name) >= 0, name, "a number of at least 0")


def connect(p: Any, seed: int) -> Iterator[tuple[str, Edges]]:
    """Yield excitatory, then inhibitory synapses: independent pairs."""
    rng = generator(seed, "connectivity")
    n = p.n_exc + p.n_inh
    yield "exc", independent(rng, p.n_exc, p.p_connect, n, first_own=0)
    yield "inh", independent(rng, p.n_inh, p.p_connect, n, first_own=p.n_exc)
