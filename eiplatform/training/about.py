"""What a checkpoint holds, and whether its weights are those that were written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eiplatform.earlier import current
from eiplatform.networks.checkpoint import CheckpointError, read_tensors, tensors_hash
from eiplatform.training.files import BEST, CONFIG
from eiplatform.training.finished import why_unfinished

__all__ = ["CheckpointFacts", "checkpoint_at", "describe_checkpoint"]


@dataclass(frozen=True)
class CheckpointFacts:
    """A checkpoint in a few facts.

    Attributes
    ----------
    path, architecture, layer : str
    parameters : int
        Numbers in it, buffers included.
    input_shape : tuple of int
    n_classes : int
    dataset : str
        What it was trained on.
    data_sha256 : str or None
        Of the training images, labels and ids; None: the checkpoint does not say.
    weights_sha256 : str
        Of what the file holds; the manifest of a recording has the same (``source.weights``).
    checksum : {"verified", "none"}
        none: written by a version that stored no checksum, so that damage cannot be noticed.
    epoch : int or None
    unfinished : str or None
        Why its training did not come to its end.
    config_hash : str
    """

    path: str
    architecture: str
    layer: str
    parameters: int
    input_shape: tuple[int, ...]
    n_classes: int
    dataset: str
    data_sha256: str | None
    weights_sha256: str
    checksum: str
    epoch: int | None
    unfinished: str | None
    config_hash: str

    def lines(self) -> list[str]:
        """Return the facts as text."""
        shape = " x ".join(map(str, self.input_shape))
        data = "of unknown content" if self.data_sha256 is None else f"sha256 {self.data_sha256[:16]}"
        checked = {
            "verified": "which is what was written",
            "none": "not checked: the file is of a version that stored no checksum",
        }[self.checksum]
        when = "" if self.epoch is None else f", after epoch {self.epoch}"
        lines = [
            f"{self.path}: checkpoint, {self.architecture}, layers {self.layer}, {self.parameters:,} numbers{when}",
            f"input {shape}, {self.n_classes} classes, trained on {self.dataset} ({data})",
            f"weights sha256 {self.weights_sha256[:16]}, {checked}; configuration {self.config_hash[:12]}",
        ]
        return [*lines, f"UNFINISHED: its training stopped {self.unfinished}"] if self.unfinished else lines


def checkpoint_at(path: Path) -> Path | None:
    """Return the checkpoint that a path names: a file, or the best one of a training run; None if it is neither."""
    if path.suffix == ".safetensors" and path.is_file():
        return path
    return path / BEST if (path / CONFIG).is_file() and (path / BEST).is_file() else None


def describe_checkpoint(path: Path) -> CheckpointFacts:
    """Return what a checkpoint holds.

    Raises
    ------
    CheckpointError
        If it is missing, damaged, or not what its checksum says.
    """
    tensors, meta = read_tensors(path, "network")
    info = meta.get("info", {})
    try:
        config, data = current(meta["config"]), info.get("data", {})
        network = config["network"]
        return CheckpointFacts(
            path=str(path),
            architecture=network["architecture"],
            layer=network["layer"],
            parameters=sum(tensor.numel() for tensor in tensors.values()),
            input_shape=tuple(meta["input_shape"]),
            n_classes=meta["n_classes"],
            dataset=data.get("name", config["dataset"]["name"]),
            data_sha256=data.get("sha256"),
            weights_sha256=tensors_hash(tensors),
            checksum="verified" if "weights_sha256" in meta else "none",
            epoch=info.get("epoch"),
            unfinished=why_unfinished(path),
            config_hash=meta["config_hash"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"the description inside lacks or garbles {error}", where=str(path)) from None
