"""Running an analysis from what a user names: files, directories, names of shipped summaries, options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import xarray as xr
from pydantic import ConfigDict, TypeAdapter, ValidationError

from eiplatform.analyses.parts.analysis import Analysis, Result, analysis_names, find_analysis
from eiplatform.analyses.parts.inputs import Recording, Role
from eiplatform.analyses.parts.sides import open_references
from eiplatform.errors import ConfigError, choose
from eiplatform.statistics.kernels.bootstrap import check_bootstrap
from eiplatform.statistics.summary import keys_of
from eiplatform.store.reader import open_recording, read_manifest, recordings_below
from eiplatform.store.references import is_reference

__all__ = ["analyse", "arranged", "checked_options", "opened_all", "run"]

_OPENED = ("recording", "recordings", "references")
_THINGS = (str, Path, xr.DataTree, xr.Dataset)
"""What can be one input."""


def analyse(
    analysis: str | Analysis,
    inputs: Recording | Sequence[Recording],
    nulls: Recording | Sequence[Recording] = (),
    *,
    partial: bool = False,
    **options: Any,
) -> Result:
    """Answer one question from recordings.

    Parameters
    ----------
    analysis : str or Analysis
        Its name (:func:`~eiplatform.analyses.analysis_names`), or the path of the Python file that holds it.
    inputs : str, Path, DataTree, or a sequence of them
        Recordings or directories of recordings; for ``learning`` one training directory; for ``comparison`` and
        ``regime_scorecard`` also names of shipped summaries, for the latter a ``protocol.nc`` of perturb-I too; for
        ``balance_emergence`` series of recordings made while training.  ``ei_versus_bn``, ``balance_emergence`` and
        ``systems`` take summaries of circuits (data/reference/*.nc) among them.
    nulls : str, Path, DataTree, or a sequence of them
        Null recordings, or directories of them, where the analysis takes some.
    partial : bool
        Take what is complete of interrupted or damaged recordings; the result says so.
    **options
        Of the analysis; None is as if it were not given.

    Raises
    ------
    UnknownNameError
        If no analysis has that name.
    ConfigError
        If the inputs do not fit it, or it does not take an option.
    """
    chosen = find_analysis(analysis) if isinstance(analysis, str) else analysis
    return chosen.run(**arranged(chosen, inputs, nulls, partial=partial, **options))


def arranged(
    analysis: Analysis,
    inputs: Recording | Sequence[Recording],
    nulls: Recording | Sequence[Recording] = (),
    *,
    partial: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Return the arguments of an analysis: inputs sorted by what they are, and options of the declared types.

    Parameters
    ----------
    analysis, inputs, nulls, partial, **options
        As of :func:`analyse`.
    """
    given, null = _listed(inputs), _listed(nulls)
    asked = {name: value for name, value in options.items() if value is not None}
    roles = {role.name: name for name, role in analysis.inputs.items()}
    if null and "nulls" not in roles:
        raise _not_taken(analysis, "nulls")
    if partial and not set(_OPENED) & set(roles):
        raise _not_taken(analysis, "partial")
    asked = checked_options(analysis, asked)
    if partial and "partial" in analysis.options:
        asked["partial"] = True
    arguments = _arguments(analysis, roles, given, partial)
    if null:
        arguments["nulls"] = opened_all(null, partial)
    return {roles[role]: value for role, value in arguments.items()} | asked


def run(analysis: Analysis, *inputs: Any, **options: Any) -> Result:
    """Run an analysis with what a user gives in Python: one thing counts as a list of one where it takes several.

    Parameters
    ----------
    analysis : Analysis
    *inputs
        In the order of its arguments.
    **options
        Of the analysis; inputs may be given by their names too.

    Raises
    ------
    UnknownNameError
        If the analysis has no such option.
    ConfigError
        If an input is missing, empty, given twice, of another kind, or more are given than it takes.
    """
    roles = analysis.inputs
    for option in options:
        choose(option, [*analysis.options, *roles], f"option of '{analysis.name}'", where="analyse")
    _enough_draws(options)
    takes = [f"{name} ({role.text})" for name, role in roles.items()]
    if len(inputs) > len(roles):
        what = f"'{analysis.name}' takes {len(roles)} inputs, {len(inputs)} were given"
        raise ConfigError(what, where="analyse", valid=takes, remedy="put several recordings into a list")
    given = dict(zip(roles, inputs, strict=False))
    if twice := [name for name in given if name in options]:
        raise ConfigError(f"'{twice[0]}' is given twice", where="analyse", valid=takes)
    given |= {name: options.pop(name) for name in roles if name in options}
    declared = signature(type(analysis).run).parameters
    for name, role in roles.items():
        needed = declared[name].default is Parameter.empty
        if needed and name not in given:
            raise ConfigError(f"'{analysis.name}' needs {name}", where="analyse", valid=role.text)
        if name in given and not (given[name] is None and not needed):
            given[name] = _input(given[name], role, name)
            if needed and not role.single and not given[name]:
                raise ConfigError(f"{name} is empty", where="analyse", valid=role.text)
    return analysis.run(**given, **options)


def _input(value: Any, role: Role, name: str) -> Any:
    """Return an input; where an analysis takes several, as a list."""
    one = isinstance(value, _THINGS)
    if one or role.single or not isinstance(value, Iterable):
        if not one:
            raise ConfigError(f"{value!r} is of the type {type(value).__name__}", where=name, valid=role.text)
        return value if role.single else [value]
    several = list(value)
    for each in several:
        for part in each if isinstance(each, list | tuple) else [each]:
            if not isinstance(part, _THINGS):
                raise ConfigError(f"{part!r} is of the type {type(part).__name__}", where=name, valid=role.text)
    return several


def checked_options(analysis: Analysis, options: Mapping[str, Any], where: str | None = None) -> dict[str, Any]:
    """Return the options of an analysis with the types that it declares.

    Parameters
    ----------
    analysis : Analysis
    options : mapping of str to value
    where : str, optional
        Where they stand, for messages.

    Raises
    ------
    ConfigError
        If the analysis has no such option, or it cannot have such a value.
    """
    known = analysis.options
    for name in options:
        if name not in known and where is None:
            raise _not_taken(analysis, name)
        choose(name, known, "option", where=where)
    if options.get("statistics") is not None:
        keys = keys_of(options["statistics"], where=None if where is None else f"{where}.statistics")
        options = {**options, "statistics": keys}
    checked = {name: _checked(name, value, known[name], where) for name, value in options.items()}
    _enough_draws(checked)
    return checked


def _enough_draws(options: Mapping[str, Any]) -> None:
    """Raise for a bootstrap without draws: values without intervals would read like findings."""
    if isinstance(draws := options.get("n_bootstrap"), int):
        check_bootstrap(draws, 0.95)


def _checked(name: str, value: Any, declared: Parameter, where: str | None) -> Any:
    if declared.annotation is Parameter.empty:
        return value
    adapter = TypeAdapter(declared.annotation, config=ConfigDict(arbitrary_types_allowed=True))
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        reasons = "; ".join(found["msg"] for found in error.errors())
        raise ConfigError(f"{name} = {value!r} is not possible ({reasons})", where=where) from None


def _not_taken(analysis: Analysis, option: str) -> ConfigError:
    """Return the error for an option that an analysis does not have; it says which analyses do."""
    others = [find_analysis(name) for name in analysis_names()]
    if option in ("nulls", "partial"):
        wanted = ("nulls",) if option == "nulls" else _OPENED
        fitting = [one.name for one in others if {role.name for role in one.inputs.values()} & set(wanted)]
    else:
        fitting = [one.name for one in others if option in one.options]
    known = ", ".join(f"{name}=..." for name in analysis.options) or "none"
    return ConfigError(
        f"the analysis '{analysis.name}' takes no {option}=...",
        valid=f"{option}=... goes with {', '.join(fitting)}" if fitting else f"its options are {known}",
    )


def _listed(given: Recording | Sequence[Recording]) -> list[Recording]:
    return [given] if isinstance(given, str | Path | xr.DataTree) else list(given)


def _arguments(analysis: Analysis, roles: Mapping[str, str], given: list[Recording], partial: bool) -> dict[str, Any]:
    """Return what the inputs stand for, by role."""
    found: dict[str, Any] = {}
    if "perturbation" in roles:
        protocols = [one for one in given if not isinstance(one, xr.DataTree) and _is_file(one, ".nc")]
        if len(protocols) > 1:
            raise ConfigError("one perturbation at a time", where=", ".join(map(str, protocols)))
        given = [one for one in given if one not in protocols]
        found |= {"perturbation": protocols[0]} if protocols else {}
    if "summaries" in roles:
        held = [one for one in given if not isinstance(one, xr.DataTree) and is_reference(Path(one))]
        given = [one for one in given if not any(one is other for other in held)]
        found |= {"summaries": held} if held else {}
    if {"recordings", "references"} <= set(roles) and _optional(analysis, roles["references"]):
        trees = _references(given, partial)
        networks = [one for one in trees if isinstance(one, xr.DataTree) and one.attrs["source"]["kind"] == "network"]
        others = [one for one in trees if not any(one is network for network in networks)]
        return found | {"recordings": networks} | ({"references": others} if others else {})
    if {"recordings", "references"} <= set(roles):
        if len(given) < 2:
            raise ConfigError(f"the analysis '{analysis.name}' takes a network and at least one reference")
        return found | {"recordings": opened_all(given[:1], partial), "references": _references(given[1:], partial)}
    if "references" in roles:
        return found | {"references": _references(given, partial)}
    if "recordings" in roles:
        return found | {"recordings": opened_all(given, partial, begun="partial" in analysis.options)}
    for role in ("recording", "training", "study"):
        if role in roles:
            if len(given) != 1:
                raise ConfigError(f"the analysis '{analysis.name}' takes one input, {len(given)} were given")
            return found | {role: _open(given[0], partial) if role == "recording" else given[0]}
    if "series" in roles:
        return found | {"series": given}
    if given or not found:
        where = ", ".join(map(str, given)) or "analyse"
        valid = [role.text for role in analysis.inputs.values()]
        raise ConfigError(f"not what the analysis '{analysis.name}' takes", where=where, valid=valid)
    return found


def _optional(analysis: Analysis, name: str) -> bool:
    return signature(type(analysis).run).parameters[name].default is not Parameter.empty


def _is_file(one: str | Path, ending: str) -> bool:
    return Path(one).suffix == ending and Path(one).is_file()


def _open(one: Recording, partial: bool) -> xr.DataTree:
    return one if isinstance(one, xr.DataTree) else open_recording(one, partial=partial)


def opened_all(given: Sequence[Recording], partial: bool, *, begun: bool = False) -> list[xr.DataTree]:
    """Open recordings, and those in directories; with `begun`, of partial ones those that hold something."""
    found: list[xr.DataTree] = []
    for one in given:
        if isinstance(one, xr.DataTree):
            found.append(one)
            continue
        places = recordings_below(one)
        if partial and begun:  # one that was killed before its first shard is missing like one that was not begun
            places = [place for place in places if read_manifest(place)["shards"]]
        found += [open_recording(place, partial=partial) for place in places]
    return found


def _references(given: Sequence[Recording], partial: bool) -> list[Recording]:
    found: list[Recording] = []
    for one in given:
        found += [one] if isinstance(one, xr.DataTree) else open_references([one], partial=partial)
    return found
