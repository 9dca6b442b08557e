"""A lesion study that is killed loses the group at work, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import eiplatform as ei
from eiplatform.cli.app import main
from eiplatform.lesions.cells import Cell
from eiplatform.lesions.engine import Engine

WHAT = ["--samples", "200", "--set", "controls=[mean,shift]", "doses=[-0.5,0.1,0.2,0.3,0.5,0.75]", "layers=[each]"]
SAYS_GROUPS = """
import sys
from eiplatform.cli.app import main
from eiplatform.lesions.engine import Engine
run = Engine._run_group
def told(self, cells, parameter):
    print("group", len(cells), flush=True)
    return run(self, cells, parameter)
Engine._run_group = told
sys.exit(main(sys.argv[1:]))
"""


def test_kill_9_loses_at_most_the_group_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"training": {"epochs": 1, "warmup_epochs": 0}, "network": {"hidden": [32, 16]}}
    ei.train("digits-mlp", quiet=True, path=tmp_path / "run", **settings)
    command = ["lesion", "dose-response", str(tmp_path / "run"), *WHAT]
    place = tmp_path / "killed"
    begun: list[int] = []
    arguments = [sys.executable, "-c", SAYS_GROUPS, *command, "--out", str(place)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("group"):
                begun.append(int(line.split()[1]))
            if len(begun) == 4:
                os.kill(process.pid, signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert not (place / "result.nc").exists()
    kept = {file: file.stat().st_mtime_ns for file in (place / "cells").glob("*.npz")}
    assert sum(begun[:-1]) <= len(kept) <= sum(begun)

    ran: list[int] = []
    run = Engine._run_group

    def counted(self: Engine, cells: list[Cell], parameter: object) -> object:
        ran.append(len(cells))
        return run(self, cells, parameter)  # type: ignore[arg-type]

    monkeypatch.setattr(Engine, "_run_group", counted)
    assert main([*command, "--out", str(place), "--json"]) == 0
    every = set((place / "cells").glob("*.npz"))
    assert sum(ran) == len(every) - len(kept) > 0
    assert {file: file.stat().st_mtime_ns for file in kept} == kept  # not written again
    assert main([*command, "--out", str(tmp_path / "whole"), "--json"]) == 0
    assert sum(ran) == 2 * len(every) - len(kept)
    found, whole = (ei.open(out / "result.nc").data for out in (place, tmp_path / "whole"))
    assert set(found.variables) == set(whole.variables)
    for name, values in whole.variables.items():
        np.testing.assert_array_equal(found[name].values, values.values, err_msg=str(name))
