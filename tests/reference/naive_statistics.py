"""Every public statistic once more, from its page in docs/statistics: loops over neurons, samples and spikes.

Written to be read, not to be fast: nothing of :mod:`eiplatform.statistics` is used, and what the product
takes from sums and matrix products stands here as the definition does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

MIN_SPIKES, CHANCE = 10, 3.0


@dataclass
class Plain:
    """A population as plain arrays (sample, time, neuron) and lists of spike times [sample][neuron].

    Intervals have the length 1.  ``window`` (of counts), ``synchrony_window``, ``timescale_window``, ``segment`` and
    ``max_lag`` are in the unit of time; ``per_second`` turns spikes per unit of time into the unit of the rate.
    """

    exc: np.ndarray
    inh: np.ndarray
    gain: np.ndarray
    voltage: np.ndarray
    free: np.ndarray = field(default_factory=lambda: np.ones(0))  # free membrane potential
    threshold: float = 1.0
    label: np.ndarray = field(default_factory=lambda: np.ones(0))
    trains: list[list[np.ndarray]] = field(default_factory=list)
    duration: float = 0.0
    per_second: float = 1.0
    highest_rate: float = 1.0
    refractoriness: float = 0.0
    window: float = 10
    synchrony_window: float = 1
    timescale_window: float = 1
    segment: float = 128
    max_lag: float = 20

    def counts(self, width: float) -> np.ndarray:
        """Spikes in whole windows, shape (sample, window, neuron)."""
        edges = width * np.arange(int(self.duration / width) + 1)
        # Without what lies on the last edge: numpy's last bin is closed.
        found = [[np.histogram(train[train < edges[-1]], edges)[0] for train in sample] for sample in self.trains]
        return np.array(found, dtype=float).transpose(0, 2, 1)


def free_network(drive: np.ndarray, decay: float) -> np.ndarray:
    """u[t] = decay u[t-1] + drive[t], from where the mean drive would hold it."""
    u = np.zeros_like(drive)
    before = drive.mean(axis=1) / (1 - decay)
    for t in range(drive.shape[1]):
        before = u[:, t] = decay * before + drive[:, t]
    return u


def free_circuit(net: np.ndarray, tau: float, dt: float) -> np.ndarray:
    """Solve tau dV/dt = -V + net with net constant in each interval, from its mean."""
    u = np.zeros_like(net)
    before = net.mean(axis=1)
    for t in range(net.shape[1]):
        before = u[:, t] = net[:, t] + (before - net[:, t]) * np.exp(-dt / tau)
    return u


def corr(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation; NaN where one is constant."""
    a, b = a - a.mean(), b - b.mean()
    if np.abs(a).max() < 1e-9 or np.abs(b).max() < 1e-9:
        return np.nan
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def partial(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    """Correlation of what least squares on c leaves of a and b."""
    design = np.stack([np.ones_like(c), c], axis=1)
    left = [x - design @ np.linalg.lstsq(design, x, rcond=None)[0] for x in (a, b)]
    return corr(*left)


def varying(exc: np.ndarray, inh: np.ndarray) -> list[int]:
    """Neurons (last axis) whose E and I both vary over rows."""
    return [i for i in range(exc.shape[1]) if np.ptp(exc[:, i]) > 1e-9 and np.ptp(inh[:, i]) > 1e-9]


def pair_correlations(exc: np.ndarray, inh: np.ndarray) -> dict[str, np.ndarray]:
    """Own, cross, excess and partial correlation over rows, per neuron."""
    n = exc.shape[1]
    found = {name: np.full(n, np.nan) for name in ("own", "cross", "excess", "partial")}
    some = varying(exc, inh)
    for i in some:
        others = [j for j in some if j != i]
        found["own"][i] = corr(exc[:, i], inh[:, i])
        found["cross"][i] = np.mean([corr(exc[:, i], inh[:, j]) for j in others])
        found["excess"][i] = found["own"][i] - found["cross"][i]
        found["partial"][i] = partial(exc[:, i], inh[:, i], exc[:, others].mean(axis=1))
    return found


def residuals(exc: np.ndarray, inh: np.ndarray) -> dict[str, np.ndarray]:
    """Own, cross and excess residual variance over rows, per neuron."""
    n = exc.shape[1]
    found = {name: np.full(n, np.nan) for name in ("own", "cross", "excess")}
    some = varying(exc, inh)
    for i in some:
        others = [j for j in some if j != i]
        found["own"][i] = np.var(exc[:, i] - inh[:, i]) / (np.var(exc[:, i]) + np.var(inh[:, i]))
        shared = sum(2 * np.mean((exc[:, i] - exc[:, i].mean()) * inh[:, j]) for j in others)
        found["cross"][i] = 1 - shared / sum(np.var(exc[:, i]) + np.var(inh[:, j]) for j in others)
        found["excess"][i] = found["own"][i] - found["cross"][i]
    return found


def averaged(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Mean over samples of values per neuron, samples without one left out."""
    return {name: nanmean([part[name] for part in parts]) for name in parts[0]}


def nanmean(rows) -> np.ndarray:
    """Mean over rows, NaN where there is none."""
    rows = np.asarray(rows)
    return np.array([np.nan if np.isnan(r).all() else np.mean(r[~np.isnan(r)]) for r in rows.T])


def currents(p: Plain) -> dict[str, np.ndarray | float]:
    """Return all statistics of E and I."""
    e, i = p.exc.mean(axis=1), p.inh.mean(axis=1)  # (sample, neuron)
    mean_e, mean_i = e.mean(axis=0), i.mean(axis=0)
    n_samples, n = e.shape
    out: dict[str, np.ndarray | float] = {}
    both = (mean_e > 0) & (mean_i > 0)
    ratio = np.array([mean_e[k] / mean_i[k] if both[k] else np.nan for k in range(n)])
    out["ei_ratio"] = ratio
    out["balance_index"] = np.array(
        [1 - i / e if e > 0 and e >= 0.1 * (e + i) else np.nan for e, i in zip(mean_e, mean_i, strict=True)]
    )
    out["imbalance_index"] = (mean_e - mean_i) / (mean_e + mean_i)
    out["ei_ratio_sd"] = float(np.std(np.log(ratio[both])))
    for word, found in (
        ("samples", pair_correlations(e, i)),
        ("time", averaged([pair_correlations(p.exc[s], p.inh[s]) for s in range(n_samples)])),
    ):
        for name, values in found.items():
            out[f"ei_correlation_{word}" + ("" if name == "own" else f"_{name}")] = values
    for word, found in (
        ("samples", residuals(e, i)),
        ("time", averaged([residuals(p.exc[s], p.inh[s]) for s in range(n_samples)])),
    ):
        for name, values in found.items():
            out[f"residual_variance_{word}" + ("" if name == "own" else f"_{name}")] = values
    net = p.exc - p.inh
    for word, sd in (("samples", net.mean(axis=1).std(axis=0)), ("time", np.sqrt(net.var(axis=1).mean(axis=0)))):
        still = sd < 1e-9
        out[f"mean_to_fluctuation_{word}"] = np.where(still, np.nan, net.mean(axis=(0, 1)) / np.where(still, 1.0, sd))
    own = float(np.mean([corr(e[s], i[s]) for s in range(n_samples)]))
    cross = float(np.mean([corr(e[s], i[r]) for s in range(n_samples) for r in range(n_samples) if r != s]))
    out |= {"ei_correlation_neurons": own, "ei_correlation_neurons_cross": cross}
    out["ei_correlation_neurons_excess"] = own - cross
    for name in ("own", "excess"):
        lag, height = peaks(p, name)
        suffix = "" if name == "own" else "_excess"
        out |= {f"ei_lag{suffix}": lag, f"ei_peak{suffix}": height}
    out["fluctuation_index"] = np.array(
        [
            (p.threshold - p.free[:, :, k].mean()) / sd if (sd := np.sqrt(p.free[:, :, k].var(axis=1).mean())) > 1e-9
            else np.nan
            for k in range(n)
        ]
    )  # fmt: skip
    out["driven_above_threshold"] = (p.free >= p.threshold).mean(axis=(0, 1))
    others = [p.inh[:, :, [j for j in range(n) if j != k]].mean(axis=2) for k in range(n)]
    out["private_inhibition"] = np.array([1 - corr(p.inh[:, :, k].ravel(), others[k].ravel()) ** 2 for k in range(n)])
    return out


def tuning(p: Plain) -> dict[str, np.ndarray]:
    """Correlation of E and I over the means of classes."""
    by_class = [np.stack([x[p.label == c].mean(axis=(0, 1)) for c in np.unique(p.label)]) for x in (p.exc, p.inh)]
    found = pair_correlations(*by_class)
    return {"ei_cotuning" + ("" if name == "own" else f"_{name}"): found[name] for name in ("own", "cross", "excess")}


def correlogram(a: np.ndarray, b: np.ndarray, largest: int) -> np.ndarray:
    """Correlation of a(t) with b(t + lag), each lag over the pairs of times that it has."""
    a, b = (a - a.mean()) / a.std(), (b - b.mean()) / b.std()
    later = [np.mean(a[: len(a) - k] * b[k:]) for k in range(largest + 1)]
    earlier = [np.mean(a[k:] * b[: len(b) - k]) for k in range(largest, 0, -1)]
    return np.array(earlier + later)


def peaks(p: Plain, pairs: str, largest: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Lag (in intervals) and height of the peak of each neuron's mean correlogram."""
    n_samples, _, n = p.exc.shape
    lag, height = np.full(n, np.nan), np.full(n, np.nan)
    for i in range(n):
        curves = []
        for s in range(n_samples):
            some = varying(p.exc[s], p.inh[s])
            if i not in some:
                continue
            curve = correlogram(p.exc[s, :, i], p.inh[s, :, i], largest)
            if pairs == "excess":
                # The mean of z-scored series, correlated once.
                others = [p.inh[s, :, j] for j in some if j != i]
                summed = np.mean([(x - x.mean()) / x.std() for x in others], axis=0)
                curve = curve - correlogram(p.exc[s, :, i], summed, largest) * summed.std()
            curves.append(curve)
        if not curves:
            continue
        mean = np.mean(curves, axis=0)
        k = int(mean.argmax())
        if 0 < k < 2 * largest and mean[k] > 0:
            parabola = np.polynomial.Polynomial.fit([-1, 0, 1], mean[k - 1 : k + 2], 2, domain=[-1, 1])
            top = float(parabola.deriv().roots()[0].real)
            lag[i], height[i] = k - largest + top, parabola(top)
    return lag, height


def corrected_cv(isi: np.ndarray, duration: float) -> float:
    """CV with every interval counted by the inverse of the time in which it could begin, jackknifed."""

    def plain(x: np.ndarray) -> float:
        weight = 1 / (duration - x)
        mean = (weight * x).sum() / weight.sum()
        return float(np.sqrt((weight * (x - mean) ** 2).sum() / weight.sum()) / mean)

    left_out = [plain(np.delete(isi, k)) for k in range(len(isi))]
    return max(len(isi) * plain(isi) - (len(isi) - 1) * float(np.mean(left_out)), 0.0)


def spiking(p: Plain) -> dict[str, np.ndarray | float]:
    """Return all statistics of spikes."""
    totals = np.array([[len(train) for train in sample] for sample in p.trains], dtype=float)
    n_samples, n = totals.shape
    rate = totals.mean(axis=0) / p.duration * p.per_second
    out: dict[str, np.ndarray | float] = {"rate": rate}
    cv, local, revised, absolute = (np.full(n, np.nan) for _ in range(4))
    for i in range(n):
        cvs, terms = [], []
        for sample in p.trains:
            isi = np.diff(sample[i])
            if len(sample[i]) >= MIN_SPIKES:
                cvs.append(corrected_cv(isi, p.duration))
                terms += list(pairwise(isi))
        if cvs:
            cv[i] = np.mean(cvs)
            local[i] = 3 * np.mean([((a - b) / (a + b)) ** 2 for a, b in terms])
            revised[i] = 3 * np.mean(
                [(1 - 4 * a * b / (a + b) ** 2) * (1 + 4 * p.refractoriness / (a + b)) for a, b in terms]
            )
            absolute[i] = np.mean([2 * abs(a - b) / (a + b) for a, b in terms])
    out |= {"cv_isi": cv, "lv": local, "lvr": revised, "cv2": absolute}
    c = p.counts(p.window)
    active = totals.sum(axis=0) > 0
    inside = c.sum(axis=(0, 1)) > 0
    with np.errstate(invalid="ignore"):
        out["fano_factor"] = np.where(inside, c.var(axis=1, ddof=1).mean(axis=0) / c.mean(axis=(0, 1)), np.nan)
        out["fano_factor_samples"] = np.where(active, totals.var(axis=0, ddof=1) / totals.mean(axis=0), np.nan)
        lifetime = (1 - totals.mean(axis=0) ** 2 / (totals**2).mean(axis=0)) / (1 - 1 / n_samples)
    out["sparseness_lifetime"] = np.where(active, lifetime, np.nan)
    out["sparseness_population"] = float(
        np.mean([(1 - row.mean() ** 2 / (row**2).mean()) / (1 - 1 / n) for row in totals if row.any()])
    )
    out["dead_fraction"] = 1.0 * ~active
    out["silent_share"] = np.array([np.mean([len(sample[i]) == 0 for sample in p.trains]) for i in range(n)])
    out["saturated_fraction"] = 1.0 * (rate >= 0.9 * p.highest_rate - 1e-12)
    logs = np.log(rate[active])
    out["rate_cv"] = float(rate.std() / rate.mean())
    out["rate_gini"] = float(sum(abs(a - b) for a in rate for b in rate) / (2 * n**2 * rate.mean()))
    out["rate_log_sd"] = float(logs.std(ddof=1))
    out["rate_log_skewness"] = float(np.mean(((logs - logs.mean()) / logs.std()) ** 3))
    about = c - c.mean(axis=1, keepdims=True)
    for key, rows in (("count_correlation", about.reshape(-1, n)), ("count_correlation_samples", totals)):
        r = np.array([[corr(rows[:, i], rows[:, j]) if i != j else np.nan for j in range(n)] for i in range(n)])
        out[key] = nanmean(r.T)
    out |= synchrony(p, p.counts(p.synchrony_window), "spikes")
    free = n_samples * (c.shape[1] - 1)
    out["participation_ratio"] = dimension(about.reshape(-1, n), free)
    out["participation_ratio_samples"] = dimension(totals - totals.mean(axis=0), n_samples - 1)
    out |= rhythm(p)
    out["timescale_spikes"] = decay(p)
    return out


def each_step(p: Plain) -> dict[str, np.ndarray | float]:
    """Return the shares of pairs, and of spikes, of neurons that fire at every step of a sample."""
    pairs, at_every, spikes = np.zeros(len(p.trains[0])), 0, 0
    for sample in p.trains:
        for i, train in enumerate(sample):
            always = {int(t) for t in train} == set(range(int(p.duration)))
            pairs[i] += always / len(p.trains)
            at_every += always * len(train)
            spikes += len(train)
    return {"always_on_pairs": pairs, "always_on_spikes": at_every / spikes}


def synchrony(p: Plain, x: np.ndarray, name: str) -> dict[str, float]:
    """Return chi, and for counts variance over mean of the sum, of all neurons (they are the fixed number)."""
    own = x.var(axis=1, ddof=1).mean(axis=0)
    out = {f"chi_{name}": float(np.sqrt(x.mean(axis=2).var(axis=1, ddof=1).mean() / own.mean()))}
    if name == "spikes":
        total = x.sum(axis=2)
        out["synchrony"] = float(total.var(axis=1, ddof=1).mean() / total.mean())
    return out


def dimension(rows: np.ndarray, free: int) -> float:
    """Participation ratio of rows about their mean, corrected for Wishart noise of `free` degrees of freedom."""
    c = rows.T @ rows / free
    n = len(c)
    off = ~np.eye(n, dtype=bool)
    d, o, p = np.mean(np.diag(c) ** 2), np.mean(c[off] ** 2), np.mean(np.outer(np.diag(c), np.diag(c))[off])
    d, o, p = np.linalg.solve([[1 + 2 / free, 0, 0], [0, 1 + 1 / free, 1 / free], [0, 2 / free, 1]], [d, o, p])
    return float((d + (n - 1) * p) / (d + (n - 1) * o))


def rhythm(p: Plain) -> dict[str, float]:
    """Peak of the spectrum of the population's counts by a plain Fourier sum over half-overlapping Hann windows."""
    counts = p.counts(1.0).sum(axis=2)
    size = round(p.segment)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    frequency = np.arange(size // 2 + 1) / p.segment
    turns = np.exp(-2j * np.pi * np.outer(np.arange(size // 2 + 1), np.arange(size)) / size)
    powers = []
    for row in counts:
        for start in range(0, len(row) - size + 1, size // 2):
            part = row[start : start + size]
            powers.append([abs(np.sum((part - part.mean()) * hann * turn)) ** 2 for turn in turns])
    power = np.mean(powers, axis=0)
    frequency, power = frequency[1:], power[1:]
    k = int(power.argmax())
    left, top, right = np.log(power[k - 1 : k + 2])
    shift = (left - right) / (2 * (left - 2 * top + right))
    where = frequency[k] + shift * (frequency[1] - frequency[0])
    return {"spectrum_peak": float(where * p.per_second), "spectrum_height": float(power[k] / np.median(power))}


def autocovariances(x: np.ndarray, largest: int) -> np.ndarray:
    """Autocovariance at lags 0 .. largest + 1 of each sample and neuron, shape (lag, sample, neuron)."""
    x = x - x.mean(axis=1, keepdims=True)
    n = x.shape[1]
    first = n - largest - 1  # times that have all lags
    found = [(x**2).mean(axis=1)]
    found += [np.mean([x[:, t] * x[:, t + k] for t in range(first)], axis=0) for k in range(1, largest + 2)]
    a = np.array(found)
    # The unknown mean lowers all by 2 q / T; q itself is seen lowered.
    q = (a[0] / 2 + a[1 : largest + 1].sum(axis=0)) / (1 - (2 * largest + 1) / n)
    return a + 2 * q / n


def decay(p: Plain) -> float:
    """Decay time of the mean autocovariance of counts."""
    lags = round(p.max_lag / p.timescale_window)
    a = autocovariances(p.counts(p.timescale_window), lags).mean(axis=(1, 2))
    return float(-p.timescale_window / np.log(a[2 : lags + 2].sum() / a[1 : lags + 1].sum()))


def gains(p: Plain) -> dict[str, np.ndarray]:
    """Return all statistics of the gain."""
    mean = p.gain.mean(axis=(0, 1))
    x, y = np.log(p.exc.mean(axis=(1, 2))), np.log(p.gain.mean(axis=1))
    slope = np.array([np.polyfit(x, one, 1)[0] for one in y.T])
    return {"gain": mean, "gain_cv": p.gain.std(axis=(0, 1)) / mean, "gain_slope": slope}


def potentials(p: Plain) -> dict[str, np.ndarray | float]:
    """Return all statistics of the membrane potential."""
    a = autocovariances(p.voltage, round(p.max_lag)).mean(axis=1)
    time = 0.5 + a[1:-1].sum(axis=0) / a[0]
    kept = (time > 0) & (time <= p.max_lag / 3)
    return synchrony(p, p.voltage, "voltage") | {"timescale_voltage": np.where(kept, time, np.nan)}
