"""How many dimensions activity has: the participation ratio, at a fixed number of neurons, without bias."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.kernels.spill import row_blocks_of

__all__ = ["participation_ratio"]


def participation_ratio(rows: FloatArray, n_neurons: int) -> tuple[float, FloatArray, FloatArray]:
    """Participation ratio (tr C)^2 / tr C^2 of the covariance C of n neurons.

    Written with means over neurons and pairs of neurons, [d + (n - 1) p]/[d + (n - 1) o] for the
    mean squared variance d, mean product of two variances p and mean squared covariance o, it
    is the ratio of the expectations over random subsets of n neurons.  A covariance estimated with
    f degrees of freedom has E d = d (1 + 2/f), E p = p + 2 o/f, E o = o + (o + p)/f for Gaussian
    activity (Wishart); these are solved for d, p and o.

    Parameters
    ----------
    rows : array, shape (sample, time, neuron)
        Covariance is pooled over samples about each sample's mean; with one time per sample,
        it is taken over samples.
    n_neurons : int
        At most the recorded number.

    Returns
    -------
    value : float
        1: one dimension; n: independent neurons of equal variance.  NaN if nothing varies.
    sample : array, shape (sample,)
        Influence of each sample (mean 0).
    neuron : array, shape (neuron,)
        Influence of each neuron (mean 0).

    Examples
    --------
    >>> import numpy as np
    >>> few = np.random.default_rng(0).normal(size=(40, 1, 100))  # 40 samples of 100 independent neurons
    >>> value, _, _ = participation_ratio(few, 100)
    >>> plain = np.linalg.eigvalsh(np.cov(few[:, 0].T))
    >>> round(value / 10) * 10, round(float(plain.sum() ** 2 / (plain**2).sum()))
    (100, 28)
    """
    n_samples, n_times, m = rows.shape
    over_samples = n_times == 1
    free = n_samples - 1 if over_samples else n_samples * (n_times - 1)
    centre = sum(part.sum(axis=0) for _, (part,) in row_blocks_of(rows)) / n_samples if over_samples else None

    def centred() -> Iterator[FloatArray]:
        for _, (part,) in row_blocks_of(rows):
            yield part - (part.mean(axis=1, keepdims=True) if centre is None else centre)

    covariance = np.zeros((m, m))
    for part in centred():
        flat = part.reshape(-1, m)
        covariance += flat.T @ flat / free
    own = np.diagonal(covariance)
    if not (own > 0).any():
        return float("nan"), np.full(n_samples, np.nan), np.full(m, np.nan)
    off = covariance**2
    np.fill_diagonal(off, 0.0)
    # Per neuron: squared variance, mean squared covariance and mean product with the others.
    d_i, o_i, p_i = own**2, off.sum(axis=1) / (m - 1), own * (own.sum() - own) / (m - 1)
    by_block = [_by_sample(part, covariance, n_samples / free) for part in centred()]
    d_s, o_s, p_s = (np.concatenate(parts) for parts in zip(*by_block, strict=True))
    d, o, p = d_i.mean(), o_i.mean(), p_i.mean()
    scale = 1 + 1 / free - 2 / free**2

    def corrected(d: FloatArray, o: FloatArray, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Numerator and denominator, linear in the three means."""
        o_true = (o - p / free) / scale
        p_true = p - 2 * o_true / free
        d_true = d / (1 + 2 / free)
        return d_true + (n_neurons - 1) * p_true, d_true + (n_neurons - 1) * o_true

    above, below = corrected(d, o, p)
    value = above / below

    def influence(d: FloatArray, o: FloatArray, p: FloatArray) -> FloatArray:
        up, down = corrected(d, o, p)
        change: FloatArray = (up - value * down) / below
        return change

    return float(value), influence(d_s, o_s, p_s), influence(d_i - d, 2 * (o_i - o), 2 * (p_i - p))


def _by_sample(rows: FloatArray, covariance: FloatArray, factor: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Differentiate the three means in the weight of each sample, shape (sample,) each."""
    m = covariance.shape[0]
    own = np.diagonal(covariance)
    # Sample s adds C_s = factor * X_s' X_s, whose mean over samples is C.
    inner = np.einsum("sti,sti->s", rows @ covariance, rows) * factor  # sum of C * C_s
    variances = np.einsum("sti,sti->si", rows, rows) * factor
    d = 2 * (variances @ own - own @ own) / m
    pairs = m * (m - 1)
    o = 2 * (inner - (covariance**2).sum() - (variances @ own - own @ own)) / pairs
    p = 2 * (own.sum() * (variances.sum(axis=1) - own.sum()) - (variances @ own - own @ own)) / pairs
    return d, o, p
