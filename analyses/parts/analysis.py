"""What an analysis and its result are; finding analyses by name, loading and saving results."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from importlib.util import module_from_spec, spec_from_file_location
from inspect import Parameter, signature
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, get_type_hints

import xarray as xr

from eiplatform.analyses.parts.headlines import Headline, plain
from eiplatform.analyses.parts.inputs import Role, describe_inputs
from eiplatform.analyses.parts.show import as_html, as_text
from eiplatform.analyses.parts.tables import Table
from eiplatform.discovery import discovered
from eiplatform.errors import ConfigError, NotApplicableError, StoreError, choose
from eiplatform.svg import inline_svg

__all__ = ["Analysis", "Result", "analysis_names", "defined", "find_analysis", "load_result", "read_with_care"]

_SEAL, _UNSEALED = "seal", "unsealed"
_GIVEN: dict[str, Analysis] = {}
"""Analyses that were given as a file, by name: their results are read by them as long as this process lives."""


class Analysis:
    """One scientific question, answered from recordings.

    A subclass in a module of its own is an analysis; its name is that of the module.  The signature of :meth:`run`
    declares what it is made from (:class:`~eiplatform.analyses.parts.inputs.Role`) and its options; the command line
    and the studies read it from there.

    Attributes
    ----------
    question : str
        What it answers, as a sentence.
    place : int
        Where its tables and findings stand in a report: smaller is earlier.
    name : str
        Of its module.
    """

    question: ClassVar[str] = ""
    place: ClassVar[int] = 1000

    def __init__(self, name: str = "") -> None:
        self.name = name or type(self).__module__.rpartition(".")[2]

    def run(self, *args: Any, **options: Any) -> Result:
        """Answer the question."""
        raise NotImplementedError

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give the tables of a result; none unless the analysis has some."""
        return ()

    def findings(self, result: xr.Dataset) -> Iterable[str]:
        """Say in sentences what a result shows; nothing unless the analysis has something to say."""
        return ()

    def headlines(self, result: xr.Dataset) -> Iterable[Headline]:
        """Say what belongs on the first screen of a report: the first finding, unless the analysis says better."""
        return [plain(finding) for finding in self.findings(result)][:1]

    def result(self, data: xr.Dataset, recordings: Iterable[xr.DataTree] | None = None, **attrs: Any) -> Result:
        """Return a Dataset as the result of this analysis.

        Parameters
        ----------
        data : xarray.Dataset
        recordings : iterable of DataTree, optional
            What it was made from, which the result names.
        **attrs
            What else it was made with.
        """
        made_from = {} if recordings is None else describe_inputs(recordings)
        return Result(data.assign_attrs({"analysis": self.name} | data.attrs | attrs | made_from))

    @property
    def plots(self) -> list[str]:
        """Names of the figures that draw results of this analysis."""
        return list(figures_of(self.name))

    @property
    def inputs(self) -> dict[str, Role]:
        """What it is made from, by the name of the argument."""
        hints = get_type_hints(type(self).run, include_extras=True)
        roles = {name: next(iter(getattr(hint, "__metadata__", ())), None) for name, hint in hints.items()}
        return {name: role for name, role in roles.items() if isinstance(role, Role)}

    @property
    def options(self) -> dict[str, Parameter]:
        """What else can be chosen, with types and defaults, by name."""
        given = signature(type(self).run, eval_str=True).parameters
        return {
            name: parameter
            for name, parameter in given.items()
            if parameter.kind is Parameter.KEYWORD_ONLY and name not in self.inputs
        }


