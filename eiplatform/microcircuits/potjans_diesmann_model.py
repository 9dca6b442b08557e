"""The Brian2 model of the Potjans-Diesmann circuit: what is compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from eiplatform.microcircuits.circuit import Model, Structure
from eiplatform.microcircuits.drive import poisson_stream_function

__all__ = ["build_model"]


def build_model(structure: Structure) -> Model:
    """Return the Brian2 objects of :class:`~eiplatform.microcircuits.potjans_diesmann_2014.PotjansDiesmann2014`.

    Each step integrates v exactly over dt with the currents of its start, then decays the
    currents and adds what has arrived; weights are whole numbers of a unit, so that sums do not
    depend on their order.  As ``dI/dt = -I/tau_syn`` between jumps, the integral of a current is
    exactly ``tau_syn (sum of jumps - I)``.
    """
    import brian2
    from brian2 import ms

    n_exc, n_thalamus = int(structure["n_exc"]), int(structure["n_thalamus"])
    dt = structure["dt_ms"] * ms
    pulse = " + new_thalamic" if n_thalamus else ""
    neurons = brian2.NeuronGroup(
        n_exc + int(structure["n_inh"]),
        """
        v : volt
        rec : amp
        ext : amp
        inh : amp
        constant : amp (constant)
        v_constant : volt (constant)
        mean_ext : 1 (constant)
        zero_ext : 1 (constant)
        rest : integer
        new_rec : integer
        new_inh : integer
        new_thalamic : integer
        new_ext : integer
        total_rec : 1
        total_ext : 1
        total_inh : 1
        charge_rec = tau_syn * (unit_exc * total_rec - rec) : coulomb
        charge_ext = tau_syn * (unit_exc * total_ext - ext) : coulomb
        charge_inh = tau_syn * (unit_inh * total_inh - inh) : coulomb
        potential = v + v_leak : volt
        unit_exc : amp (shared, constant)
        unit_inh : amp (shared, constant)
        units_ext : integer (shared, constant)
        n_rest : integer (shared, constant)
        stream : integer (shared, constant)
        decay_m : 1 (shared, constant)
        decay_syn : 1 (shared, constant)
        gain_syn : ohm (shared, constant)
        tau_syn : second (shared, constant)
        v_leak : volt (shared, constant)
        v_threshold : volt (shared, constant)
        v_reset : volt (shared, constant)
        """,
        threshold="v >= v_threshold",
        reset="v = v_reset\nrest = n_rest",
        dt=dt,
        dtype={"stream": np.int64},
        namespace={"poisson_stream": poisson_stream_function()},
        name="neurons",
    )
    neurons.run_regularly(
        "new_ext = units_ext * poisson_stream(stream, t_in_timesteps, i, N, mean_ext, zero_ext)",
        when="start",
        name="background",
    )
    neurons.run_regularly(
        f"""
        resting = int(rest > 0)
        v = v + (1 - resting) * (((v * decay_m + (rec + ext - inh) * gain_syn) + v_constant) - v)
        rest = rest - resting
        rec = rec * decay_syn + unit_exc * new_rec
        ext = ext * decay_syn + unit_exc * (new_ext{pulse})
        inh = inh * decay_syn + unit_inh * new_inh
        total_rec = total_rec + new_rec
        total_ext = total_ext + (new_ext{pulse})
        total_inh = total_inh + new_inh
        new_rec = 0
        new_inh = 0
        {"new_thalamic = 0" if n_thalamus else ""}
        """,
        when="groups",
        name="integration",
    )
    # Brian2's Cython does not know 16 bits; compiled programs and numpy do.
    width = np.int32 if brian2.prefs["codegen.target"] == "cython" else np.int16
    weight: dict[str, Any] = {"model": "w : integer (constant)", "dtype": {"w": width}}
    synapses = {
        "exc": brian2.Synapses(neurons[:n_exc], neurons, on_pre="new_rec_post += w", name="exc", **weight),
        "inh": brian2.Synapses(neurons[n_exc:], neurons, on_pre="new_inh_post += w", name="inh", **weight),
    }
    groups = {"neurons": neurons}
    if n_thalamus:
        groups["thalamus"] = brian2.NeuronGroup(
            n_thalamus,
            """
            mean : 1 (shared, constant)
            zero : 1 (shared, constant)
            stream : integer (shared, constant)
            first : integer (shared, constant)
            last : integer (shared, constant)
            """,
            threshold="poisson_stream(stream, t_in_timesteps, i, N, mean, zero) > 0"
            " and t_in_timesteps >= first and t_in_timesteps <= last",
            dt=dt,
            dtype={"stream": np.int64},
            namespace={"poisson_stream": poisson_stream_function()},
            name="thalamus",
        )
        synapses["thalamic"] = brian2.Synapses(
            groups["thalamus"], neurons, on_pre="new_thalamic_post += w", name="thalamic", **weight
        )
    return Model(groups, synapses)
