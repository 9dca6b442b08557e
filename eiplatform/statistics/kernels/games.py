"""Cooperative games: how players share what they do together (Shapley 1953, A value for n-person games)."""

from __future__ import annotations

from collections.abc import Mapping
from math import factorial

import numpy as np

from eiplatform.errors import StatisticError

__all__ = ["interaction", "shapley_values"]

Coalition = tuple[int, ...]


def shapley_values(values: Mapping[Coalition, np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the Shapley values of a game, and their errors where coalitions were drawn.

    Parameters
    ----------
    values : dict of tuple of int to array
        Value of every coalition that is known; all, or those of whole orders.
    n : int
        Number of players.

    Returns
    -------
    value : array, shape (n, ...)
        Sum over players: value of all minus value of none.
    error : array, shape (n, ...)
        Standard error over marginal contributions; 0 if every coalition is known.

    Examples
    --------
    >>> unanimity = {(): 0.0, (0,): 0.0, (1,): 0.0, (0, 1): 1.0}
    >>> shapley_values({key: np.array(value) for key, value in unanimity.items()}, 2)[0].tolist()
    [0.5, 0.5]
    """
    shape = next(iter(values.values())).shape
    found, error = np.zeros((n, *shape)), np.zeros((n, *shape))
    if len(values) == 2**n:
        for player in range(n):
            for members, value in values.items():
                if player not in members:
                    weight = factorial(len(members)) * factorial(n - len(members) - 1) / factorial(n)
                    found[player] += weight * (values[tuple(sorted((*members, player)))] - value)
        return found, error
    for player in range(n):
        gains = [
            values[larger] - value
            for members, value in values.items()
            if player not in members and (larger := tuple(sorted((*members, player)))) in values
        ]
        if len(gains) < 2:
            raise StatisticError(
                "too few coalitions are known", where="Shapley values", remedy="draw more permutations"
            )
        found[player] = np.mean(gains, 0)
        error[player] = np.std(gains, 0, ddof=1) / np.sqrt(len(gains))
    # What sampling leaves over is shared out equally: the sum is exact.
    left = values[tuple(range(n))] - values[()] - found.sum(0)
    return found + left / n, error


def interaction(values: Mapping[Coalition, np.ndarray], first: int, second: int) -> np.ndarray:
    """Return ``v(ij) - v(i) - v(j) + v(none)``: below 0 two lesions together do more than their sum.

    Examples
    --------
    >>> additive = {(): 0.0, (0,): -1.0, (1,): -2.0, (0, 1): -3.0}
    >>> float(interaction({key: np.array(value) for key, value in additive.items()}, 0, 1))
    0.0
    """
    pair = tuple(sorted((first, second)))
    return np.asarray(values[pair] - values[(first,)] - values[(second,)] + values[()])
