"""Which changes are made to which kind of input, and which commands read it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from eiplatform.cli import main
from tests.fuzz.hdf5 import change_hdf5
from tests.fuzz.mutations import (
    JUNK,
    change_bytes,
    change_json,
    change_link,
    change_safetensors,
    change_text,
    hostile_archive,
)
from tests.fuzz.seeds import REGISTRY

__all__ = ["KINDS", "Case", "make_case"]

_READ = (
    "info {0}",
    "info {0} --partial --json",
    "validate {0}",
    "export csv {0} --out out.csv --signals current_exc",
    "export sonata {0} --out out --ms-per-step 1",
    "analyse balance {0} --out out.nc --bootstrap 5",
    "analyse traces {0} --out out.nc",
    "analyse distributions {0} --out out.nc",
)
KINDS: dict[str, tuple[int, tuple[str, ...]]] = {
    "recording": (
        6,
        (
            *_READ,
            "pack {0} --out out.h5",
            "export zarr {0} --out out.zarr",
            "export nwb {0} --out out.nwb --ms-per-step 1",
        ),
    ),
    "circuit": (
        4,
        (
            *(command.replace(" --ms-per-step 1", "") for command in _READ),
            "analyse reference_check {0} --out out.nc",
            "pack {0} --out out.h5",
        ),
    ),
    "packed": (6, ("unpack {0}.h5 --out out", *(command.replace("{0}", "{0}.h5") for command in _READ))),
    "zarr": (3, _READ),
    "interrupted": (2, ("info {0}", "validate {0}", "info {0} --partial", "RESUME {0}")),
    "results": (
        5,
        (
            "figures {0}/balance.nc --out out",
            "figures {0}/traces.nc --out out",
            "report {0}/balance.nc {0}/distributions.nc --out out.html",
            "figures {0}/distributions.nc --out out",
        ),
    ),
    "reference": (2, ("SUMMARY {0}.nc",)),
    "checkpoint": (
        6,
        (
            "record {0}/best.safetensors --out out --dry-run",
            "record {0} --out out --samples 3",
            "lesion {0} --out out --doses 0 0.5 --samples 3",
            "export deepeisnn {0}/best.safetensors --out out",
            "train {0}/config.yml --out {0} --resume",
            "analyse learning {0} --out out.nc",
        ),
    ),
    "deepeisnn": (4, ("import deepeisnn {0} --out out.safetensors", "import deepeisnn {0}.pth --out out.safetensors")),
    "configs": (
        6,
        (
            "study {0}/study.yml --out out --dry-run",
            "record ../../seeds/checkpoint/in --spec {0}/spec.yml --out out --dry-run",
            "CONFIG {0}/config.yml",
        ),
    ),
    "idx": (2, ("DATA fuzz-idx",)),
    "cifar": (2, ("DATA fuzz-cifar",)),
    "tiny": (2, ("DATA fuzz-tiny",)),
    "nir": (3, ("NIR {0}.h5",)),
    "words": (3, ("WORDS",)),
}
"""By kind: how often, and the commands."""
_HEAVY = ("analyse", "figures", "report", "export", "train", "lesion")


@dataclass(frozen=True)
class Case:
    """One input: what was changed, and what reads it."""

    name: str
    call: Callable[[], int]


def make_case(number: int, seed: int, seeds: Path, place: Path, outside: Path, *, light: bool = False) -> Case:
    """Make the input `number` in the empty directory `place`; `light`: for a command that is done in an instant."""
    rng = random.Random(f"{seed}-{number}")
    kind = rng.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
    commands = KINDS[kind][1]
    quick = [command for command in commands if not command.startswith(_HEAVY)] if light else []
    command = rng.choice(quick or commands)
    changed = ""
    if kind != "words":
        shutil.copytree(seeds / kind, place / "in")
        for _ in range(rng.choice((1, 1, 1, 2))):
            changed += " " + _change(place / "in", kind, command, outside, rng)
    target = "in" if kind in ("results", "configs", "idx", "cifar", "tiny") else "in/in"
    words = command.replace("{0}", target).split()
    return Case(f"{number} {kind}:{changed}: {command}", lambda: _call(words, rng))


def _change(folder: Path, kind: str, command: str, outside: Path, rng: random.Random) -> str:
    """Change one file below a folder; say which and how."""
    files = [
        path for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and path.name != ".eiplatform"
    ]
    named = [path for path in files if path.name in command]
    # What no command reads says nothing: shards' own records, once the manifest lists them.
    files = [path for path in files if kind == "interrupted" or path.parent.name != "shards" or path.suffix != ".json"]
    if not files:
        return "nothing left"
    path = rng.choice(named if named and rng.random() < 0.7 else files)
    how = rng.random()
    name = path.relative_to(folder).as_posix()
    hostile = path.suffix in (".pth", ".gz", ".zip")
    if how < 0.04:
        change_link(path, outside, rng, pipes=path.suffix != ".yml")  # a configuration may come through a pipe
        return f"{name} linked"
    if hostile and how < 0.4:
        path.write_bytes(hostile_archive(path.name, outside, rng))
        return f"{name} hostile"
    if how < 0.25:
        path.write_bytes(change_bytes(path.read_bytes(), rng))
        what = "bytes"
    elif path.suffix in (".h5", ".nc"):
        try:
            change_hdf5(path, outside, rng)
            what = "hdf5"
        except Exception:  # HDF5 has no such change of this file: it stays as it is up to there
            what = "hdf5 partly"
        if path.suffix == ".nc" and rng.random() < 0.6:
            what += _unseal(path)
    elif path.suffix == ".json":
        text = path.read_text(errors="replace")
        try:
            path.write_text(
                json.dumps(change_json(json.loads(text), rng)) if rng.random() < 0.75 else change_text(text, rng),
                errors="replace",
            )
        except Exception:  # changed once already, and no JSON any more
            path.write_text(change_text(text, rng), errors="replace")
        what = "json"
    elif path.suffix == ".yml":
        text = path.read_text(errors="replace")
        try:
            path.write_text(
                yaml.safe_dump(change_json(yaml.safe_load(text), rng))
                if rng.random() < 0.7 and "&a [x" not in text  # aliases of aliases would be written out
                else change_text(text, rng),
                errors="replace",
            )
        except Exception:  # changed once already, and no YAML any more
            path.write_text(change_text(text, rng), errors="replace")
        what = "yaml"
    elif path.suffix == ".safetensors":
        try:
            path.write_bytes(change_safetensors(path.read_bytes(), rng))
        except Exception:  # changed once already
            path.write_bytes(change_bytes(path.read_bytes(), rng))
        what = "header"
    else:
        path.write_bytes(change_bytes(path.read_bytes(), rng))
        what = "bytes"
    if path.parent.name == "shards" and path.suffix == ".h5" and rng.random() < 0.7:
        _mend_manifest(path)
        what += " with its checksum"
    return f"{name} {what}"


def _unseal(path: Path) -> str:
    """Take away the hash of a result, as if an earlier version had written it."""
    import h5py

    try:
        with h5py.File(path, "r+") as file:
            del file.attrs["seal"]
    except (OSError, KeyError, RuntimeError):
        return ""
    return " unsealed"


def _mend_manifest(shard: Path) -> None:
    """Let the manifest say the size and checksum of a changed shard, as whoever means harm would."""
    from eiplatform.store.shards import checksum_of

    manifest = shard.parents[1] / "manifest.json"
    try:
        held = json.loads(manifest.read_text())
        for record in held["shards"]:
            if record["file"] == shard.name:
                record |= {"bytes": shard.stat().st_size, "checksum": checksum_of(shard)}
        manifest.write_text(json.dumps(held))
    except (ValueError, KeyError, TypeError, OSError):
        pass


def _call(words: list[str], rng: random.Random) -> int:
    """Run a command, or what stands for one."""
    if words[0] == "RESUME":
        return _resume(Path(words[1]))
    if words[0] == "SUMMARY":
        return _summary(Path(words[1]))
    if words[0] == "NIR":
        return _nir(Path(words[1]))
    if words[0] == "CONFIG":
        return _config(Path(words[1]))
    if words[0] == "DATA":
        return _data(words[1])
    if words[0] == "WORDS":
        return main(_words(rng))
    return main(words)


def _resume(path: Path) -> int:
    """Go on with an interrupted recording, as ``record --resume`` does."""
    from eiplatform.files import read_json
    from eiplatform.store import RecordingWriter

    manifest = read_json(path / "manifest.json")
    with RecordingWriter(path, source=manifest.get("source", {}), config=manifest.get("config", {}), resume=True):
        pass
    return 0


def _summary(path: Path) -> int:
    from eiplatform.analyses.parts.sides import open_references
    from eiplatform.store.references import read_reference

    read_reference(path)
    open_references([path], partial=False)
    return 0


def _nir(path: Path) -> int:
    from eiplatform.foreign.nir import read_nir

    read_nir(path, dt=1e-3)
    return 0


def _config(path: Path) -> int:
    """Read a configuration and build its network, without memory for its weights."""
    import torch

    from eiplatform.config import load_config
    from eiplatform.networks import build_network

    config = load_config(path)
    with torch.device("meta"):
        build_network(config, (1, 8, 8), 10)
    return 0


def _data(name: str) -> int:
    import numpy as np

    from eiplatform.datasets import load, registry

    known = dict(registry._registry()) | REGISTRY
    registry._registry = lambda: known  # type: ignore[assignment]
    data = load(name, "in")
    np.asarray(data.train.images)
    np.asarray(data.test.images)
    return 0


def _words(rng: random.Random) -> list[str]:
    """Return a command line with strange values."""
    seed = "../../seeds"
    lines = (
        f"info {seed}/recording/in",
        f"record {seed}/checkpoint/in --out out --samples 3 --budget 1GB --neurons 2 --signals spikes --dry-run",
        f"lesion {seed}/checkpoint/in --out out --doses 0 0.5 --layers fc* --samples 3 --neurons 10",
        f"analyse balance {seed}/recording/in --out out.nc --bootstrap 5 --seed 1 --statistics ei_ratio",
        f"export csv {seed}/recording/in --out out.csv --samples 1 --neurons 1 --signals spikes",
        f"figures {seed}/results/balance.nc --out out --only balance_across_layers",
        f"study {seed}/configs/study.yml --out out --dry-run --set axes.seed=[1,2] --only train",
        f"record {seed}/checkpoint/in --out out --null reinit:2 --dry-run",
        f"compare {seed}/recording/in --to brunel-2000-C --out out.nc --margin 0.5 --only rate",
        "simulate brunel-2000 --out out --seeds 1 --duration-ms 100 --set state=C --neurons 5 --device nothing",
    )
    words = rng.choice(lines).split()
    for _ in range(rng.choice((1, 1, 2))):
        value: Any = rng.choice(JUNK)()
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        at = rng.randrange(1, len(words))
        words[at] = words[at].partition("=")[0] + "=" + text[:5000] if "=" in words[at] else text[:5000]
    return [word.replace("\0", "\1") for word in words]
