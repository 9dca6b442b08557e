"""What one iteration shows: the order of samples, each process's part, and how the images are varied."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from eiplatform.config import Config
from eiplatform.datasets import Split
from eiplatform.datasets.encoding import training_spikes
from eiplatform.training.augment import augment, draw
from eiplatform.training.evaluation import shown
from eiplatform.training.parallel import World
from eiplatform.training.schedule import epoch_order

__all__ = ["Batches"]


class Batches:
    """The training batches of an epoch, as functions of (seed, epoch, iteration) alone.

    Parameters
    ----------
    split : Split
        Kept as it is stored; only what is shown becomes float32.
    config : Config
    world : World
    """

    def __init__(self, split: Split, config: Config, world: World) -> None:
        self.split, self.config, self.world = split, config, world
        self.size = config.training.batch_size

    def __len__(self) -> int:
        return -(-len(self.split) // self.size)

    def order(self, epoch: int) -> list[np.ndarray]:
        """Return the samples of every batch of an epoch, for all processes together."""
        order = epoch_order(len(self.split), self.config.seed, epoch)
        return [order[start : start + self.size] for start in range(0, len(order), self.size)]

    def parts(self, index: np.ndarray, epoch: int, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and labels of this process's parts of a batch, one after the other.

        Parameters
        ----------
        index : array of int
            The whole batch's samples.
        epoch, number : int
            Which epoch, and which of its batches.
        """
        draws = draw(len(index), self.config.seed, epoch, number)
        mine = self.world.part(np.arange(len(index)))
        for part in np.array_split(mine, self.config.training.accumulate):
            if not len(part):
                continue
            chosen = index[part]
            stored = torch.from_numpy(self.split.stored_at(chosen)).to(self.world.device)
            varied = augment(stored, draws.take(part), self.config.dataset)
            x = shown(varied, self.split)
            if self.config.network.encoding == "bernoulli":
                trains = training_spikes(
                    x.cpu().numpy(), part, self.config.network.steps, self.config.seed, epoch, number
                )
                x = torch.from_numpy(trains).to(self.world.device)
            yield x, torch.from_numpy(self.split.labels[chosen]).to(self.world.device)
