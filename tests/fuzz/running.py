"""From numbers to verdicts: the seeds are made once, every input is forked from a process that is warm."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.fuzz.harness import Verdict, judge

__all__ = ["run"]

_WARM = (
    "eiplatform.analyses.parts.running",
    "eiplatform.figures",
    "eiplatform.cli.app",
    "eiplatform.recording.network",
    "eiplatform.recording.checkpoint",
    "eiplatform.lesions.design",
    "eiplatform.foreign.nir",
    "eiplatform.networks.deepeisnn",
    "eiplatform.store.pack",
    "eiplatform.store.export.frames",
    "eiplatform.store.export.sonata",
    "eiplatform.store.export.zarr",
    "eiplatform.store.validate",
    "eiplatform.store.info",
    "eiplatform.study",
    "eiplatform.study.actions",
    "eiplatform.training",
    "eiplatform.report.study",
    "eiplatform.analyses.parts.tables",
    "sklearn.datasets",
    "matplotlib.pyplot",
    "seaborn",
    "zarr",
    "PIL.JpegImagePlugin",
    "pynwb",
    "pandas",
    "scipy.stats",
    "rich.table",
    "rich.progress",
    "torch._dynamo",
    "unittest.mock",
)
SECRET = b"SECRET-OF-ANOTHER-FILE-" * 40


def run(root: Path, numbers: Iterable[int], seed: int, *, light: bool = False) -> Iterator[Verdict]:
    """Yield what came of every input; everything is written below `root`."""
    from tests.fuzz.cases import make_case
    from tests.fuzz.seeds import make_seeds

    for module in _WARM:
        try:
            importlib.import_module(module)
        except ImportError:
            continue
    seeds, outside = root / "seeds", root / "canary"
    outside.mkdir(parents=True)
    (outside / "secret.txt").write_bytes(SECRET)
    (outside / "secret.json").write_text("{}")
    _apart(lambda: _secret(outside / "secret.h5"))
    _apart(lambda: make_seeds(seeds))
    for number in numbers:
        place = root / "work" / str(number)
        place.mkdir(parents=True)
        os.environ["TMPDIR"] = str(place)
        case = make_case(number, seed, seeds, place, outside, light=light)
        yield judge(case.name, case.call, place, outside, SECRET[:100])
        shutil.rmtree(place, ignore_errors=True)


def _secret(path: Path) -> None:
    import h5py
    import numpy as np

    with h5py.File(path, "w") as file:
        file["secret"] = np.frombuffer(SECRET[:32], "f8")


def _apart(call: object) -> None:
    """Do something in a child process, so that no thread of it is left here."""
    child = os.fork()
    if child == 0:
        try:
            assert callable(call)
            call()
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    _, state = os.waitpid(child, 0)
    if state:
        raise RuntimeError("the seeds could not be made")