class Result:
    """The answer of an analysis: its numbers, tables, findings and figures.

    Parameters
    ----------
    data : xarray.Dataset
        With ``attrs["analysis"]``, the name of the analysis.

    Attributes
    ----------
    data : xarray.Dataset
        Every number with its interval, its n, and what was excluded.
    """

    def __init__(self, data: xr.Dataset) -> None:
        self.data = data

    @cached_property
    def analysis(self) -> Analysis:
        """The analysis that made it."""
        return _by_name(str(self.data.attrs.get("analysis")))  # never a file that a result names

    def tables(self) -> list[Table]:
        """Return the tables."""
        with read_with_care(self.data):
            return list(self.analysis.tables(self.data))

    def findings(self) -> list[str]:
        """Return what came out, in sentences that the numbers alone decide."""
        with read_with_care(self.data):
            return list(self.analysis.findings(self.data))

    def headlines(self) -> list[Headline]:
        """Return what belongs on the first screen of a report, with the size of its effect."""
        with read_with_care(self.data):
            return list(self.analysis.headlines(self.data))

    @property
    def plots(self) -> list[str]:
        """Names of the figures for which this result holds something."""
        return [name for name, figure in figures_of(self.analysis.name).items() if _draws(figure, self.data)]

    def plot(self, name: str | None = None, **options: Any) -> Any:
        """Draw a figure of this result.

        Parameters
        ----------
        name : str, optional
            One of :attr:`plots`; default: the first.
        **options
            Of the figure; all take ``ax`` or ``figure``, where to draw.

        Returns
        -------
        matplotlib.figure.Figure or matplotlib.axes.Axes
        """
        plots = self.plots
        if not plots:
            raise NotApplicableError("no figure draws this result", where=self.analysis.name)
        chosen = plots[0] if name is None else choose(name, plots, "figure of this result")
        return figures_of(self.analysis.name)[chosen].draw(self.data, **options)

    def save(self, path: str | Path) -> Path:
        """Write the result as netCDF, atomically; :func:`load_result` reads it."""
        from eiplatform.files import write_bytes
        from eiplatform.seal import BLANK, sealed

        path = Path(path)
        # In memory first: when a disk is full, the HDF5 library crashes the process on closing its file.
        content = self.data.assign_attrs({_SEAL: BLANK}).to_netcdf(engine="h5netcdf")
        write_bytes(path, sealed(bytes(content)))
        return path

    to_netcdf = save

    def __repr__(self) -> str:
        name, question, findings, tables = self._shown()
        return as_text(name, question, findings, tables, self.data)

    def _repr_html_(self) -> str:
        name, question, findings, tables = self._shown()
        headlines, picture = [plain(finding) for finding in findings], ""
        with suppress(Exception):  # a look at an object must not fail
            headlines = self.headlines() or headlines
            if self.plots:
                picture = inline_svg(self.plot(), f"r{id(self)}", alt=name)
        return as_html(name, question, headlines, picture, tables, self.data)

    def _shown(self) -> tuple[str, str, list[str], list[Table]]:
        """Return what is shown first; a result that cannot be read shows its arrays alone."""
        name = str(self.data.attrs.get("analysis"))
        try:
            return name, self.analysis.question, self.findings(), self.tables()
        except Exception:  # a look at an object must not fail
            return name, "", [], []


def analysis_names() -> list[str]:
    """Return the names of all analyses: those that ship, the project's, those of installed packages."""
    return list(dict.fromkeys(found.name for found in discovered("analyses")))


def find_analysis(name: str) -> Analysis:
    """Return an analysis by its name, or by the path of the file that holds it.

    Parameters
    ----------
    name : str
        E.g. ``"balance"`` or ``"./mine.py"``.

    Raises
    ------
    UnknownNameError
        If no analysis has that name.
    ConfigError
        If the file does not exist, declares no analysis, or has the name of another one.

    Examples
    --------
    >>> find_analysis("balance").question
    'How balanced is every layer, and is it more than initialisation gives?'
    """
    if name.endswith(".py"):
        path = Path(name)
        known = {found.name: found.path for found in discovered("analyses")}
        if path.stem in known:
            if known[path.stem].resolve() == path.resolve():
                return _by_name(path.stem)
            raise ConfigError(
                f"there is another analysis '{path.stem}', {known[path.stem]}", where=name, remedy="rename the file"
            )
        _GIVEN[path.stem] = _in_file(path)
        return _GIVEN[path.stem]
    return _by_name(name)


