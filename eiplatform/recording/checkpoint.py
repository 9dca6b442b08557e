"""From a checkpoint to what a recording needs: the network, its configuration, its images."""

from __future__ import annotations

from pathlib import Path

from eiplatform.config import Config
from eiplatform.datasets import Split, open_dataset, split_validation
from eiplatform.snn import Network
from eiplatform.snn import load as load_network

__all__ = ["open_checkpoint", "split_of"]


def split_of(config: Config, name: str) -> Split:
    """Return the split ``train``, ``validation`` or ``test`` that a configuration trains with.

    The validation split is the one that training held out, hence decided by the seed.
    """
    data = open_dataset(config)
    if name == "test":
        return data.test
    train, validation = split_validation(data.train, config.dataset.validation, config.seed)
    return train if name == "train" else validation


def open_checkpoint(path: str | Path, split: str) -> tuple[Network, Config, Split]:
    """Load a checkpoint and the images to show it.

    Parameters
    ----------
    path : str or Path
        A ``.safetensors`` file, or the directory of a training run (its best epoch).
    split : {"train", "validation", "test"}

    Raises
    ------
    CheckpointError
        If the checkpoint is missing or damaged.
    """
    path = Path(path)
    network, config = load_network(path / "best.safetensors" if path.is_dir() else path)
    return network, config, split_of(config, split)
