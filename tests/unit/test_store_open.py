"""What an open recording tells: its name, wrong names, its table; dask arrays when asked for."""

from __future__ import annotations

import copy
import json
import pickle
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import eiplatform
from eiplatform.cli import main
from eiplatform.errors import EIPlatformError, MissingDependencyError, UnknownNameError
from eiplatform.store import RecordingWriter
from eiplatform.store.pack import pack
from tests.conftest import layer

Write = Callable[..., Path]
SOURCE = {"kind": "network", "name": "toy"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("fc9/E", r"no population 'fc9/E' – did you mean 'fc2/E'\? valid: fc1/E, fc2/E, readout/E"),
        ("fc1/e", "did you mean 'fc1/E'"),
        ("fc1/E/curent_exc", "fc1/E: no signal 'curent_exc' – did you mean 'current_exc'"),
    ],
)
def test_a_wrong_name_suggests_the_near_one(network_recording: Write, name: str, says: str) -> None:
    tree = eiplatform.open(network_recording())
    with pytest.raises(KeyError, match=says) as caught:
        tree[name]
    assert isinstance(caught.value, EIPlatformError)
    assert "fc9" not in tree and tree.get("fc9") is None  # still a mapping


def test_a_wrong_name_below_a_layer(network_recording: Write) -> None:
    tree = eiplatform.open(network_recording())
    with pytest.raises(UnknownNameError, match="fc1: no population 'X'.*valid: E"):
        tree["fc1"]["X"]
    with pytest.raises(UnknownNameError, match="did you mean 'drive'"):
        tree["fc1/E"]["drve"]


def test_the_tree_is_still_a_tree(network_recording: Write) -> None:
    tree = eiplatform.open(network_recording())
    expected = tree["fc1/E"].to_dataset().load()
    for same in (tree.copy(), copy.deepcopy(tree), pickle.loads(pickle.dumps(tree)), tree.load()):
        xr.testing.assert_identical(same["fc1/E"].to_dataset(), expected)
    chosen = tree.isel(sample=slice(3)).map_over_datasets(lambda data: 2 * data if data else data)
    np.testing.assert_array_equal(chosen["fc1/E/drive"].values, 2 * expected["drive"].values[:3])
    assert isinstance(tree, xr.DataTree)


def test_display_says_which_recording_and_whether_it_is_whole(
    network_recording: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = network_recording("<b>name</b>".replace("/", ""), shards=3)
    tree = eiplatform.open(path)
    assert "complete" in repr(tree).splitlines()[0] and "40 samples, 3 populations" in repr(tree)
    (path / "shards" / "00002.h5").unlink()
    part = eiplatform.open(path, partial=True)
    html = part._repr_html_()
    assert "PARTIAL: shard 00002.h5 is missing" in html and "27 samples" in html and "&lt;b&gt;name" in html
    assert "<b>name" not in html
    told = eiplatform.info(path, partial=True)
    assert "PARTIAL" in str(told) and "&lt;b&gt;name" in told._repr_html_() and "<b>name" not in told._repr_html_()


def test_info_of_a_packed_and_of_a_directory_agree(circuit_recording: Write, tmp_path: Path) -> None:
    path = circuit_recording()
    one, other = eiplatform.info(path), eiplatform.info(pack(path, tmp_path / "c.h5"))
    assert one.populations["E"].rate == other.populations["E"].rate
    assert one.populations["E"].units["current_exc"] == "mV" and "current_exc (mV)" in str(one)
    assert (one.n_shards, other.n_shards, one.form, other.form) == (3, 3, "shards", "packed")
    assert 0 < one.populations["E"].bytes < one.bytes == sum(f.stat().st_size for f in path.glob("shards/*.h5"))
    lines = str(one).splitlines()
    assert lines[-1].split()[:2] == ["E", "E"] and lines[-2].startswith("population")


def test_info_reads_spikes_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("eiplatform.store.blocks.BLOCK_BYTES", 2**14)
    data = layer(np.arange(300), neurons=500)[["spikes"]]
    with RecordingWriter(tmp_path / "r", source=SOURCE, config={}) as writer:
        writer.append({"fc1/E": data})
    eiplatform.info(tmp_path / "r")
    tracemalloc.start()
    told = eiplatform.info(tmp_path / "r")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert told.populations["fc1/E"].rate == f"{float(data['spikes'].mean()):.3f} per step"
    assert peak < data["spikes"].nbytes / 2, (peak, data["spikes"].nbytes)
    assert main(["info", str(tmp_path / "r"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["populations"]["fc1/E"]["bytes"] > 0


def test_chunks_need_dask(network_recording: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = network_recording()  # before: xarray looks for dask where something has imported it already
    monkeypatch.setitem(sys.modules, "dask", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'eiplatform\[dask\]'"):
        eiplatform.open(path, chunks={})


def test_one_chunk_per_shard(network_recording: Write, circuit_recording: Write, tmp_path: Path) -> None:
    pytest.importorskip("dask")
    path = network_recording(shards=3)
    for place in (path, pack(path, tmp_path / "p.h5")):
        tree = eiplatform.open(place, chunks={})
        assert tree["fc1/E/drive"].chunks == ((14, 13, 13), (4,), (6,))
        assert tree["fc1/E/bias"].chunks == ((6,),) and tree["fc1/E/label"].chunks is None
        for name in ("fc1/E", "readout/E"):
            xr.testing.assert_identical(
                tree[name].to_dataset().compute(), eiplatform.open(path)[name].to_dataset().load()
            )
    cut = eiplatform.open(path, chunks={"neuron": 4})["fc1/E/drive"]
    assert cut.chunks == ((14, 13, 13), (4,), (4, 2))
    mean = float(eiplatform.open(path, chunks="auto")["fc1/E/drive"].mean())
    assert mean == pytest.approx(float(cut.values.mean()), rel=1e-6)
    events = eiplatform.open(circuit_recording(), chunks={})["E"].to_dataset()
    assert len(events["spike_time"].chunks[0]) == 3
    np.testing.assert_array_equal(events["spike_time"], eiplatform.open(tmp_path / "circuit")["E/spike_time"])


def test_unknown_chunks_are_named(network_recording: Write) -> None:
    pytest.importorskip("dask")
    with pytest.raises(UnknownNameError, match="valid: auto, {'sample': size}"):
        eiplatform.open(network_recording(), chunks={"neurons": 4})
