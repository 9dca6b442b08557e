"""Recovery from lesions by fine-tuning, against the intact network fine-tuned as long."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from eiplatform.errors import ConfigError
from eiplatform.interventions import Scale
from eiplatform.lesions.cells import Cell
from eiplatform.lesions.design_kinds import Design
from eiplatform.lesions.engine import Engine
from eiplatform.lesions.recovery import recovered
from eiplatform.recording.checkpoint import split_of

__all__ = ["Recovery"]


class Recovery(Design):
    """Fine-tune lesioned networks with the lesion in force, on the training images.

    Attributes
    ----------
    pathway, layers : str
    doses : tuple of float
    iterations : tuple of int
        When to measure; the first is 0, the lesion itself.
    learning_rate : float
        In units of that of the training.
    batch_size, seed : int
    """

    question: ClassVar[str] = "How fast do accuracy and balance return after a lesion?"
    pathway: str = "I->E subtractive"
    layers: str = "*"
    doses: tuple[float, ...] = Field((0.2,), min_length=1)
    iterations: tuple[int, ...] = (0, 1, 2, 5, 10, 20, 50, 100)
    learning_rate: float = Field(1.0, gt=0)
    batch_size: int = Field(64, ge=1)
    seed: int = 1

    def cells(self, engine: Engine) -> list[Cell]:
        """Return the lesions before any fine-tuning."""
        found = [Cell((), {"role": "intact", "dose": 0.0, "iteration": 0})]
        for dose in self.doses:
            lesion = Scale(self.pathway, round(1 - dose, 12), layers=self.layers)
            lesion.places(engine.network)
            about = {"role": "lesion", "pathway": self.pathway, "layers": self.layers, "dose": dose, "iteration": 0}
            found.append(Cell((lesion,), about))
        return found

    def run(self, engine: Engine, progress: Callable[[int, int, str], None] | None = None) -> xr.Dataset:
        """Return the intact network, and every lesioned and intact network after every number of iterations."""
        config = engine.network.config
        if config is None:
            raise ConfigError("the network does not carry its configuration", where="recovery", valid="one of ei.train")
        intact, *lesions = self.cells(engine)
        parts = [engine.run([intact, *lesions]).isel(cell=[0])]
        for cell in lesions:
            learnt = recovered(
                engine.network,
                cell.interventions,
                split_of(config, "train"),
                engine.data,
                engine.plan.spec,
                iterations=self.iterations,
                learning_rate=self.learning_rate,
                batch_size=self.batch_size,
                seed=self.seed,
                progress=progress,
            )
            n = learnt.sizes["cell"]
            same = {key: ("cell", [cell.about[key]] * n) for key in ("pathway", "layers", "dose")}
            roles = np.where(learnt["role"].values == "intact", "tuned", "lesion")
            parts.append(learnt.assign_coords(same | {"role": ("cell", roles)}))
        parts[0] = parts[0].assign_coords(pathway=("cell", [""]), layers=("cell", [""]))
        return xr.concat(parts, dim="cell", join="exact", data_vars="minimal", coords="minimal")
