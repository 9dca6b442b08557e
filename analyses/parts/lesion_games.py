"""Lesions of several players, layers x pathways, alone and together: Shapley values, pairs, dissociations."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.lesion_measures import over_networks_and_images
from eiplatform.analyses.parts.lesion_values import shapley_of
from eiplatform.analyses.parts.tables import Table, interval_text, number_text
from eiplatform.statistics.kernels.games import interaction, shapley_values

__all__ = ["game_findings", "game_table"]


def game_table(result: xr.Dataset) -> Table:
    """Return Shapley values if the coalition of all is there, else the interactions of pairs."""
    players, values = _game(result)
    return _shapley_table(result, players) if tuple(range(len(players))) in values else _pairs_table(result)


def game_findings(result: xr.Dataset) -> Iterable[str]:
    """Say what all lesions do together and who carries most; of pairs, which do more or less than their sum."""
    players, values = _game(result)
    whole = tuple(range(len(players)))
    n = result.attrs["n_networks"]
    if whole not in values:
        found = _pairs(result)
        more = [name for name, _, _, high in found if high < 0]
        less = [name for name, _, low, _ in found if low > 0]
        strongest = max(found, key=lambda pair: abs(pair[1]))
        yield (
            f"Of {len(found)} pairs of lesions {len(more)} cost more together than their sum and {len(less)} less "
            f"(95 % intervals, each by itself; {n} networks). The largest interaction, {100 * strongest[1]:+.1f} "
            f"points, is that of {strongest[0]}."
        )
        return
    means = 100 * shapley_of(result)["value"].to_numpy()
    order = np.argsort(means)
    total = 100 * float((values[whole] - values[()]).mean())
    yield (
        f"All lesions together change accuracy by {total:.1f} points; {players[order[0]]} carries the largest share, "
        f"{means[order[0]]:.1f} points (Shapley value, mean over {n} networks), then {players[order[1]]}, "
        f"{means[order[1]]:.1f} points."
    )


def _game(result: xr.Dataset) -> tuple[list[str], dict[tuple[int, ...], np.ndarray]]:
    """Return the players, and which images (network, sample) every coalition leaves right."""
    players = str(result["players"].values[0]).split(" | ")
    correct = result["correct"].transpose("network", "cell", "sample").values.astype(float)
    values = {}
    for index, name in enumerate(result["coalition"].values):
        members = () if name == "none" else tuple(int(player) for player in str(name).split())
        values[members] = correct[:, index]
    return players, values


def _shapley_table(result: xr.Dataset, players: list[str]) -> Table:
    values = {members: right.mean(-1) for members, right in _game(result)[1].items()}
    found, error = shapley_of(result), shapley_values(values, len(players))[1]
    rows = []
    for index, name in enumerate(players):
        numbers = [100 * float(found[end].iloc[index]) for end in ("value", "low", "high")]
        pairs = {
            other: 100 * float(interaction(values, index, other).mean())
            for other in range(len(players))
            if other != index and tuple(sorted((index, other))) in values and (index,) in values and (other,) in values
        }
        strongest = max(pairs, key=lambda other: abs(pairs[other]), default=None)
        pair = "" if strongest is None else f"{pairs[strongest]:+.1f} with {players[strongest]}"
        sampled = number_text(100 * float(error[index].mean())) if error.any() else "0"
        rows.append((name, interval_text(*numbers), sampled, pair))
    total = 100 * float((values[tuple(range(len(players)))] - values[()]).mean())
    columns = ("player", "Shapley value, points [95 % over networks]", "sampling error", "largest pairwise interaction")
    note = (
        f"{result.attrs['n_networks']} networks, n = {result.attrs['n_samples']} images. The values add up to the loss "
        f"of all lesions together, {total:.1f} points. Interaction: below 0 two lesions together cost more than their "
        "sum."
    )
    return Table("Shapley values of layers and pathways", columns, tuple(rows), note)


def _pairs(result: xr.Dataset) -> list[tuple[str, float, float, float]]:
    """Return every pair with its interaction and the interval over networks and images."""
    players, values = _game(result)
    pairs = list(combinations(range(len(players)), 2))
    found = np.stack([interaction(values, *pair) for pair in pairs], 1)
    low, high = over_networks_and_images(found, 0)
    means = found.mean((0, 2))
    return [
        (f"{players[i]} and {players[j]}", float(mean), float(least), float(most))
        for (i, j), mean, least, most in zip(pairs, means, low, high, strict=True)
    ]


def _pairs_table(result: xr.Dataset) -> Table:
    players, values = _game(result)
    rows = []
    for (i, j), (_, *numbers) in zip(combinations(range(len(players)), 2), _pairs(result), strict=True):
        losses = [100 * float((values[members] - values[()]).mean()) for members in ((i,), (j,), (i, j))]
        rows.append(
            (players[i], players[j], *map(number_text, losses), interval_text(*(100 * number for number in numbers)))
        )
    note = (
        f"{result.attrs['n_networks']} networks, n = {result.attrs['n_samples']} images. Interaction: change by both "
        "minus the changes by each; below 0 they cost more together than their sum. Intervals: bootstrap of networks "
        "and images. Where one lesion alone leaves chance, the interaction is above 0 for that reason alone."
    )
    columns = ("first", "second", "first alone, points", "second alone", "both", "interaction, points [95 %]")
    return Table("Pairs of lesions", columns, tuple(rows), note)
