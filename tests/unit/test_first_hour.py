"""What a user meets in the first hour: brackets, notebooks' backends, homes without room, short recordings."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from eiplatform import caches
from eiplatform.cli import main
from eiplatform.cli.output import print_table
from eiplatform.config import load_config
from eiplatform.datasets import Split
from eiplatform.doctor import Finding
from eiplatform.errors import ConfigError
from eiplatform.networks import Network, build_network, load
from eiplatform.recording.estimate import estimate
from eiplatform.recording.network import record_network
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store import read_manifest
from eiplatform.training import initialise

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "text", ["[/]", "[bold]x", "eiplatform[train]", "a [1, 2]", ":smile:", "[link=x]y[/link]", "\\[x]", "[/nothing]"]
)
def test_tables_print_texts_as_they_are(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(f"title {text}", ["first", f"column {text}"], [[text, f"cell {text}"]])
    shown = capsys.readouterr().out
    for expected in (f"title {text}", f"column {text}", f"cell {text}"):
        assert expected in shown


def test_remedies_of_the_doctor_are_whole(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = [Finding("torch", False, "not installed", "pip install 'eiplatform[train]'", optional=True)]
    monkeypatch.setattr("eiplatform.doctor.examine", lambda: found)
    assert main(["doctor"]) == 0
    assert "pip install 'eiplatform[train]'" in capsys.readouterr().out


def test_a_bar_shows_labels_as_they_are(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from eiplatform.progress import stage

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with stage("lesioning [/]") as update:
        update(1, 2, "dose [/] [1]")
    assert "lesioning [/]" in capsys.readouterr().err


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "module://no.such", "nonsense"])
def test_the_backend_of_a_notebook_does_not_matter(backend: str) -> None:
    code = (
        "from eiplatform.drawing import import_matplotlib; import_matplotlib(); import os, matplotlib\n"
        "from matplotlib.figure import Figure; Figure().savefig(os.devnull, format='png')\n"
        "print(os.environ['MPLBACKEND'])"
    )
    done = _run("-c", code, MPLBACKEND=backend)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == backend


def test_a_backend_that_is_there_stays() -> None:
    code = "from eiplatform.drawing import import_matplotlib; import_matplotlib()\n"
    code += "import matplotlib; print(matplotlib.get_backend())"
    assert _run("-c", code, MPLBACKEND="svg").stdout.strip() == "svg"


def test_without_a_home_the_cache_is_a_private_temporary_folder(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("not a directory")
    code = "from eiplatform.caches import cache_directory; print(cache_directory()); print(cache_directory())"
    environment = {
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path),
        "XDG_CACHE_HOME": "",
        "EIPLATFORM_CACHE": "",
    }
    done = _run("-c", code, **environment)
    first, second = done.stdout.split()
    assert first == second and Path(first).parent == tmp_path
    assert stat.S_IMODE(Path(first).stat().st_mode) == 0o700
    assert done.stderr.count("eiplatform:") == 1 and first in done.stderr and str(tmp_path / "home") in done.stderr
    assert _run("-c", code, **environment).stdout.split()[0] == first  # found again by the next process


def test_a_temporary_folder_of_somebody_else_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    open_to_all = tmp_path / f"eiplatform-cache-{os.getuid()}"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    found = caches._private()
    assert found != open_to_all and stat.S_IMODE(found.stat().st_mode) == 0o700
    open_to_all.rmdir()
    open_to_all.symlink_to(found, target_is_directory=True)
    assert caches._private() not in (open_to_all, found)


def test_a_cache_that_was_named_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EIPLATFORM_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ConfigError) as caught:
        caches.cache_directory()
    assert caught.value.where == f"EIPLATFORM_CACHE={tmp_path / 'file' / 'cache'}"
    monkeypatch.setenv("EIPLATFORM_CACHE", str(tmp_path / "new" / "cache"))
    assert caches.cache_directory() == tmp_path / "new" / "cache"


def test_make_clean_keeps_what_was_computed() -> None:
    text = (ROOT / "Makefile").read_text()
    recipes = dict(re.findall(r"^([a-z-]+):.*\n((?:\t.*\n?)+)", text, re.MULTILINE))
    words = recipes["clean"].split()
    assert "rm" in words and not any(word.strip("/").split("/")[0] in ("runs", "data") for word in words)
    assert recipes["clean-runs"].split() == ["rm", "-rf", "runs"]


@pytest.fixture(scope="module")
def network() -> Network:
    return initialise(load_config(None, ["network.hidden=[64, 32]"]), 1)


@pytest.mark.parametrize("samples", [1, 12])
def test_the_time_of_a_short_recording_is_foreseen(network: Network, tmp_path: Path, samples: int) -> None:
    rng = np.random.default_rng(0)
    data = Split(rng.random((20, 1, 8, 8), dtype=np.float32), np.arange(20) % 10, np.arange(20))
    spec = RecordingSpec(samples=samples)
    ratios = []
    for trial in range(5):
        expected = estimate(network, data, spec).seconds
        started = time.perf_counter()
        record_network(network, data, tmp_path / str(trial), spec, config={}, label="x")
        ratios.append((time.perf_counter() - started) / expected)
    assert 0.25 < np.median(ratios) < 4


def _public_fashion(folder: Path, dataset: str) -> Path:
    """Write a network as the public code does, trained on images of the shape of Fashion-MNIST."""
    from safetensors.torch import save_file

    from eiplatform.files import write_json
    from eiplatform.networks.deepeisnn import to_public
    from eiplatform.networks.deepeisnn_config import to_config

    config = load_config(None, ["network.hidden=[500]", "dataset.name=mnist"])
    network = build_network(config, (1, 28, 28), 10)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.rand_like(parameter) + 0.1)
    folder.mkdir()
    save_file(to_public(network, config, {}), folder / "model.safetensors")
    write_json(folder / "config.json", to_config(config, "test") | {"dataset": dataset})
    return folder


def _fashion(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay down a tiny Fashion-MNIST."""
    import hashlib

    from eiplatform.datasets import registry

    rng, hashes = np.random.default_rng(0), {}
    (root / "fashion-mnist").mkdir(parents=True)
    for part, count in (("train", 40), ("t10k", 12)):
        pixels = rng.integers(256, size=(count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for name, array in ((f"{part}-images-idx3-ubyte", pixels), (f"{part}-labels-idx1-ubyte", labels)):
            head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            content = head + array.tobytes()
            (root / "fashion-mnist" / name).write_bytes(content)
            hashes[name] = hashlib.sha256(content).hexdigest()
    entries = registry._registry()
    entry = entries["fashion-mnist"] | {"files": hashes, "samples": [40, 12]}
    monkeypatch.setattr(registry, "_registry", lambda: entries | {"fashion-mnist": entry})


@pytest.mark.parametrize("way", ["its configuration", "import --dataset", "record --dataset"])
def test_a_public_network_of_fashion_mnist_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    _fashion(tmp_path / "data", monkeypatch)
    public = _public_fashion(tmp_path / "public", "FashionMNIST" if way == "its configuration" else "MNIST")
    checkpoint = str(tmp_path / "n.safetensors")
    named = ["--dataset", "fashion-mnist"]
    call = ["import", "deepeisnn", str(public), "--out", checkpoint]
    assert main([*call, *(named if way == "import --dataset" else [])]) == 0
    assert load(checkpoint)[1].dataset.name == ("mnist" if way == "record --dataset" else "fashion-mnist")
    call = ["record", checkpoint, "--out", str(tmp_path / "r"), "--data-root", str(tmp_path / "data"), "--samples", "5"]
    assert main([*call, *(named if way == "record --dataset" else [])]) == 0
    shown = read_manifest(tmp_path / "r")["source"]["data"]
    assert (shown["name"], shown["samples"]) == ("fashion-mnist", 12)


def test_data_of_another_shape_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    public = _public_fashion(tmp_path / "public", "MNIST")
    checkpoint = str(tmp_path / "n.safetensors")
    assert main(["import", "deepeisnn", str(public), "--out", checkpoint]) == 0
    assert main(["record", checkpoint, "--out", str(tmp_path / "r"), "--dataset", "digits"]) == 2
    told = capsys.readouterr().err
    assert "(1, 28, 28)" in told and "(1, 8, 8)" in told and not (tmp_path / "r").exists()
