"""What a design of a lesion study is, and finding designs by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import xarray as xr
from pydantic import BaseModel, ConfigDict

from eiplatform.config import parse_model
from eiplatform.discovery import gather
from eiplatform.errors import ConfigError, choose
from eiplatform.lesions.cells import Cell
from eiplatform.lesions.engine import Engine
from eiplatform.project import project_folder

__all__ = ["Design", "design_from", "design_types"]


class Design(BaseModel):
    """A question about lesions, as data; its name is that of its file, its fields are its parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    question: ClassVar[str] = ""

    def cells(self, engine: Engine) -> list[Cell]:
        """Return the cells, the intact network first; every name is checked against the engine's network.

        Parameters
        ----------
        engine : Engine
        """
        raise NotImplementedError

    def run(self, engine: Engine, progress: Callable[[int, int, str], None] | None = None) -> xr.Dataset:
        """Run the cells; as of :meth:`eiplatform.lesions.engine.Engine.run`."""
        return engine.run(self.cells(engine), progress)


@cache
def _gathered(project: Path | None) -> dict[str, type[Design]]:
    def declared(module: ModuleType) -> list[tuple[str, type[Design]]]:
        own = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]
        name = module.__name__.rpartition(".")[2].replace("_", "-")
        return [(name, kind) for kind in own if issubclass(kind, Design)]

    return gather("designs", declared)


def design_types() -> dict[str, type[Design]]:
    """Return all designs by name: the package's, the project's, those of installed packages."""
    return _gathered(project_folder())


def design_from(data: Mapping[str, Any] | str, where: str = "design") -> tuple[str, Design]:
    """Return a design and its name.

    Parameters
    ----------
    data : mapping or str
        ``design`` and its parameters, or the name alone.
    where : str
        Named in errors.

    Raises
    ------
    UnknownNameError
        For an unknown design.
    ConfigError
        For an unknown or impossible parameter.

    Examples
    --------
    >>> name, design = design_from({"design": "dose-response", "doses": [0.5]})
    >>> name, design.doses
    ('dose-response', (0.5,))
    """
    told = {"design": data} if isinstance(data, str) else dict(data)
    if "design" not in told:
        raise ConfigError(
            "no design is named", where=where, valid=tuple(design_types()), remedy="design: dose-response"
        )
    name = choose(str(told.pop("design")), design_types(), "design", where=where)
    return name, parse_model(design_types()[name], told, where=f"{where}: {name}")
