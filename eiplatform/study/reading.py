"""Finding studies by name, and reading them strictly from YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eiplatform.config import parse_model, read_yaml
from eiplatform.discovery import files_of
from eiplatform.errors import ConfigError, choose
from eiplatform.study.spec import Study

__all__ = ["find_study", "load_study", "study_names"]

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def study_names() -> list[str]:
    """Return the names of the studies that ship, of the project's, and of those of installed packages.

    Examples
    --------
    >>> "balance_emergence" in study_names()
    True
    """
    return sorted(files_of("studies"))


def find_study(name: str) -> Path:
    """Return the file of a study given by its name or its path.

    Raises
    ------
    UnknownNameError
        If it is neither.
    """
    path = Path(name)
    if path.suffix in (".yml", ".yaml") or path.parent != Path():
        if not path.is_file():
            raise ConfigError("this file does not exist", where=name, valid=[*study_names(), "the path of a YAML file"])
        return path
    return files_of("studies")[choose(name, study_names(), "study")]


def load_study(path: str | Path, changes: Mapping[str, Any] | None = None, variant: str | None = None) -> Study:
    """Read a study.

    Parameters
    ----------
    path : str or Path
    changes : mapping, optional
        Values by dotted key, e.g. ``{"axes.seed": [1, 2]}``; the key must exist, or its parent.
    variant : str, optional
        One of the study's variants, whose changes come first.

    Raises
    ------
    ConfigError
        One line: the dotted key, what is wrong, what is valid.
    """
    path = Path(path)
    data = read_yaml(path)
    if variant is not None:
        held = data.get("variants") or {}
        for key, value in held[choose(variant, held, "variant", where=str(path))].items():
            _set(data, key, value, f"variants.{variant}: {key} ({path})")
    for key, value in (changes or {}).items():
        _set(data, key, value, f"{key}, changed in {path}")
    for reserved in ("name", "file"):
        if reserved in data:
            known = "title, question, axes, constants, variants, steps"
            raise ConfigError(f"unknown key '{reserved}'", where=str(path), valid=known)
    study = parse_model(Study, data | {"name": path.stem, "file": str(path.resolve())}, where=str(path))
    for name in (*study.axes, *study.constants, *study.steps):
        if not _NAME.fullmatch(name) or name in ("figures", "results"):
            raise ConfigError(
                f"'{name}' cannot name an axis, a constant or a step",
                where=str(path),
                valid="small letters, digits and _, a letter first; not figures or results, which are folders",
            )
    if both := sorted(set(study.axes) & set(study.constants)):
        raise ConfigError(f"'{both[0]}' names an axis and a constant", where=str(path), remedy="rename one of them")
    return study


def _set(data: dict[str, Any], key: str, value: Any, where: str) -> None:
    parts = key.split(".")
    branch: Any = data
    for index, part in enumerate(parts[:-1]):
        if not isinstance(branch.get(part), dict):
            raise ConfigError(
                f"'{'.'.join(parts[: index + 1])}' is not in the study or holds no keys",
                where=where,
                valid=[str(name) for name, held in branch.items() if isinstance(held, dict)],
            )
        branch = branch[part]
    branch[parts[-1]] = value
