"""Commands that look at recordings or repack them: ``info``, ``validate``, ``view``, ``pack``, ``unpack``; `doctor`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from eiplatform.cli.options import Json, Overwrite, Partial

__all__ = ["doctor", "info", "pack", "unpack", "validate", "view"]


def info(place: Path, *, partial: Partial = False, json: Json = False) -> int:
    """Show what a recording, training, checkpoint, result, study, lesion design or demo holds.

    Parameters
    ----------
    place : Path
        A recording (directory, packed file or Zarr store), a .safetensors file, a result (.nc), or a directory made
        by train, study, lesion or demo.
    """
    from eiplatform.cli.output import print_json, print_table, say
    from eiplatform.front.look import info as look

    found = look(place, partial=partial)
    if json:
        print_json(found.as_dict())
        return 0 if found.complete else 3
    say("\n  ".join(found.head()))
    columns, rows = found.rows()
    if rows:
        print_table(found.table_title, columns, rows)
    return 0 if found.complete else 3


def validate(recording: Path, *, json: Json = False) -> int:
    """Check a recording from its checksums to its sum rules.

    Parameters
    ----------
    recording : Path
        Recording directory, or a packed recording.
    """
    from eiplatform.cli.output import print_json, say
    from eiplatform.store.validate import validate as check

    result = check(recording)
    if json:
        sound = not result.problems
        print_json({"path": result.path, "sound": sound, "checks": result.checks, "remedies": result.remedies})
    else:
        say(str(result))
    return 2 if result.problems else 0


def view(
    run: Path,
    *,
    port: int = 0,
    open_: Annotated[bool, Parameter(name="--open", negative=(), show_default=False)] = False,
    partial: Partial = False,
    json: Json = False,
) -> int:
    """Show whole recordings in the browser: any neuron, sample and stretch of time, read as it is looked at.

    Only this machine is served, and nothing is changed.  Of another machine: ssh -L 8000:127.0.0.1:PORT.

    Parameters
    ----------
    run : Path
        A recording, or the directory of a run, a study or a demo.
    port : int
        0: any that is free.
    open_ : bool
        Open the browser.
    """
    from contextlib import suppress

    from eiplatform.cli.output import print_json, say
    from eiplatform.viewer import Viewer

    viewer = Viewer(run, port=port, partial=partial)
    if json:
        print_json({"address": viewer.address, "recordings": list(viewer.places)})
    else:
        say(f"{viewer.address}  (Ctrl-C ends it)")
    sys.stdout.flush()  # whoever waits for the address may read from a pipe
    if open_:
        import webbrowser

        webbrowser.open(viewer.address)
    with suppress(KeyboardInterrupt):  # the way in which it is meant to end
        viewer.serve()
    return 0


def pack(recording: Path, *, out: Path, overwrite: Overwrite = False, json: Json = False) -> int:
    """Write a recording as one HDF5 file that every HDF5 reader opens.

    Parameters
    ----------
    recording : Path
        Recording directory; complete and undamaged.
    out : Path
        File, e.g. recording.h5.
    """
    from eiplatform.store.pack import pack as join

    return _converted(join, "packing", recording, out, overwrite, json)


def unpack(recording: Path, *, out: Path, overwrite: Overwrite = False, json: Json = False) -> int:
    """Write a packed recording as the directory that it was made from.

    Parameters
    ----------
    recording : Path
        File made by pack.
    out : Path
        Recording directory.
    """
    from eiplatform.store.pack import unpack as split

    return _converted(split, "unpacking", recording, out, overwrite, json)


def _converted(convert: Callable[..., Path], title: str, source: Path, out: Path, overwrite: bool, json: bool) -> int:
    """Run a conversion under a progress bar and say where the result is."""
    from eiplatform.cli.output import print_json, say
    from eiplatform.progress import stage

    with stage(title, quiet=json) as update:
        made = convert(source, out, overwrite=overwrite, progress=update)
    if json:
        print_json({"out": str(made)})
    else:
        say(str(made))
    return 0


def doctor(*, json: Json = False) -> int:
    """Say what works on this machine: packages, compiler, GPU, caches, data sets, your project."""
    from eiplatform.cli.output import print_json, print_table
    from eiplatform.doctor import examine

    findings = examine()
    if json:
        print_json({finding.name: {"ok": finding.ok, "found": finding.found} for finding in findings})
    else:
        rows = [[f.name, "ok" if f.ok else "missing", f.found, "" if f.ok else f.remedy] for f in findings]
        print_table("eiplatform doctor", ["part", "state", "found", "remedy"], rows)
    return 0 if all(finding.ok or finding.optional for finding in findings) else 2
