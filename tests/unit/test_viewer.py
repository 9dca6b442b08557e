"""The viewer serves this machine alone, reads only, and knows nothing outside its run."""

from __future__ import annotations

import base64
import json
import signal
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import numpy as np
import pytest

from eiplatform.cli import main
from eiplatform.errors import ConfigError, StoreError
from eiplatform.store.reader import open_recording
from eiplatform.viewer import Viewer
from tests.conftest import write_circuit, write_network


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Viewer, Path]]:
    run = tmp_path_factory.mktemp("run")
    write_network(run / "recordings" / "long", samples=3, steps=520)
    write_circuit(run / "circuit")
    outside = write_network(tmp_path_factory.mktemp("outside") / "secret")
    (run / "recordings" / "leads-out").symlink_to(outside)
    viewer = Viewer(run)
    thread = threading.Thread(target=viewer.serve, daemon=True)
    thread.start()
    yield viewer, run
    viewer.server.shutdown()
    thread.join()


def ask(viewer: Viewer, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, dict[str, str]]:
    connection = HTTPConnection(*viewer.server.server_address[:2], timeout=20)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = answer.status, answer.read(), dict(answer.getheaders())
    connection.close()
    return found


def numbers(column: dict[str, str]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(column["f4"]), "<f4")


def frame(viewer: Viewer, kind: str, key: str, recording: int) -> dict[str, Any]:
    status, body, _ = ask(viewer, f"/{kind}?recording={recording}&key={quote(key)}")
    assert status == 200
    found: dict[str, Any] = json.loads(body)
    return found


def test_a_neuron_is_as_it_was_recorded(served: tuple[Viewer, Path]) -> None:
    viewer, run = served
    recorded = open_recording(run / "recordings" / "long")["fc2/E"].ds.isel(sample=2, neuron=4)
    number = list(viewer.places).index("recordings/long")
    for window, part in ((0, slice(500)), (1, slice(500, 520))):
        sources = frame(viewer, "neuron", f"1|4|2|{window}", number)["sources"]
        mine = recorded.isel(time=part)
        np.testing.assert_array_equal(numbers(sources["trace"]["current_exc"]), mine["current_exc"].values)
        np.testing.assert_array_equal(numbers(sources["trace"]["gain"]), mine["gain"].values)
        np.testing.assert_array_equal(numbers(sources["fired"]["time"]), mine["time"].values[mine["spikes"].values])


def test_a_raster_has_the_spikes_of_a_circuit(served: tuple[Viewer, Path]) -> None:
    viewer, run = served
    recorded = open_recording(run / "circuit")["E"].ds
    number = list(viewer.places).index("circuit")
    fired = numbers(frame(viewer, "raster", "0|1|0", number)["sources"]["fired"]["time"])
    here = recorded["spike_sample"].values == recorded["sample"].values[1]
    mine = recorded["spike_time"].values[here & np.isin(recorded["spike_neuron"].values, recorded["neuron"].values)]
    inside = np.sort(mine)[np.sort(mine) < float(recorded["time"].values[:500][-1]) + recorded.attrs["dt"]]
    np.testing.assert_allclose(np.sort(fired), inside, rtol=1e-5)


def test_only_what_is_looked_at_is_read(tmp_path: Path) -> None:
    place = write_network(tmp_path / "large", samples=60, steps=900, shards=6)
    shown = Viewer(place)
    whole = sum(file.stat().st_size for file in place.rglob("*.h5"))
    shown.answer("/neuron", {"key": "0|0|0|0"})  # what is imported at first use
    tracemalloc.start()
    shown.answer("/neuron", {"key": "1|2|40|1"})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    shown.server.server_close()
    assert most < whole / 8


def test_only_recordings_of_the_run_are_there(served: tuple[Viewer, Path]) -> None:
    viewer, _ = served
    assert sorted(viewer.places) == ["circuit", "recordings/long"]
    for path in (
        "/../circuit/manifest.json",
        "/circuit/manifest.json",
        "/etc/passwd",
        "//etc/passwd",
        "/%2e%2e/x",
        "/neuron/..",
    ):
        assert ask(viewer, path)[0] == 404
    for key in (
        "",
        "0",
        "0|0|0",
        "0|0|0|0|0",
        "-1|0|0|0",
        "0|99|0|0",
        "9|0|0|0",
        "0|0|0|9",
        "a|0|0|0",
        "../../x|0|0|0",
    ):
        status, body, _ = ask(viewer, f"/neuron?key={quote(key)}")
        assert status == 400 and json.loads(body)["error"]
    assert ask(viewer, "/?recording=2")[0] == ask(viewer, "/?recording=..")[0] == 400


def test_other_names_of_this_machine_are_refused(served: tuple[Viewer, Path]) -> None:
    viewer, _ = served
    port = viewer.server.server_address[1]
    for host in (f"127.0.0.1:{port}", "localhost:8000", "LOCALHOST"):
        assert ask(viewer, "/neuron?key=0|0|0|0", Host=host)[0] == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "", "[::1]"):
        assert ask(viewer, "/neuron?key=0|0|0|0", Host=host)[0] == 403
    assert ask(viewer, "/neuron?key=0|0|0|0", Sec_Fetch_Site="cross-site")[0] == 403
    assert viewer.server.server_address[0] == "127.0.0.1"


def test_nothing_can_be_changed(served: tuple[Viewer, Path]) -> None:
    viewer, run = served
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert ask(viewer, "/", method)[0] == 501
    status, body, headers = ask(viewer, "/", "HEAD")
    assert status == 200 and body == b"" and "default-src 'none'" in headers["Content-Security-Policy"]
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")) == before


def test_the_command_says_its_address_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    place = write_network(tmp_path / "a")
    command = [sys.executable, "-m", "eiplatform", "view", str(place), "--json"]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True, "start_new_session": True}
    # What starts in the background of a script ignores ctrl-c, and so would what this test starts.
    options["preexec_fn"] = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, **options) as running:
        try:
            assert running.stdout is not None
            told = json.loads("".join(iter(running.stdout.readline, "}\n")) + "}")
            with urlopen(told["address"] + "neuron?key=0%7C0%7C0%7C0", timeout=20) as answer:
                assert "fc1/E, neuron 0" in json.load(answer)["text"]
            running.send_signal(signal.SIGINT)
            assert running.wait(20) == 0 and told["recordings"] == ["a"]
        finally:
            running.kill()


def test_what_cannot_be_shown_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StoreError) as missing:
        Viewer(tmp_path / "nowhere")
    assert missing.value.where == str(tmp_path / "nowhere")
    assert main(["view", str(tmp_path)]) == 2
    assert "no recording is in this directory" in capsys.readouterr().err
    place = write_network(tmp_path / "a")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError) as busy:
            Viewer(place, port=taken.getsockname()[1])
    assert busy.value.where == "--port" and busy.value.remedy
    assert main(["view", str(place), "--port", "70000"]) == 2
