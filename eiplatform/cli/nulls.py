"""What ``record --null`` does: several null recordings instead of one recording."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eiplatform.config import Config
    from eiplatform.datasets import Split
    from eiplatform.networks.network import Network
    from eiplatform.recording.estimate import Estimate
    from eiplatform.recording.nulls import Null
    from eiplatform.recording.spec import RecordingSpec

__all__ = ["nulls_of", "record_all"]


def nulls_of(text: str | None, *, resume: bool, store: str) -> Null | None:
    """Read the option ``--null``; None if it was not given.

    Raises
    ------
    ConfigError
        If the text is wrong, or the recording is to be resumed or to be Zarr.
    """
    from eiplatform.errors import ConfigError
    from eiplatform.recording.nulls import parse_null

    if text is None:
        return None
    if resume:
        raise ConfigError("--resume goes with one recording", where="record --null", remedy="record the nulls again")
    if store != "hdf5":
        raise ConfigError(
            f"nulls are not written as {store}",
            where="record --null",
            remedy="record them as hdf5 and export each: 'eiplatform export zarr REC --out REC.zarr'",
        )
    return parse_null(text)


def record_all(
    network: Network,
    data: Split,
    out: Path,
    null: Null,
    spec: RecordingSpec,
    expected: Estimate,
    config: Config,
    label: str,
    limit: int | None,
    n_processes: int,
    dry_run: bool,
    overwrite: bool,
    json: bool,
) -> int:
    """Check what the nulls will take together, record them, and say where they are."""
    from eiplatform.cli.output import print_json, say
    from eiplatform.errors import ConfigError
    from eiplatform.progress import stage
    from eiplatform.recording.estimate import check_budget
    from eiplatform.recording.nulls import record_nulls

    if n_processes > 1:
        raise ConfigError(f"nulls are recorded by one process, not by {n_processes}", where="record --null")
    together = replace(expected, bytes=null.count * expected.bytes, seconds=null.count * expected.seconds)
    check_budget(together, network, data, spec, out, limit)
    if not json:
        say(f"recording {null.count} nulls, in all {together}")
    made = []
    if not dry_run:
        with stage(f"recording {null.kind}", quiet=json) as update:
            made = record_nulls(
                network, data, out, null, spec, config=config, label=label, overwrite=overwrite, progress=update
            )
    if json:
        print_json({"out": str(out), "null": null.kind, "recordings": [str(path) for path in made]})
    elif made:
        say(f"{len(made)} recordings: {out}")
        say(f"next: eiplatform analyse balance RECORDING --null {out} --out balance.nc")
    return 0
