"""Whether a checkpoint is of a training that came to its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eiplatform.errors import TrainingError
from eiplatform.files import read_json, write_bytes
from eiplatform.networks.checkpoint import CheckpointError, read_tensors

__all__ = ["ABORTED", "check_finished", "mark_aborted", "why_unfinished"]

ABORTED = "aborted.json"
"""Says why a training ended early; a training that was killed leaves none, and no result either."""


def mark_aborted(out: Path, error: BaseException, epoch: int) -> None:
    """Write down that, when and why a training ended early."""
    told: dict[str, Any] = {
        "kind": type(error).__name__,
        "why": str(error).rstrip(".") or type(error).__name__,
        "epoch": epoch,
    }
    write_bytes(out / ABORTED, (json.dumps(told, indent=2) + "\n").encode())


def why_unfinished(path: Path) -> str | None:
    """Return why the training that a checkpoint belongs to did not come to its end; None if it did.

    Parameters
    ----------
    path : Path
        A checkpoint.  The untrained network of a run, and what was imported, belong to no training.

    Raises
    ------
    CheckpointError
        If there is none, or it is damaged.
    """
    from eiplatform.training.files import CONFIG, METRICS, RESULT

    run = path.parent
    in_run = (run / CONFIG).is_file() and (run / METRICS).is_file()
    info = read_tensors(path, "network")[1].get("info", {})
    if not isinstance(info, dict):
        raise CheckpointError("the description inside is garbled: info", where=str(path))
    finished = info.get("finished")
    if finished is None:  # untrained, imported, or written by an earlier version, which left no mark
        finished = not in_run or info.get("epoch") == 0 or (run / RESULT).is_file()
    if finished:
        return None
    if in_run and (run / ABORTED).is_file():
        return _told(run / ABORTED)
    return f"after epoch {info.get('epoch', '?')}: it was interrupted, or is still running"


def _told(mark: Path) -> str:
    """Return when and why a training was aborted, from its mark."""
    told = read_json(mark)
    return f"after epoch {told.get('epoch', '?')}: {told.get('why', 'it is not known why')}"


def check_finished(path: Path) -> None:
    """Raise if a checkpoint is of a training that did not finish.

    Raises
    ------
    TrainingError
        Saying why the training ended.
    CheckpointError
        If the checkpoint is missing or damaged.
    """
    if not path.is_file() and (path.parent / ABORTED).is_file():
        raise CheckpointError(
            f"this training left no such checkpoint, it was aborted {_told(path.parent / ABORTED)}",
            where=str(path),
        )
    if why := why_unfinished(path):
        raise TrainingError(
            f"this training did not finish; it stopped {why}",
            where=str(path),
            remedy=("finish it with 'eiplatform train --resume'", "pass unfinished=True to take it as it is"),
        )
