"""Recording a network while it is trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from eiplatform.datasets import Split
from eiplatform.errors import ConfigError
from eiplatform.files import read_json, write_json
from eiplatform.recording.network import record_network
from eiplatform.recording.plan import Recordable
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store.series import SERIES

__all__ = ["TrainingRecorder"]


class TrainingRecorder:
    """Records at chosen moments; an observer for :func:`eiplatform.training.fit`.

    Training is not changed by it, not even in the last bit, and a moment that is recorded
    already (by a run that was interrupted and resumed) is not recorded again.

    Parameters
    ----------
    path : Path
        Directory of the series; :func:`eiplatform.open` gives all moments with a dimension ``step``.
    data : Split
        What the spec's split names.
    spec : RecordingSpec
    epochs : iterable of float
        After how many epochs; 0 is the untrained network, 0.5 the middle of the first epoch.
    iterations : iterable of int
        After how many iterations, beside the epochs.
    config : mapping
        The configuration of the training, for the manifests.

    Raises
    ------
    ConfigError
        If a moment is negative, or there is none, or the test split is asked for.
    """

    def __init__(
        self,
        path: Path,
        data: Split,
        spec: RecordingSpec,
        *,
        epochs: Iterable[float] = (),
        iterations: Iterable[int] = (),
        config: Mapping[str, Any],
    ) -> None:
        self._path, self._data, self._spec, self._config = path, data, spec, config
        self._epochs, self._iterations = tuple(epochs), tuple(iterations)
        if spec.split == "test":
            raise ConfigError(
                "the test images are kept for the end of training",
                where="what to record while training",
                remedy="set split: validation (or train) in the spec",
            )
        moments = (*self._epochs, *self._iterations)
        if not moments or min(moments) < 0:
            raise ConfigError(f"cannot record after {moments} epochs", where="moments to record", valid="0 or more")

    def __call__(self, network: Recordable, iteration: int, per_epoch: int) -> None:
        """Record if this is one of the moments."""
        wanted = {round(epoch * per_epoch) for epoch in self._epochs} | set(self._iterations)
        if iteration not in wanted:
            return
        self._path.mkdir(parents=True, exist_ok=True)
        write_json(self._path / SERIES, {"format": "eiplatform-series", "iterations_per_epoch": per_epoch})
        place = self._path / f"step-{iteration:08d}"
        manifest = place / "manifest.json"
        if manifest.is_file() and read_json(manifest).get("status") == "complete":
            return
        label = f"epoch {iteration / per_epoch:g}"
        record_network(network, self._data, place, self._spec, config=self._config, label=label, overwrite=True)
