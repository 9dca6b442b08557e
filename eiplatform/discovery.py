"""Where things are found: the package's own folder, the user's project folder, installed packages.

A new statistic, circuit, figure, ... is one file in a folder of that name: ``statistics/mine.py`` in the project
folder (:mod:`eiplatform.project` says which folder that is), or a module that an installed package declares as an
entry point of the group ``eiplatform.statistics``.  Nothing has to be registered anywhere else.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from eiplatform.errors import ConfigError, choose
from eiplatform.project import project_folder

__all__ = ["KINDS", "BrokenFileWarning", "Found", "discovered", "files_of", "gather"]

KINDS: dict[str, str] = {
    "statistics": "statistics/families",
    "analyses": "analyses",
    "figures": "figures",
    "circuits": "microcircuits",
    "layers": "networks/layers",
    "neurons": "networks/neurons",
    "datasets": "datasets",
    "interventions": "interventions",
    "designs": "lesions/designs",
    "studies": "analyses/studies",
    "configs": "analyses/configs",
}
"""Every kind of thing, and its folder in the package; in a project its folder has the name of the kind."""

_PROGRAMS = frozenset({"eiplatform.microcircuits.worker"})
"""Files in these folders that are programs: importing one would run it."""

_OWN = Path(__file__).resolve().parent
_T = TypeVar("_T")


class BrokenFileWarning(UserWarning):
    """A file of a project or an installed package cannot be imported; the others are used."""


@dataclass(frozen=True)
class Found:
    """One file that may hold something of a kind.

    Attributes
    ----------
    kind, name : str
        E.g. ``"statistics"`` and the file's stem, ``"mine"``.
    path : Path
    module : str
        Under which name it is imported; empty for the YAML files of studies and configurations.
    own : bool
        Whether it belongs to eiplatform itself.
    """

    kind: str
    name: str
    path: Path
    module: str
    own: bool

    def load(self) -> ModuleType:
        """Import the file.

        Raises
        ------
        ConfigError
            If a file of a project or of an installed package fails; the message names it.
        """
        if self.own:
            return import_module(self.module)
        try:
            return import_module(self.module)
        except Exception as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            told = " ".join(str(error).split())[:200]
            raise ConfigError(
                f"this file cannot be imported ({type(error).__name__}{line}: {told})",
                where=str(self.path),
                remedy="mend it, or move it out of the folder",
            ) from error


def discovered(kind: str) -> tuple[Found, ...]:
    """Find the files of one kind, without importing them.

    Parameters
    ----------
    kind : str
        A key of :data:`KINDS`.

    Returns
    -------
    tuple of Found
        The package's own first, then the project's, then those of installed packages; each part in the order of
        the names.  Files whose names begin with an underscore are left out.

    Examples
    --------
    >>> [found.name for found in discovered("configs")][:2]
    ['cifar10-alexnet-f', 'cifar10-alexnet-f-spide']
    """
    inner = KINDS[choose(kind, KINDS, "kind of thing")]
    found = _in_folder(kind, _OWN / inner, f"eiplatform.{inner.replace('/', '.')}", own=True)
    project = project_folder()
    if project is not None:
        found += _in_folder(kind, project / kind, f"eiplatform.project.{kind}", own=False)
    for entry in _entries(kind):
        found += _of_entry(kind, entry)
    once = {each.path.resolve(): each for each in reversed(found)}  # a project may be the checkout itself
    return tuple(each for each in found if once[each.path.resolve()] is each)


def gather(kind: str, declared: Callable[[ModuleType], Iterable[tuple[str, _T]]]) -> dict[str, _T]:
    """Import every file of a kind and collect what they declare.

    Parameters
    ----------
    kind : str
        A key of :data:`KINDS`, whose files are Python modules.
    declared : callable
        Returns the names and things that one module declares; nothing for a module of helpers.

    Returns
    -------
    dict
        By name, in the order of :func:`discovered`.

    Raises
    ------
    ConfigError
        If two files declare the same name; the message names both.

    Warns
    -----
    BrokenFileWarning
        Of every file of the project or of an installed package that cannot be imported.
    """
    things: dict[str, _T] = {}
    origin: dict[str, Found] = {}
    for found in discovered(kind):
        try:
            module = found.load()
        except ConfigError as error:
            if not found.own:
                warnings.warn(str(error), BrokenFileWarning, stacklevel=2)
                continue
            raise
        for name, thing in declared(module):
            if things.get(name) is not thing:  # else: one thing, imported by another module
                _once(kind, name, origin, found)
                things[name] = thing
    return things


def files_of(kind: str) -> dict[str, Path]:
    """Return the files of a kind by name, e.g. of configurations.

    Raises
    ------
    ConfigError
        If two files have the same name; the message names both.

    Examples
    --------
    >>> files_of("configs")["digits-mlp"].name
    'digits-mlp.yml'
    """
    origin: dict[str, Found] = {}
    for found in discovered(kind):
        _once(kind, found.name, origin, found)
    return {name: found.path for name, found in origin.items()}


def _once(kind: str, name: str, origin: dict[str, Found], found: Found) -> None:
    if name in origin:
        raise ConfigError(
            f"'{name}' is declared twice, in {origin[name].path} and in {found.path}",
            where=kind,
            remedy="rename one of the two",
        )
    origin[name] = found


def _in_folder(kind: str, folder: Path, package: str, *, own: bool) -> list[Found]:
    data = kind in ("studies", "configs")
    found = []
    for path in sorted(folder.glob("*.yml" if data else "*.py"), key=lambda path: path.stem):
        module = "" if data else f"{package}.{path.stem}"
        if not path.name.startswith(("_", ".")) and module not in _PROGRAMS:
            found.append(Found(kind, path.stem, path, module, own))
    return found


@cache
def _entries(kind: str) -> tuple[EntryPoint, ...]:
    return tuple(sorted(entry_points(group=f"eiplatform.{kind}"), key=lambda entry: (entry.name, entry.value)))


def _of_entry(kind: str, entry: EntryPoint) -> list[Found]:
    """Find the module that an entry point names; of studies and configurations it is a package with YAML files."""
    try:
        spec = find_spec(entry.module)
    except (ImportError, ValueError) as error:
        spec, why = None, f" ({error})"
    else:
        why = ""
    if spec is None or spec.origin is None:
        warnings.warn(
            f"the entry point {entry.name} = {entry.value} (eiplatform.{kind}) names a module that is not there{why}.",
            BrokenFileWarning,
            stacklevel=3,
        )
        return []
    path = Path(spec.origin)
    if kind in ("studies", "configs"):
        return _in_folder(kind, path.parent, entry.module, own=False)
    return [Found(kind, entry.name, path, entry.module, own=False)]
