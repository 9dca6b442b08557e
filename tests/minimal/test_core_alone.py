"""The core opens and analyses recordings without torch and brian2 (run in an environment without them)."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import eiplatform
from eiplatform.analyses import Result
from eiplatform.analyses.balance import Balance
from eiplatform.analyses.comparison import Comparison
from eiplatform.cli import main
from eiplatform.figures import save
from tests.conftest import write_circuit, write_network


def test_open_analyse_compare_draw(tmp_path: Path) -> None:
    trained = write_network(tmp_path / "trained", ratio=2.0)
    nulls = [write_network(tmp_path / f"null{k}", seed=30 + k) for k in range(3)]
    long = write_network(tmp_path / "long", samples=6, steps=120)
    circuit = write_circuit(tmp_path / "circuit")
    assert np.isfinite(eiplatform.open(trained)["fc1/E"].ds.ei.balance_index().values).all()
    result = Balance().run(trained, nulls, n_bootstrap=30).data
    compared = Comparison().run(long, [circuit], n_bootstrap=30).data
    assert save("balance_across_layers", result, tmp_path / "figures").png.is_file()
    assert Result(result).tables() and Result(compared).tables()
    Result(compared).save(tmp_path / "c.nc")
    assert main(["info", str(circuit)]) == 0


def test_the_wheel_brings_one_package() -> None:
    """Top-level packages called ``analyses`` and ``figures`` would land in everybody's site-packages."""
    installed = importlib.metadata.files("eiplatform") or []
    tops = {path.parts[0] for path in installed if path.suffix == ".py" and path.parts[0] != ".."}
    assert tops <= {"eiplatform"}
    if importlib.util.find_spec("torch") is None:  # the environment of `make test-minimal`
        assert tops
        for name in ("eiplatform", "eiplatform.analyses", "eiplatform.figures"):
            spec = importlib.util.find_spec(name)
            assert spec is not None and "site-packages" in Path(str(spec.origin)).parts


def test_analysing_loads_neither_torch_nor_brian2(tmp_path: Path) -> None:
    path = write_network(tmp_path / "trained")
    program = (
        "import sys; from pathlib import Path; from eiplatform.analyses.balance import Balance;"
        "from eiplatform.figures import save;"
        "path = Path(sys.argv[1]); result = Balance().run(path, n_bootstrap=5);"
        "save('balance_across_layers', result, path.parent / 'f');"
        "assert not {'torch', 'brian2', 'sklearn'} & set(sys.modules), 'heavy'"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)]).returncode == 0


def test_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if importlib.util.find_spec("torch"):
        # With everything installed the two refusals cannot happen; run the file where they can.
        assert importlib.util.find_spec("brian2")
        return
    assert main(["train", "--out", str(tmp_path / "t")]) == 2
    assert "eiplatform[train]" in capsys.readouterr().err
    assert main(["simulate", "brunel-2000", "--out", str(tmp_path / "s")]) == 2
    assert "eiplatform[simulate]" in capsys.readouterr().err
    assert main(["demo", "--out", str(tmp_path / "d")]) == 2
    assert not any((tmp_path / name).exists() for name in "tsd")


def test_importing_the_package_is_light() -> None:
    program = "import sys, eiplatform; assert not {'xarray', 'numpy', 'torch'} & set(sys.modules), 'heavy'"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
