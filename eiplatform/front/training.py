"""Training in Python: ``train`` and ``load``, and the ``Run`` that they give."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from eiplatform.config import Config, parse_config, parse_model, read_yaml
from eiplatform.datasets import DataBundle
from eiplatform.datasets.arrays import OWN_DATA, bundle_of
from eiplatform.discovery import files_of
from eiplatform.errors import ConfigError, choose
from eiplatform.files import claimed, read_json
from eiplatform.metrics import read_metrics
from eiplatform.networks import Network
from eiplatform.networks import load as load_checkpoint
from eiplatform.progress import stage
from eiplatform.recording.checkpoint import split_of
from eiplatform.recording.series import TrainingRecorder
from eiplatform.recording.spec import RecordingSpec
from eiplatform.training import fit
from eiplatform.training.files import BEST, LAST, METRICS, RESULT, UNTRAINED
from eiplatform.training.finished import check_finished
from eiplatform.training.machine import settle
from eiplatform.training.start import with_start_hash

__all__ = ["Run", "config_of", "data_of", "load", "settings_of", "train"]

_DATA: weakref.WeakKeyDictionary[torch.nn.Module, DataBundle] = weakref.WeakKeyDictionary()
"""Data that networks of this process were trained on, which are in no registry."""


class Run:
    """A training: its networks, configuration, history and files.

    Attributes
    ----------
    path : Path
        Directory of the checkpoints and metrics.
    """

    def __init__(self, path: Path, data: DataBundle | None = None, checkpoint: str = BEST) -> None:
        self.path = path
        self._data, self._checkpoint = data, checkpoint

    @cached_property
    def network(self) -> Network:
        """The network of the epoch that was best on the validation images."""
        return self._load(self._checkpoint)

    @property
    def untrained(self) -> Network:
        """The network as it was initialised, a new copy each time."""
        return self._load(UNTRAINED)

    @property
    def last(self) -> Network:
        """The network after the last epoch, a new copy each time."""
        return self._load(LAST)

    @property
    def config(self) -> Config:
        """The configuration, with everything that was left open filled in."""
        assert self.network.config is not None
        return self.network.config

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row per epoch, epoch 0 untrained: loss, accuracies, learning rate, and rates of the layers."""
        if not (self.path / METRICS).is_file():
            raise ConfigError("a single checkpoint has no history", where=str(self.path))
        return pd.json_normalize(read_metrics(self.path / METRICS), sep="/")

    @property
    def test_accuracy(self) -> float:
        """Share of the test images that `network` answers rightly."""
        return float(self._result["test_accuracy"])

    @property
    def best_epoch(self) -> int:
        """The epoch of `network`."""
        return int(self._result["best_epoch"])

    def save(self, path: str | Path, *, overwrite: bool = False) -> Run:
        """Copy the files to a directory of your own; return the training there.

        Parameters
        ----------
        path : str or Path
        overwrite : bool
            Whether an earlier result of eiplatform there may be deleted.
        """
        if self.path.is_file():
            raise ConfigError("this is a checkpoint, not a training", where=str(self.path), remedy="copy the file")
        with claimed(Path(path), overwrite=overwrite) as folder:
            for file in self.path.iterdir():
                if file.name != ".eiplatform":
                    (shutil.copytree if file.is_dir() else shutil.copy2)(file, folder / file.name)
        return Run(Path(path), self._data)

    def __repr__(self) -> str:
        part = self.config
        head = f"Run: {part.network.architecture}, {part.network.layer} layers, trained on {part.dataset.name}"
        lines = [f"{head}, seed {part.seed}"]
        if (self.path / RESULT).is_file():
            epochs = self._result["epochs"]
            lines.append(f"test accuracy {100 * self.test_accuracy:.2f} % (best of {epochs} epochs: {self.best_epoch})")
        elif self.path.is_dir():
            lines.append("UNFINISHED: this training did not finish")
        sizes = {name: layer.n_neurons for name, layer in self.network.populations().items()}
        lines.append("neurons: " + ", ".join(f"{name} {n}" for name, n in sizes.items()))
        return "\n  ".join([*lines, f"files: {self.path}"])

    @cached_property
    def _result(self) -> dict[str, Any]:
        return read_json(self.path / RESULT)

    def _load(self, name: str) -> Network:
        file = self.path if self.path.is_file() else self.path / name
        if self.path.is_file() and name != self._checkpoint:
            raise ConfigError("a single checkpoint has one network", where=str(self.path), remedy="use .network")
        network, _ = load_checkpoint(file)
        if self._data is not None:
            _DATA[network] = self._data
        return network


