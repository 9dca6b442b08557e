"""What a training run says of every epoch, as it is read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from eiplatform.errors import EIPlatformError, StoreError
from eiplatform.untrusted import checked, parse_json, read_text

__all__ = ["Metrics", "checked_metrics", "read_metrics"]

Metrics = list[dict[str, Any]]


class _Read(BaseModel):
    """What is needed to show an epoch; the rest may be missing, as older versions did not write it."""

    model_config = ConfigDict(strict=True, extra="allow")

    epoch: int = Field(ge=0)
    loss: float | None
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float
    learning_rate: float | None = None
    rates: dict[str, float]
    silent: dict[str, float]
    warnings: list[str] = []
    seconds: float = 0.0


class _Line(_Read):
    """What is needed to go on from an epoch."""

    learning_rate: float | None
    warnings: list[str]
    seconds: float


class _ReadLines(BaseModel):
    model_config = ConfigDict(strict=True)

    lines: list[_Read] = Field(min_length=1)


class _Lines(BaseModel):
    model_config = ConfigDict(strict=True)

    lines: list[_Line] = Field(min_length=1)


def checked_metrics(lines: Any, where: str | Path, error: type[EIPlatformError], *, resume: bool) -> Metrics:
    """Return the lines of all epochs, once their form has been checked.

    Parameters
    ----------
    lines : object
        As they were read.
    where : str or Path
    error : type of EIPlatformError
    resume : bool
        Whether a training goes on from them, for which every value is needed.

    Raises
    ------
    EIPlatformError
        Of the type `error`: if a value is missing or of another type, or epochs or layers differ from line to line.
    """
    checked(_Lines if resume else _ReadLines, {"lines": lines}, where, what="the metrics are damaged", error=error)
    found: Metrics = lines
    for epoch, line in enumerate(found):
        if line["epoch"] != epoch or any(line[key].keys() != found[0]["rates"].keys() for key in ("rates", "silent")):
            raise error(f"the metrics are damaged: epoch {epoch} is missing or of other layers", where=str(where))
    return found


def read_metrics(file: Path) -> Metrics:
    """Read the line of every epoch of a training.

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    lines = [parse_json(line, where=file, nan=True) for line in read_text(file, StoreError).splitlines()]
    return checked_metrics(lines, file, StoreError, resume=False)
