"""Checking a recording from its bytes to its sum rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.errors import StoreError, SumRuleError
from eiplatform.store.attributes import check_source
from eiplatform.store.blocks import BLOCK_BYTES, sample_blocks, slabs, time_pieces
from eiplatform.store.events import bare
from eiplatform.store.forms import form_of
from eiplatform.store.labels import axis_problems, event_problems, label_problems
from eiplatform.store.packed import changed_variables
from eiplatform.store.reader import open_recording, read_manifest
from eiplatform.store.shards import checksum_of
from eiplatform.store.sumrules import check_sum_rules
from eiplatform.store.zarr_reader import ZarrStore

__all__ = ["Validation", "validate"]

_AGAIN = "copy it again from where it was made, or record it again"
_READ_REST = (
    "record it again; what is complete can be read: 'eiplatform info --partial', eiplatform.open(path, partial=True)"
)


@dataclass
class Validation:
    """What :func:`validate` found.

    Attributes
    ----------
    path : str
    checks : dict of str to str
        Each check and its outcome (``"ok ..."`` or the problem).
    problems : list of str
        Empty if the recording is sound.
    remedies : list of str
        What to do about them.
    """

    path: str
    checks: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    remedies: list[str] = field(default_factory=list)

    def report(self, check: str, problems: list[str], good: str, remedy: str) -> None:
        """Note the outcome of one check."""
        self.checks[check] = "; ".join(problems) if problems else f"ok, {good}"
        self.problems += problems
        if problems and remedy not in self.remedies:
            self.remedies.append(remedy)

    def __str__(self) -> str:
        lines = [f"{self.path}: {'NOT SOUND' if self.problems else 'sound'}"]
        lines += [f"  {name:<10} {outcome}" for name, outcome in self.checks.items()]
        return "\n".join([*lines, *(f"  what to do: {remedy}" for remedy in self.remedies)])


def validate(path: str | Path) -> Validation:
    """Check completeness, checksums, axes, units, values and sum rules of a recording.

    Parameters
    ----------
    path : str or Path
        Recording directory, a packed recording or a Zarr store.

    Returns
    -------
    Validation
        ``problems`` is empty for a sound recording.  What is in damaged shards is not looked at.

    Raises
    ------
    StoreError
        If this is not a recording.
    """
    path = Path(path)
    manifest = read_manifest(path)
    result = Validation(str(path))
    unfinished = [] if manifest["status"] == "complete" else ["the recording was interrupted"]
    n_shards = len(manifest["shards"])
    result.report("complete", unfinished, f"{n_shards} shard{'s' if n_shards != 1 else ''}", _READ_REST)
    if not manifest["shards"]:
        result.report("shards", ["no complete shard"], "", "record it again: nothing can be read")
    elif _bytes(path, manifest, result):
        _contents(path, result)
        return result
    for check in ("labels", "axes", "values", "sum rules"):
        result.checks[check] = "not checked: no intact shards" if not manifest["shards"] else "not checked: damage"
    return result


def _bytes(path: Path, manifest: dict[str, Any], result: Validation) -> bool:
    """Check that what is stored is what was written; return whether it can be looked into."""
    if "packed" in manifest:
        changed = [f"'{name}' changed since it was packed (checksum)" for name in changed_variables(path, manifest)]
        n_variables = sum(map(len, manifest["packed"]["checksums"].values()))
        result.report("checksums", changed, f"SHA-256 of {n_variables} variables", _AGAIN)
        return not changed
    problems = form_of(path, manifest).problems()
    if "zarr" in manifest:
        n_arrays = sum(map(len, manifest["zarr"]["arrays"].values()))
        result.report("shards", [f"array {name} is {what}" for name, what in problems.items()], "all chunks", _AGAIN)
        changed = [f"'{name}' changed since it was written (checksum)" for name in ZarrStore(path, manifest).changed()]
        result.report("checksums", changed, f"CRC-32C of the chunks of {n_arrays} arrays", _AGAIN)
        return not (problems or changed)
    listed = {shard["file"] for shard in manifest["shards"]}
    others = sorted(file.name for file in (path / "shards").glob("*.h5") if file.name not in listed)
    told = f"all present, right size{'; not part of it: ' + ', '.join(others) if others else ''}"
    result.report("shards", [f"shard {file} is {what}" for file, what in problems.items()], told, _AGAIN)
    intact = [shard for shard in manifest["shards"] if shard["file"] not in problems]
    changed = [
        f"shard {shard['file']} has changed since it was written (checksum)"
        for shard in intact
        if checksum_of(path / "shards" / shard["file"]) != shard["checksum"]
    ]
    result.report("checksums", changed, f"XXH3 of {len(intact)} of {len(listed)} shards", _AGAIN)
    return bool(intact) and not changed


def _contents(path: Path, result: Validation) -> None:
    """Check names, units, axes, values and sum rules of what is intact."""
    try:
        tree = open_recording(path, partial=True)
    except StoreError as error:
        result.report("labels", [error.what], "", error.remedy or _AGAIN)
        result.checks |= dict.fromkeys(("axes", "values", "sum rules"), "not checked: it cannot be opened")
        return
    leaves = {node.path.lstrip("/"): bare(node.to_dataset()) for node in tree.leaves}
    mend = "it was made by another program or edited: mend what made it, and record it again"
    labels = _source_problems(tree.attrs["source"])
    labels += [problem for name, data in leaves.items() for problem in label_problems(name, data)]
    result.report("labels", labels, f"{len(leaves)} populations with known signals, units, axes and attributes", mend)
    axes = [problem for name, data in leaves.items() for problem in axis_problems(name, data)]
    axes += [problem for name, data in leaves.items() for problem in event_problems(name, data)]
    result.report("axes", axes, "sample, time and neuron are unique, time and neuron ascend", mend)

    worst: dict[str, float] = {}
    violated: list[str] = []
    strange: list[str] = []
    for name, data in leaves.items():
        bad = _not_finite(data)
        strange += [f"'{name}': {told}" for told in bad]
        if not bad:
            violated += _sum_rules(name, data, worst)
    result.report(
        "values",
        strange,
        "no NaN, no infinite value",
        "leave these samples or neurons out, or find out why the network diverged",
    )
    told = ", ".join(f"{rule} {residual:.1e}" for rule, residual in worst.items())
    good = f"largest relative residual: {told}" if worst else "none applies to what was recorded"
    result.report(
        "sum rules", violated, good, "do not use it: the recorded parts do not rebuild the whole; record it again"
    )


def _source_problems(source: dict[str, Any]) -> list[str]:
    try:
        check_source(source, "source")
    except StoreError as error:
        return [error.what]
    return []


def _not_finite(data: xr.Dataset) -> list[str]:
    """Return how many values of each variable are NaN or infinite."""
    told = []
    for key, variable in data.variables.items():
        if variable.dtype.kind != "f":
            continue
        nan = infinite = 0
        for block in slabs(variable.shape, variable.dtype.itemsize):
            values = np.asarray(variable[block])
            n_nan = int(np.isnan(values).sum())
            nan, infinite = nan + n_nan, infinite + int((~np.isfinite(values)).sum()) - n_nan
        if nan or infinite:
            told.append(f"'{key}' has {nan} NaN and {infinite} infinite of {variable.size} values")
    return told


def _sum_rules(name: str, data: xr.Dataset, worst: dict[str, float]) -> list[str]:
    """Check the sum rules of one population block by block; the first violation of each kind is reported."""
    violated: list[str] = []
    dense, budget = data.drop_dims("spike", errors="ignore"), BLOCK_BYTES // 16
    for block in sample_blocks(dense, budget):  # the rules compute in float64, on many at once
        try:
            for piece in time_pieces(dense.isel(sample=block), budget):
                for rule, residual in check_sum_rules(piece.load(), name).items():
                    worst[rule] = max(worst.get(rule, 0.0), residual)
        except SumRuleError as error:
            samples = dense["sample"].values[block]
            violated.append(f"'{name}', samples {samples[0]} to {samples[-1]}: {error.what}")
    return violated