def train(
    config: str | Path | Config | None = None,
    data: Any = None,
    *,
    path: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    record: str | Path | Mapping[str, Any] | None = None,
    record_epochs: Sequence[float] | None = None,
    data_root: str | Path | None = None,
    download: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Train a network; the test images are read once, at the end.

    Parameters
    ----------
    config : str, Path or Config, optional
        Name of a configuration (``ei.list("configs")``), a YAML file, or a configuration.  May be left out with
        `data`, or with ``dataset={"name": ...}``: the other settings are then the defaults.
    data : tuple, torch Dataset, path, optional
        Own data in place of the configured ones: ``(images, labels)``, ``(train, test)``, a torch ``Dataset`` or an
        ``.npz`` file.  Images: floats in [0, 1] or uint8, shape (n, channels, rows, columns), (n, rows, columns)
        or (n, features).  Without a test part a fifth of every class is kept for the test.
    path : str or Path, optional
        Directory for checkpoints and metrics; default: a temporary one that is deleted when Python ends.
    resume : bool
        Continue an interrupted training in `path`.
    overwrite : bool
        Replace an earlier training in `path`.
    record : mapping or path, optional
        What to record while training, as of :func:`eiplatform.record` (or a YAML file with it), into the folder
        ``recording`` of `path`; of the validation images unless it says ``split="train"``.
    record_epochs : sequence of float, optional
        After how many epochs; default: 0 and every epoch; 0.5 is the middle of the first.
    data_root : path, optional
        Folder with the data sets' files.
    download : bool
        Get files that are missing there from their source.
    quiet : bool
        Show no progress.
    **settings
        Changes to the configuration: ``seed=2``, ``training={"epochs": 3}`` or ``**{"training.epochs": 3}``.

    Returns
    -------
    Run
        With ``.network``, ``.untrained``, ``.config``, ``.history`` and ``.path``.

    Raises
    ------
    UnknownNameError
        If no configuration or data set has that name.
    ConfigError
        If neither a configuration nor data are given; for an unknown setting, an
        impossible value, or data that do not fit.
    TrainingError
        If the training becomes meaningless.

    Examples
    --------
    >>> import eiplatform as ei
    >>> run = ei.train("digits-mlp", quiet=True, network={"hidden": [16]}, training={"epochs": 1, "warmup_epochs": 0})
    >>> run.config.network.hidden, list(run.history["epoch"])
    ((16,), [0, 1])
    """
    if config is None and data is None and _named(settings) is None:
        raise ConfigError(
            "no configuration and no data were given",
            where="train",
            valid=f"a configuration: {', '.join(files_of('configs'))}; or data=(images, labels)",
            remedy='give a name, e.g. ei.train("digits-mlp"), or own data',
        )
    if path is None and (resume or record is not None):
        what = "nothing can be resumed without a path" if resume else "recordings made while training need a path"
        raise ConfigError(what, where="train", remedy="path=...")
    chosen = settings_of(config, settings, path=path, resume=resume, data_root=data_root, download=download)
    bundle = None if data is None else bundle_of(data, _name_of(settings))
    place = Path(tempfile.mkdtemp(prefix="eiplatform-run-")) if path is None else Path(path)
    observe = None if record is None else _recorder(chosen, bundle, place, record, record_epochs)
    about: dict[str, Any] = {"data": bundle, "resume": resume, "overwrite": overwrite, "observe": observe}
    with stage("training", quiet=quiet) as update:
        fit(chosen, place, **about, progress=update)
    run = Run(place, bundle)
    if path is None:
        weakref.finalize(run, shutil.rmtree, place, ignore_errors=True)
    return run


def load(path: str | Path, *, unfinished: bool = False) -> Run:
    """Open a training, or a single checkpoint.

    Parameters
    ----------
    path : str or Path
        Directory made by :func:`train`, or a ``.safetensors`` file.
    unfinished : bool
        Accept a training that was interrupted or aborted.

    Returns
    -------
    Run

    Raises
    ------
    CheckpointError
        If the checkpoint is missing or damaged.
    TrainingError
        If the training did not come to its end, and `unfinished` is false.
    """
    path = Path(path)
    run = Run(path)
    if not unfinished:
        check_finished(path / BEST if path.is_dir() else path)
    run.network  # noqa: B018 - says what is wrong with the checkpoint now
    return run


def settings_of(
    config: str | Path | Config | None,
    settings: Mapping[str, Any],
    *,
    path: str | Path | None = None,
    resume: bool = False,
    data_root: str | Path | None = None,
    download: bool = False,
) -> Config:
    """Return the configuration of a training, with everything that was left open filled in.

    Parameters
    ----------
    config, settings, path, resume, data_root, download
        As of :func:`train`.
    """
    changes = dict(settings)
    changes |= {} if data_root is None else {"dataset.root": str(data_root)}
    changes |= {"dataset.download": True} if download else {}
    return settle(with_start_hash(config_of(config, changes)), Path(path) if path is not None and resume else None)


def _recorder(
    config: Config,
    data: DataBundle | None,
    place: Path,
    record: str | Path | Mapping[str, Any],
    epochs: Sequence[float] | None,
) -> TrainingRecorder:
    """Return what records the network while it is trained."""
    given = dict(record) if isinstance(record, Mapping) else read_yaml(record)
    spec = parse_model(RecordingSpec, {"split": "validation", **given}, where=str(record))
    return TrainingRecorder(
        place / "recording",
        split_of(config, spec.split, data),
        spec,
        epochs=epochs or range(config.training.epochs + 1),
        config=config.model_dump(mode="json"),
    )


def config_of(config: str | Path | Config | None, settings: Mapping[str, Any]) -> Config:
    """Return a configuration by name, from a file, or as it is, with some changes.

    Parameters
    ----------
    config : str, Path, Config or None
    settings : mapping
        Nested, or with dotted keys.
    """
    where = "configuration"
    if config is None:
        fields: dict[str, Any] = {}
    elif isinstance(config, Config):
        fields = config.model_dump(mode="json", exclude_unset=True)
    else:
        found = _file_of(config)
        fields, where = read_yaml(found), str(found)
    for key, value in settings.items():
        _change(fields, key.split("."), value, f"{where}: {key}")
    return parse_config(fields, where=where)


def _file_of(config: str | Path) -> Path:
    """Return the file of a configuration: a name that ships or that the project has, or a path."""
    path = Path(config)
    if isinstance(config, Path) or path.suffix in (".yml", ".yaml") or len(path.parts) > 1:
        return path
    known = files_of("configs")
    if config not in known and path.is_file():
        return path
    return known[choose(config, known, "configuration")]


def _change(fields: dict[str, Any], keys: list[str], value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        if not value:
            return
        for key, inner in value.items():
            _change(fields, [*keys, *str(key).split(".")], inner, where)
        return
    for key in keys[:-1]:
        fields = fields.setdefault(key, {})
        if not isinstance(fields, dict):
            raise ConfigError(f"'{key}' has no keys of its own", where=where)
    fields[keys[-1]] = value


def _name_of(settings: Mapping[str, Any]) -> str:
    """Return how own data are called: as the settings say, never as a data set that they are not."""
    return _named(settings) or OWN_DATA


def _named(settings: Mapping[str, Any]) -> str | None:
    """Return the data set that the settings name, if any."""
    named = settings.get("dataset.name") or (settings.get("dataset") or {}).get("name")
    return str(named) if named else None


def data_of(network: torch.nn.Module) -> DataBundle | None:
    """Return the own data that a network of this process was trained on, if any."""
    return _DATA.get(network)
