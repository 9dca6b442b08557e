"""Null recordings for which the network runs again: re-initialised, with shuffled weights, or shuffled inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eiplatform.config import Config
from eiplatform.datasets import DataBundle, Split
from eiplatform.errors import ConfigError, choose
from eiplatform.files import claimed
from eiplatform.networks.network import Network
from eiplatform.recording.network import record_network
from eiplatform.recording.spec import RecordingSpec
from eiplatform.statistics.seeds import ENOUGH
from eiplatform.training import initialise

__all__ = [
    "NULLS",
    "Null",
    "NullRun",
    "ShuffledInputs",
    "null_runs",
    "parse_null",
    "record_nulls",
    "shuffled_weights",
    "within_sign",
]

NULLS = {
    "reinit": "the same network, initialised anew",
    "shuffle-weights": "weights permuted within each matrix among those of the same sign",
    "shuffle-inputs": "the pixels of every image permuted, each image in its own way",
}
"""Kinds of nulls, and what each does."""


@dataclass(frozen=True)
class Null:
    """A number of nulls of one kind.

    Attributes
    ----------
    kind : str
        A key of :data:`NULLS`.
    count : int
    """

    kind: str
    count: int


def parse_null(text: str) -> Null:
    """Read ``KIND:COUNT``; without a count 39, with which a rank alone can reach p = 0.05.

    Raises
    ------
    UnknownNameError
        For another kind.
    ConfigError
        If the count is not a positive whole number.

    Examples
    --------
    >>> parse_null("reinit:5")
    Null(kind='reinit', count=5)
    >>> parse_null("reinit").count
    39
    """
    kind, colon, count = text.partition(":")
    choose(kind, NULLS, "null")
    if not colon:
        return Null(kind, ENOUGH)
    if not (count.isascii() and count.isdigit() and int(count) > 0):
        raise ConfigError(
            f"the null '{text}' lacks a count of 1 or more",
            valid=f"{kind}:COUNT, e.g. {kind}:5 (3 are the least for a z), or {kind} for {ENOUGH}",
        )
    return Null(kind, int(count))


def within_sign(values: Tensor, rng: np.random.Generator) -> Tensor:
    """Return a tensor's values permuted, those below zero among themselves and the others among themselves.

    Signs keep their places, so Dale's law survives, and so do the number and the distribution of
    weights of either sign; which input has which weight does not.

    Examples
    --------
    >>> within_sign(torch.tensor([[-1.0, 2.0], [3.0, -4.0]]), np.random.default_rng(0)).sign().tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """
    flat = values.detach().flatten()
    shuffled = flat.clone()
    negative = flat < 0
    for chosen in (negative, ~negative):
        places = chosen.nonzero().flatten()
        order = torch.from_numpy(rng.permutation(len(places))).to(places.device)
        shuffled[places] = flat[places[order]]
    return shuffled.view_as(values)


@contextmanager
def shuffled_weights(network: Network, seed: int) -> Iterator[Network]:
    """Run a network with every weight matrix permuted within sign; on exit it is as it was.

    Gains, biases and normalisation stay: they belong to neurons, not to connections.

    Parameters
    ----------
    network : Network
    seed : int
        The permutation of a matrix depends on its name and the seed.

    Yields
    ------
    Network
        The same object.

    Examples
    --------
    >>> from eiplatform.config import load_config
    >>> from eiplatform.networks import build_network
    >>> network = build_network(load_config(None, ["network.hidden=[8]", "network.layer=none"]), (4,), 2)
    >>> weight = network.named_layers()["fc1"].weight
    >>> _ = weight.data.normal_()
    >>> before = weight.detach().clone()
    >>> with shuffled_weights(network, 1):
    ...     bool((weight == before).all()), bool((weight.sign() == before.sign()).all())
    (False, True)
    >>> bool((weight == before).all())
    True
    """
    kept: list[tuple[Tensor, Tensor]] = []
    try:
        for name, parameter in network.named_parameters():
            if parameter.ndim >= 2:
                kept.append((parameter.data, parameter.detach().clone()))
                parameter.data.copy_(within_sign(parameter, np.random.default_rng([seed, *name.encode()])))
        yield network
    finally:
        for values, before in kept:
            values.copy_(before)


class ShuffledInputs(Split):
    """A split in which the pixels of every sample are permuted, each sample in its own way.

    Brightness and distribution of the pixels of an image stay, its structure goes.  All frames
    of a sequence are permuted alike.

    Parameters
    ----------
    data : Split
    seed : int
        The permutation of a sample depends on its id and the seed.

    Examples
    --------
    >>> data = Split(np.arange(12).reshape(2, 6), np.zeros(2, int), np.arange(2), 12)
    >>> made = ShuffledInputs(data, 1)
    >>> made.images.sum(axis=1) == data.images.sum(axis=1), bool((made.images == data.images).all())
    (array([ True,  True]), False)
    """

    def __init__(self, data: Split, seed: int) -> None:
        labels = data.labels if data.labelled else None
        super().__init__(data._stored, labels, data.ids, data.scale, data.sequence, data._rows, data.name)
        self._data, self._seed = data, seed

    def stored_at(self, index: np.ndarray | slice) -> np.ndarray:
        """Return the permuted pixels of these samples as they are stored."""
        found = super().stored_at(index)
        for values, sample in zip(found, self.ids[index].tolist(), strict=True):
            pixels = values.reshape(values.shape[0], -1) if self.sequence else values.reshape(1, -1)
            order = np.random.default_rng([self._seed, sample]).permutation(pixels.shape[1])
            values[...] = pixels[:, order].reshape(values.shape)
        return found

    def take(self, index: np.ndarray) -> Split:
        """Return the samples at these positions, permuted in the same way."""
        return ShuffledInputs(self._data.take(index), self._seed)


@dataclass(frozen=True)
class NullRun:
    """One null, ready to be recorded: `network` shown `data`; `about` says in the manifest what it is.

    Attributes
    ----------
    network : Network
    data : Split
    place : str
        E.g. ``"reinit-1"``.
    label : str
    about : mapping
    """

    network: Network
    data: Split
    place: str
    label: str
    about: Mapping[str, Any]


def null_runs(
    network: Network, data: Split, null: Null, config: Config, label: str, bundle: DataBundle | None = None
) -> Iterator[NullRun]:
    """Yield the nulls of a network one by one; each must be recorded before the next is asked for.

    Parameters
    ----------
    network : Network
        The trained one; it is as it was whenever a null is done with.
    data : Split
    null : Null
    config : Config
        Of the network.  Its seed decides the nulls' seeds, 1000 (seed + 1) + k, which no
        training of seeds below 1000 shares.
    label : str
        Of the network, e.g. ``"trained"``; a null is called ``"trained, reinit 1"``.
    bundle : DataBundle, optional
        What the network was trained on, if its configuration does not name it.
    """
    choose(null.kind, NULLS, "null")
    device = next(network.parameters()).device
    for k in range(1, null.count + 1):
        seed = 1000 * (config.seed + 1) + k
        about = {"kind": null.kind, "index": k, "seed": seed}
        shown = ShuffledInputs(data, seed) if null.kind == "shuffle-inputs" else data
        run = initialise(config, seed, data=bundle).to(device) if null.kind == "reinit" else network
        with shuffled_weights(run, seed) if null.kind == "shuffle-weights" else nullcontext():
            yield NullRun(run, shown, f"{null.kind}-{k}", f"{label}, {null.kind} {k}", about)


def record_nulls(
    network: Network,
    data: Split,
    path: str | Path,
    null: Null,
    spec: RecordingSpec,
    *,
    config: Config,
    label: str = "network",
    bundle: DataBundle | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Path]:
    """Record nulls of a network: the same samples, neurons and steps, one recording per null.

    Parameters
    ----------
    network, data, null, config, label, bundle
        As of :func:`null_runs`; `data` is the split named by the spec.
    path : str or Path
        Directory; the recordings ``<kind>-1``, ``<kind>-2``, ... are made in it.
    spec : RecordingSpec
        That of the recording which is to be compared.
    overwrite : bool
        Whether an earlier result at `path` may be deleted.
    progress : callable, optional
        Called with (nulls done, nulls in all, message).
    """
    made: list[Path] = []
    settings = config.model_dump(mode="json")
    with claimed(Path(path), overwrite=overwrite) as directory:
        for run in null_runs(network, data, null, config, label, bundle):
            place = directory / run.place
            made.append(
                record_network(run.network, run.data, place, spec, config=settings, label=run.label, null=run.about)
            )
            if progress:
                progress(len(made), null.count, run.label)
    return made
