"""The names of the front door: which there are, what they cost, and that both files agree on them."""

from __future__ import annotations

import ast
import pydoc
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import eiplatform as ei

ROOT = Path(ei.__file__).parent

NAMES = """Add Bias Clamp Delay EIPlatformError Freeze Mean MeanShift Noise RandomSynapseLoss Resample
ShuffleNeurons Recording Result Run Scale Silence __version__ adapt analyse compare describe figures
from_arrays info intervene lesion_study list load open plot probe read_csv read_nir read_nwb record report simulate
study to_frame to_neo to_nir to_nwb to_pynapple train""".split()


def test_exactly_these_names_are_public() -> None:
    assert dir(ei) == sorted(NAMES)


def test_every_name_is_there_and_documented() -> None:
    for name in NAMES:
        thing = getattr(ei, name)
        assert name == "__version__" or thing.__doc__, name
    assert callable(ei.figures) and callable(ei.report) and callable(ei.study)


def test_the_stub_names_the_same_places() -> None:
    tree = ast.parse((ROOT / "__init__.pyi").read_text())
    stub = {alias.asname: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(stub) == set(NAMES) - {"__version__"}
    for name, home in ei._HOMES.items():
        if name not in ("figures", "plot", "report", "study"):  # packages that are functions too
            assert stub[name] == f"eiplatform.{home}", name


@pytest.mark.parametrize("name", ["figures", "report", "study"])
def test_help_of_a_package_that_is_a_function_shows_the_function(name: str) -> None:
    package = import_module(f"eiplatform.{name}")
    told = pydoc.plain(pydoc.render_doc(package))
    assert f"{name}(" in told and "Parameters" in told and "only : sequence of str" in told or name == "report"


def test_packages_stay_packages() -> None:
    from eiplatform.figures import save

    assert callable(save) and ei.figures.__name__ == "eiplatform.figures"


def test_importing_it_loads_no_numpy_and_takes_little() -> None:
    code = (
        "import time; start = time.perf_counter(); import eiplatform, sys\n"
        "print('numpy' in sys.modules, 'pydantic' in sys.modules, time.perf_counter() - start)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    told = [run.stdout.split() for run in runs]
    assert all(words[:2] == ["False", "False"] for words in told)
    assert min(float(words[2]) for words in told) < 0.06


def test_figures_are_drawn_by_their_names() -> None:
    assert "learning_curve" in dir(ei.plot) and callable(ei.plot.learning_curve)