def _by_name(name: str) -> Analysis:
    if name in _GIVEN:
        return _GIVEN[name]
    choose(name, analysis_names(), "analysis")
    found = next(found for found in discovered("analyses") if found.name == name)
    return _declared(found.load(), found.path, name)


def _declared(module: ModuleType, path: Path, name: str) -> Analysis:
    """Return the analysis that a module declares."""
    kinds = [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Analysis) and kind.__module__ == module.__name__
    ]
    if len(kinds) != 1:
        raise ConfigError(
            f"{len(kinds)} analyses are declared there",
            where=str(path),
            valid="one class that derives from eiplatform.analyses.Analysis",
        )
    return kinds[0](name)


def _in_file(path: Path) -> Analysis:
    if not path.is_file():
        raise ConfigError(
            "this file does not exist", where=str(path), valid="the name of an analysis, or a Python file"
        )
    module_name = f"eiplatform_given_{path.stem}"
    spec = spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise ConfigError(f"it cannot be imported ({type(error).__name__}: {error})", where=str(path)) from error
    return _declared(module, path, path.stem)


def figures_of(analysis: str) -> dict[str, Any]:
    """Return the modules of the figures that draw results of an analysis, by name."""
    loaded = {found.name: found.load() for found in discovered("figures")}
    return {name: module for name, module in loaded.items() if getattr(module, "ANALYSIS", None) == analysis}


def _draws(figure: Any, data: xr.Dataset) -> bool:
    """Whether a result holds something that a figure draws, e.g. a gain."""
    from eiplatform.errors import EIPlatformError

    try:
        with read_with_care(data):
            return not figure.table(data).empty
    except EIPlatformError:  # said when it is drawn
        return True


@contextmanager
def read_with_care(result: xr.Dataset) -> Iterator[None]:
    """Say in one line what a result lacks that eiplatform, as it is now, did not write.

    Parameters
    ----------
    result : xarray.Dataset
        From :func:`load_result`, or an analysis.

    Raises
    ------
    StoreError
        If an earlier version or another program wrote it, and something of it cannot be read.
    """
    from eiplatform.untrusted import reading

    if _UNSEALED not in result.encoding:
        yield
        return
    remedy = "make it again with this version of eiplatform"
    with reading(result.encoding[_UNSEALED], what="this result lacks or garbles what is drawn from it", remedy=remedy):
        yield


def defined(result: xr.Dataset, statistics: Iterable[str], variable: str = "value") -> list[str]:
    """Return those of some statistics that a result holds with at least one value.

    Parameters
    ----------
    result : xarray.Dataset
        With the dimension ``statistic``.
    statistics : iterable of str
        Keys, in the order in which they are wanted.
    variable : str
    """
    held = result["statistic"].values.tolist()
    return [key for key in statistics if key in held and bool(result[variable].sel(statistic=key).notnull().any())]


def load_result(path: str | Path) -> Result:
    """Read the result of an analysis.

    Raises
    ------
    StoreError
        If the file is missing or is not such a result.
    """
    from eiplatform.seal import is_sealed
    from eiplatform.store.hdf5 import load_netcdf

    remedy = "make it again with 'eiplatform analyse'"
    data = load_netcdf(path, remedy=remedy)
    intact = is_sealed(Path(path).read_bytes())
    if intact is False:
        raise StoreError("the result has changed since it was written (checksum)", where=str(path), remedy=remedy)
    data.attrs.pop(_SEAL, None)
    data.encoding["source"] = str(path)
    if data.attrs.get("analysis") in ("balance_emergence", "ei_versus_bn") and "circuit" in data.dims:
        data = data.rename(circuit="layer_type")  # as earlier versions called it
    if intact is None:
        data.encoding[_UNSEALED] = str(path)
    known = [*analysis_names(), *_GIVEN]
    if data.attrs.get("analysis") not in known:
        raise StoreError(
            "not the result of an analysis that is known here",
            where=str(path),
            valid=known,
            remedy="the file of an own analysis belongs into the folder analyses/ of the project",
        )
    return Result(data)
