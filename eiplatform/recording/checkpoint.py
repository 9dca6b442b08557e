"""From a checkpoint to what a recording needs: the network, its configuration, its images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eiplatform.config import Config
from eiplatform.datasets import DataBundle, Split, open_dataset, split_validation
from eiplatform.errors import ConfigError
from eiplatform.networks import Network
from eiplatform.networks import load as load_network
from eiplatform.training.files import BEST
from eiplatform.training.finished import check_finished

__all__ = ["open_checkpoint", "shown_to", "split_of"]


def split_of(config: Config, name: str, data: DataBundle | None = None) -> Split:
    """Return the split ``train``, ``validation`` or ``test`` that a configuration trains with.

    The validation split is the one that training held out, hence decided by the seed.

    Parameters
    ----------
    config : Config
    name : str
    data : DataBundle, optional
        Own data; default: the data set that the configuration names.
    """
    data = data or open_dataset(config)
    if name == "test":
        found = data.test
    else:
        train, validation = split_validation(data.train, config.dataset.validation, config.seed)
        found = train if name == "train" else validation
    found.name = found.name or data.info.name
    return found


def open_checkpoint(
    path: str | Path,
    split: str,
    *,
    unfinished: bool = False,
    dataset: str | None = None,
    root: Path | None = None,
    download: bool = False,
) -> tuple[Network, Config, Split]:
    """Load a checkpoint and the images to show it.

    Parameters
    ----------
    path : str or Path
        A ``.safetensors`` file, or the directory of a training run (its best epoch).
    split : {"train", "validation", "test"}
    unfinished : bool
        Take the checkpoint of a training that was interrupted or aborted.
    dataset : str, optional
        Show another data set than the one that the network was trained on.
    root : Path, optional
        Folder with the data sets' files.
    download : bool
        Get files that are missing there from their source.

    Raises
    ------
    CheckpointError
        If the checkpoint is missing or damaged.
    TrainingError
        If its training did not come to its end, and `unfinished` is false.
    """
    path = Path(path)
    file = path / BEST if path.is_dir() else path
    if not unfinished:
        check_finished(file)
    network, config = load_network(file)
    return network, config, shown_to(network, config, split, dataset=dataset, root=root, download=download)


def shown_to(
    network: Network,
    config: Config,
    split: str,
    *,
    dataset: str | None = None,
    root: str | Path | None = None,
    download: bool = False,
) -> Split:
    """Return a split of the data that a network was trained on, or of another data set of images of that shape.

    Parameters
    ----------
    network : Network
    config : Config
        Of the network.
    split, dataset, root, download
        As of :func:`open_checkpoint`.

    Raises
    ------
    ConfigError
        If the images have another shape than the network's input.
    """
    part = config.dataset
    place = str(root) if root else part.root
    changed = part.model_copy(
        update={"name": dataset or part.name, "root": place, "download": download or part.download}
    )
    data = split_of(config.model_copy(update={"dataset": changed}), split)
    shape = data.take(np.arange(1)).images.shape[2 if data.sequence else 1 :]
    if shape != tuple(network.input_shape):
        raise ConfigError(
            f"the network takes inputs of shape {tuple(network.input_shape)}, those of '{changed.name}' have {shape}",
            where="dataset",
            remedy="name the data set that it was trained on: dataset=...",
        )
    return data
