"""Brunel (2000), model A, in NEST: what an independent simulator gives for the same parameters.

Usage: python benchmarks/nest_brunel.py STATE DURATION_MS WARMUP_MS SEED

Needs ``pip install nest-simulator`` (GPL; no dependency of eiplatform).  One thread; fixed in-degree
without repeated pairs, reset to 10 mV, input lost during the refractory period.  Prints the rates of
E and I (Hz), the CV of E (mean over neurons with at least 10 spikes) and the frequency at which the
activity of E is strongest, above 5 Hz.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

STATES = {"A": (3.0, 2.0), "B": (6.0, 4.0), "C": (5.0, 2.0), "D": (4.5, 0.9)}
"""g and eta of the paper's figure 8, written down anew: nothing is shared with eiplatform."""


def main(state: str, duration: float, warmup: float, seed: int) -> None:
    """Simulate and print."""
    import nest

    g, eta = STATES[state]
    n_exc, n_inh, c_exc, c_inh, weight, delay = 10_000, 2_500, 1_000, 250, 0.1, 1.5
    nest.ResetKernel()
    nest.set_verbosity("M_ERROR")
    nest.SetKernelStatus({"resolution": 0.1, "rng_seed": seed, "local_num_threads": 1})
    cell = {"C_m": 1.0, "tau_m": 20.0, "t_ref": 2.0, "E_L": 0.0, "V_reset": 10.0, "V_th": 20.0}
    neurons = nest.Create("iaf_psc_delta", n_exc + n_inh, params=cell)
    neurons.V_m = nest.random.uniform(0.0, 20.0)
    threshold_rate = 20.0 / (weight * c_exc * 20.0) * 1e3
    noise = nest.Create("poisson_generator", params={"rate": eta * threshold_rate * c_exc})
    nest.Connect(noise, neurons, syn_spec={"weight": weight, "delay": delay})
    for sources, degree, size in (
        (neurons[:n_exc], c_exc, weight),
        (neurons[n_exc:], c_inh, -g * weight),
    ):
        rule = {"rule": "fixed_indegree", "indegree": degree, "allow_autapses": False, "allow_multapses": False}
        nest.Connect(sources, neurons, rule, {"weight": size, "delay": delay})
    recorder = nest.Create("spike_recorder", params={"start": warmup})
    nest.Connect(neurons, recorder)
    begin = time.perf_counter()
    nest.Simulate(warmup + duration)
    took = time.perf_counter() - begin
    times, senders = np.asarray(recorder.events["times"]) - warmup, np.asarray(recorder.events["senders"])
    exc = senders <= n_exc
    rates = [1e3 * exc.sum() / (n_exc * duration), 1e3 * (~exc).sum() / (n_inh * duration)]
    order = np.lexsort((times[exc], senders[exc]))
    who, when = senders[exc][order], times[exc][order]
    intervals = np.diff(when)[np.diff(who) == 0]
    neuron = who[1:][np.diff(who) == 0]
    count, total = np.bincount(neuron), np.bincount(neuron, intervals)
    enough = count >= 9
    mean = total[enough] / count[enough]
    variance = np.bincount(neuron, intervals**2)[enough] / count[enough] - mean**2
    cv = float(np.mean(np.sqrt(np.maximum(variance, 0)) / mean))
    activity = np.histogram(times[exc], np.arange(0, duration + 1))[0]
    power = np.abs(np.fft.rfft(activity - activity.mean())) ** 2
    smooth = np.convolve(power, np.ones(5) / 5, "same")
    frequency = np.fft.rfftfreq(len(activity), 1e-3)
    above = frequency > 5
    peak = frequency[above][np.argmax(smooth[above])]
    print(
        f"state {state}, seed {seed}, {duration:g} ms: E {rates[0]:.3f} Hz, I {rates[1]:.3f} Hz, CV {cv:.3f}, "
        f"peak {peak:.1f} Hz; {took:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state", choices=STATES)
    parser.add_argument("duration", type=float)
    parser.add_argument("warmup", type=float)
    parser.add_argument("seed", type=int)
    main(**vars(parser.parse_args()))
