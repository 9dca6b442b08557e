"""A figure and a table name the result and the recordings that they were made from, and are the same each time."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import eiplatform
from eiplatform.analyses import Result, load_result
from eiplatform.analyses.balance import Balance
from eiplatform.analyses.distributions import Distributions
from eiplatform.analyses.lesions import Lesions
from eiplatform.analyses.traces import Traces
from eiplatform.cli import main
from eiplatform.earlier import as_hashed
from eiplatform.figures import save
from eiplatform.files import content_hash
from eiplatform.store import read_manifest
from eiplatform.store.csvw import sidecar_of
from eiplatform.store.identity import origin, recording_hash, result_hash
from tests.conftest import write_circuit, write_network
from tests.examples import examples

FAST = {"n_bootstrap": 20, "seed": 0}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("r") / "trained [1]")


@pytest.fixture(scope="module")
def result(recording: Path) -> xr.Dataset:
    return Distributions().run([recording]).data


def _hash_of(recording: Path) -> str:
    manifest = json.loads((recording / "manifest.json").read_text())
    return content_hash({"source": manifest["source"], "config": as_hashed(manifest["config"])})


@pytest.mark.parametrize("by", ["python", "command"])
def test_every_format_names_result_and_recording(recording: Path, result: xr.Dataset, tmp_path: Path, by: str) -> None:
    out, name = tmp_path / "figures", "current_distributions"
    if by == "python":
        save(name, result, out, svg=True)
    else:
        Result(result).save(tmp_path / "r.nc")
        call = ["figures", str(tmp_path / "r.nc"), "--out", str(out), "--only", name, "--svg"]
        assert main(call) == 0
    source, made = f"trained [1] ({_hash_of(recording)})", result_hash(result)
    text = Image.open(out / f"{name}.png").text
    assert text["Source"] == source and text["Result"] == f"distributions, sha256 {made}"
    svg = (out / f"{name}.svg").read_text()
    held = [node.text for node in ElementTree.fromstring(svg).iter() if node.tag.startswith("{http://purl.org/dc/")]
    assert source in held and f"distributions, sha256 {made}" in held
    pdf = (out / f"{name}.pdf").read_bytes()
    info = pdf + b"".join(_inflated(part) for part in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL))
    assert made.encode() in info and _hash_of(recording).encode() in info
    told = json.loads(sidecar_of(out / f"{name}.csv").read_text())
    assert told["@context"] == "http://www.w3.org/ns/csvw" and told["url"] == f"{name}.csv"
    assert told["dc:source"] == source and told["dc:identifier"] == f"sha256:{made}"
    table = pd.read_csv(out / f"{name}.csv")  # every reader of CSV files still works
    assert [column["name"] for column in told["tableSchema"]["columns"]] == list(table.columns)


def _inflated(part: bytes) -> bytes:
    try:
        return zlib.decompress(part)
    except zlib.error:
        return b""


def test_the_same_figure_is_the_same_file(result: xr.Dataset, tmp_path: Path) -> None:
    for place in ("a", "b"):
        save("current_distributions", result, tmp_path / place, svg=True)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert [name.split(".", 1)[1] for name in names] == ["csv", "csv-metadata.json", "pdf", "png", "svg"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_same_recording_made_again_has_the_same_hash_and_another_id(tmp_path: Path) -> None:
    made = [write_network(tmp_path / place / "trained") for place in ("a", "b")]
    other = write_network(tmp_path / "c" / "trained", number=7)
    trees = [eiplatform.open(path) for path in (*made, other)]
    hashes = [recording_hash(tree.attrs) for tree in trees]
    assert trees[0].attrs["id"] != trees[1].attrs["id"]
    assert hashes[0] == hashes[1] == recording_hash(read_manifest(made[0])) != hashes[2]
    results = [Distributions().run([path]).data for path in made]
    assert result_hash(results[0]) == result_hash(results[1])
    for place, found in zip("ab", results, strict=True):
        save("current_distributions", found, tmp_path / f"f{place}")
    for kind in ("png", "pdf", "csv", "csv-metadata.json"):
        first, second = (tmp_path / f"f{place}" / f"current_distributions.{kind}" for place in "ab")
        assert first.read_bytes() == second.read_bytes()


def test_storing_a_result_does_not_change_its_hash(tmp_path: Path) -> None:
    trained = write_network(tmp_path / "trained", samples=6, steps=120)
    short = write_network(tmp_path / "short")
    nulls = [write_network(tmp_path / f"null{k}", seed=50 + k) for k in range(3)]
    circuit = write_circuit(tmp_path / "circuit")
    design = {"id": "planned", "doses": [0.0, 0.5], "controls": 0}
    doses = [
        write_network(
            tmp_path / f"dose{dose}",
            lesions=[{"pathway": "I->E subtractive", "layers": "fc*", "dose": dose}],
            design=design,
        )
        for dose in (0.0, 0.5)
    ]
    for result in (
        Balance().run(short, nulls, **FAST).data,  # type: ignore[arg-type]
        Traces().run([trained, circuit]).data,
        Lesions().run(doses, **FAST).data,  # type: ignore[arg-type]
        Lesions().run(doses[:1], partial=True, **FAST).data,  # type: ignore[arg-type]
    ):
        Result(result).save(tmp_path / "r.nc")
        assert result_hash(load_result(tmp_path / "r.nc").data) == result_hash(result)
        assert origin(load_result(tmp_path / "r.nc").data) == origin(result)


@examples(30)
@given(st.integers(0, 5), st.floats(allow_nan=False, allow_infinity=False, width=32), st.text(max_size=3))
def test_every_number_and_word_counts(place: int, value: float, word: str) -> None:
    values = np.arange(6.0)
    before = xr.Dataset(
        {"value": ("x", values.copy())}, {"x": list("abcdef")}, {"analysis": "a", "recording_ids": ["1"]}
    )
    after = before.copy(deep=True)
    after["value"][place] = value
    assert (result_hash(after) == result_hash(before)) == (np.float64(value).tobytes() == values[place].tobytes())
    assert (result_hash(before.assign_attrs(analysis=word)) == result_hash(before)) == (word == "a")
    assert result_hash(before.assign_attrs(recording_ids=["2", word])) == result_hash(before)
    assert result_hash(before.rename(value="other")) != result_hash(before)


def test_an_exported_table_names_its_recording(recording: Path, tmp_path: Path) -> None:
    assert main(["export", "csv", str(recording), "--out", str(tmp_path / "t.csv"), "--signals", "spikes"]) == 0
    told = json.loads(sidecar_of(tmp_path / "t.csv").read_text())
    assert told["dc:source"] == f"trained [1] ({_hash_of(recording)})"
    assert [column["name"] for column in told["tableSchema"]["columns"]] == list(
        pd.read_csv(tmp_path / "t.csv").columns
    )
