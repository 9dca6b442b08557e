"""Data set and optimisation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from eiplatform.config.base import Frozen, Positive, check_applies

__all__ = ["DatasetConfig", "TrainingConfig"]


class DatasetConfig(Frozen):
    """Which images, how many of the training images validate, and how training varies them."""

    name: str = "digits"
    validation: float = Field(0.1, gt=0, lt=1, description="part of the training split kept for validation")
    root: str | None = Field(None, description="folder with the data sets' files")
    download: bool = Field(False, description="get missing files from their source")
    augment: tuple[Literal["crop", "flip", "cutout"], ...] = Field((), description="applied in this order")
    crop_padding: int = Field(4, ge=1, description="pixels of zeros around an image before its random crop")
    cutout_size: int = Field(8, ge=1, description="side of the square that cutout sets to zero, in pixels")
    bins: Literal["number", "time"] = Field(
        "number", description="frames of event data hold equally many events, or last equally long"
    )

    @model_validator(mode="after")
    def _augment_once(self) -> DatasetConfig:
        if len(set(self.augment)) < len(self.augment):
            raise ValueError(f"augment names something twice: {', '.join(self.augment)}")
        return self


class TrainingConfig(Frozen):
    """Optimisation; defaults of arXiv 2509.23253."""

    epochs: int = Field(300, ge=1)
    start: str | None = Field(None, description="checkpoint whose weights training begins with, in place of E-I Init")
    start_sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="of that file; checked if given, else filled in"
    )
    batch_size: int = Field(128, ge=2)
    optimiser: Literal["sgd", "adamw", "adam"] = "sgd"
    learning_rate: float = Field(2e-3, gt=0)
    warmup_epochs: int = Field(10, ge=0, description="epochs of linear rise of the learning rate")
    warmup_from: float = Field(1e-7, ge=0, description="learning rate at the start of the rise")
    schedule: Literal["cosine", "constant", "step"] = "cosine"
    milestones: tuple[Positive, ...] = Field((), description="of step: epochs after which the learning rate falls")
    decay_epochs: int | None = Field(
        None, ge=1, description="of step, in place of milestones: it falls again each time after this many epochs"
    )
    decay: float = Field(0.1, gt=0, le=1, description="of step: factor by which it falls")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: float = Field(5e-4, ge=0, description="L2 on all parameters (sgd, adam), decoupled (adamw)")
    centre_gradients: bool = Field(
        False, description="subtract from the gradient of each neuron's weights their mean (gradient centralization)"
    )
    clip: float = Field(
        0.0, ge=0, description="greatest norm of the gradient over all parameters, which is shortened to it; 0: none"
    )
    average: float = Field(
        0.0, ge=0, lt=1, description="decay per step of the average of the weights that is validated and kept; 0: none"
    )
    loss: Literal["cross-entropy", "mse"] = Field("cross-entropy", description="mse: to one-hot labels")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="of cross-entropy")
    balance: float = Field(0.0, ge=0, description="weight of the loss that balances positive and negative potentials")
    trained: Literal["all", "weights", "thresholds"] = Field("all", description="what learns, of neuron model stl")
    accumulate: int = Field(1, ge=1, description="parts in which a batch is worked off, to need less memory")
    precision: Literal["float32", "bf16", "auto"] = Field(
        "float32",
        description="bf16: autocast while training; auto: bf16 where the machine has instructions for it, else float32",
    )
    backend: Literal["eager", "compiled", "auto"] = Field(
        "eager",
        description="compiled: faster on a CPU, through a C++ compiler, with other rounding errors; "
        "auto: compiled where it can be",
    )
    tensorboard: bool = Field(False, description="write the metrics for TensorBoard too")
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int | None = Field(
        None, ge=1, description="CPU threads; a fixed number makes runs equal on machines with more or fewer cores"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> TrainingConfig:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs ({self.warmup_epochs}) must be less than epochs ({self.epochs}): set both")
        falls = (self.schedule == "step", bool(self.milestones), self.decay_epochs is not None)
        if falls not in ((False, False, False), (True, True, False), (True, False, True)):
            raise ValueError("schedule step needs either milestones or decay_epochs, and no other schedule has them")
        if self.start_sha256 and not self.start:
            raise ValueError("start_sha256 is of the checkpoint that start names, and there is none")
        if self.accumulate > self.batch_size:
            raise ValueError(f"accumulate ({self.accumulate}) must not exceed batch_size ({self.batch_size})")
        if self.backend == "compiled" and self.device != "cpu":
            raise ValueError(f"the compiled backend is for device cpu, not {self.device}")
        applies = {
            "label_smoothing": self.loss == "cross-entropy",
            "decay": self.schedule == "step",
        }
        check_applies(self, applies, f"loss {self.loss} and schedule {self.schedule}")
        return self
