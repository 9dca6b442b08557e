"""Checking a recording from its bytes to its sum rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.store.reader import open_recording, read_manifest, shard_problems
from eiplatform.store.reduced import MERGED
from eiplatform.store.schema import EVENTS, PARAMETERS, SIGNALS
from eiplatform.store.shards import checksum_of
from eiplatform.store.sumrules import check_sum_rules

__all__ = ["Validation", "validate"]


@dataclass
class Validation:
    """What :func:`validate` found.

    Attributes
    ----------
    path : str
    checks : dict of str to str
        Each check and what it says (``"ok ..."`` or the problem).
    problems : list of str
        Empty if the recording is sound.
    """

    path: str
    checks: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def report(self, check: str, problems: list[str], good: str) -> None:
        """Note the outcome of one check."""
        self.checks[check] = "; ".join(problems) if problems else f"ok, {good}"
        self.problems += problems


def validate(path: str | Path) -> Validation:
    """Check completeness, checksums, shapes, units and sum rules of a recording.

    Parameters
    ----------
    path : str or Path
        Recording directory.

    Returns
    -------
    Validation
        ``problems`` is empty for a sound recording.  What is in damaged shards is not looked at.

    Raises
    ------
    StoreError
        If this is no recording at all.
    """
    path = Path(path)
    manifest = read_manifest(path)
    result = Validation(str(path))
    interrupted = [] if manifest["status"] == "complete" else ["the recording was interrupted"]
    result.report("complete", interrupted, f"{len(manifest['shards'])} shards")

    problems = shard_problems(path, manifest)
    result.report("shards", [f"shard {file} is {what}" for file, what in problems.items()], "all present, right size")
    intact = [shard for shard in manifest["shards"] if shard["file"] not in problems]
    changed = [
        f"shard {shard['file']} has changed since it was written (checksum)"
        for shard in intact
        if checksum_of(path / "shards" / shard["file"]) != shard["checksum"]
    ]
    result.report("checksums", changed, "XXH3 of every shard")
    if changed or not intact:
        result.checks["labels"] = result.checks["sum rules"] = "not checked: damaged shards"
        return result
    tree = open_recording(path, partial=True)
    leaves = {node.path.lstrip("/"): node.to_dataset() for node in tree.leaves}
    wrong = [problem for name, data in leaves.items() for problem in _labels(name, data)]
    result.report("labels", wrong, f"{len(leaves)} populations with known signals, units and axes")
    worst: dict[str, float] = {}
    violated = []
    for name, data in leaves.items():
        try:
            for start in range(0, data.sizes["sample"], 64):
                part = data.isel(sample=slice(start, start + 64)).drop_dims("spike", errors="ignore")
                for rule, residual in check_sum_rules(part, name).items():
                    worst[rule] = max(worst.get(rule, 0.0), residual)
        except (StoreError, OSError) as error:
            violated.append(str(error))
    told = ", ".join(f"{rule} {residual:.1e}" for rule, residual in worst.items())
    result.report("sum rules", violated, f"largest relative residual: {told}")
    return result


def _labels(name: str, data: xr.Dataset) -> list[str]:
    """Return what is wrong with names, units and axes of one population."""
    problems = []
    for key, variable in data.data_vars.items():
        if key in MERGED:
            continue
        expected = ("sample", "time", "neuron") if key in SIGNALS else ("neuron",) if key in PARAMETERS else ("spike",)
        if key not in {**SIGNALS, **PARAMETERS, **EVENTS}:
            problems.append(f"'{name}': unknown variable '{key}'")
        elif variable.dims != expected:
            problems.append(f"'{name}': '{key}' has axes {variable.dims}, expected {expected}")
        elif "units" not in variable.attrs or "long_name" not in variable.attrs:
            problems.append(f"'{name}': '{key}' has no units or long_name")
    return problems
