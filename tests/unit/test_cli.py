"""The command line: exit status 0, 2 or 3, one line per mistake, nothing half-written."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import eiplatform as ei
from eiplatform.cli import main
from eiplatform.errors import ConfigError
from eiplatform.store import RecordingWriter, validate
from tests.conftest import layer, write_network

Write = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, *arguments: object) -> tuple[int, str, str]:
    """Run a command in this process; return status, standard output and standard error."""
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def refused(capsys: Capture, *arguments: object, says: str) -> None:
    """Assert that a command is refused with status 2 and one clear message."""
    status, out, err = run(capsys, *arguments)
    assert status == 2, (status, out, err)
    messages = [line for line in err.splitlines() if line.startswith("eiplatform: ")]
    assert len(messages) == 1 and err.endswith(messages[0] + "\n"), err  # one line, and nothing after it
    assert "Traceback" not in err
    assert re.search(says, messages[0]), messages[0]


def test_help_lists_every_command_and_loads_nothing_heavy() -> None:
    program = (
        "import sys; from eiplatform.cli import main; main(['--help']);"
        "print('HEAVY', [m for m in ('torch', 'brian2', 'xarray', 'numpy', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    commands = "demo train record simulate analyse compare lesion figures report info validate view pack unpack".split()
    commands += ["doctor", "import", "export", "study"]
    assert all(re.search(rf"│ {command} ", done.stdout) for command in commands)
    assert "HEAVY []" in done.stdout


def test_version(capsys: Capture) -> None:
    status, out, _ = run(capsys, "--version")
    assert status == 0 and out.strip() == ei.__version__


def test_unknown_commands_and_options_suggest_the_near_one(capsys: Capture) -> None:
    refused(capsys, "recrod", says='Did you mean "record"')
    refused(capsys, "demo", "--sed", "3", says="Did you mean --seed")
    refused(capsys, "demo", "--seed", "three", says="unable to convert")


def test_wrong_arguments_name_the_page_that_helps(capsys: Capture, tmp_path: Path) -> None:
    refused(
        capsys,
        "lesion",
        tmp_path,
        "--out",
        tmp_path / "x",
        "--doses",
        "half",
        says=r"'half|\"half\".*See 'eiplatform lesion --help'",
    )
    refused(capsys, "record", tmp_path, says=r"--out.*See 'eiplatform record --help'")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["record", "REC", "--signals"], "--signals. At least one value must follow"),
        (["simulate", "isn", "--seeds"], "--seeds. At least one value must follow"),
        (["train", "--set"], "--set. At least one value must follow"),
        (["train", "--record-epochs", "1"], "--record-epochs without --record.*add --record"),
        (["train", "--resume", "--overwrite"], "resume and overwrite exclude each other"),
        (["analyse", "balance", "REC", "--out", "x.csv"], "x.csv: .*valid: a name that ends in .nc"),
        (["analyse", "balance_across_depth", "REC", "REC", "--out", "OUT.nc"], "or is given twice"),
        (["compare", "REC", "REC", "--to", "brunel-2000-C", "--out", "OUT.nc"], "no option before them: .*network"),
        (["compare", "REC", "--to", "brunel-2000-C", "--seeds", "--out", "OUT.nc"], "only networks are given as seeds"),
        (["export", "deepeisnn", "REC"], "is a directory, a file is needed.*valid: a .*safetensors file"),
        (["import", "deepeisnn", "nowhere"], "nowhere: this path does not exist"),
        (
            ["simulate", "isn", "--record-dt-ms", "0.33"],
            "0.33 ms is not possible.*whole multiple of .* 0.1 ms, above 0",
        ),
    ],
)
def test_what_would_be_misread_is_refused(
    capsys: Capture, tmp_path: Path, network_recording: Write, arguments: list[str], says: str
) -> None:
    recording = str(network_recording())
    given = [text.replace("REC", recording).replace("OUT", str(tmp_path / "out")) for text in arguments]
    refused(capsys, *given, *([] if "--out" in given else ["--out", str(tmp_path / "out")]), says=says)
    assert not list(tmp_path.glob("out*"))


def test_a_network_larger_than_memory_is_refused_before_anything_is_written(capsys: Capture, tmp_path: Path) -> None:
    out = tmp_path / "run"
    settings = ("network.hidden=[1000000, 1000000]", "training.epochs=1", "training.warmup_epochs=0")
    refused(capsys, "train", "--out", out, "--set", *settings, says=r"million parameters need .* TB, .* free")
    assert not out.exists()


@pytest.mark.parametrize("message", ["DefaultCPUAllocator: can't allocate memory", "CUDA out of memory"])
def test_memory_that_runs_out_is_one_line_and_other_errors_are_not_hidden(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, message: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr("eiplatform.front.training.fit", fail)
    refused(capsys, "train", "--out", tmp_path / "a", says="not enough memory")
    message = "something else"
    with pytest.raises(RuntimeError, match="something else"):
        main(["train", "--out", str(tmp_path / "b")])


def test_demo_refuses_before_it_writes(capsys: Capture, tmp_path: Path) -> None:
    refused(capsys, "demo", "--size", "smal", "--out", tmp_path / "d", says="did you mean 'small'")
    refused(capsys, "demo", "--device", "nunpy", "--out", tmp_path / "d", says="did you mean 'numpy'")
    assert not (tmp_path / "d").exists()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    refused(capsys, "demo", "--size", "small", "--device", "numpy", "--out", tmp_path / "taken", says="not empty")
    refused(
        capsys,
        "demo",
        "--size",
        "small",
        "--device",
        "numpy",
        "--out",
        tmp_path / "taken",
        "--overwrite",
        says="did not make",
    )
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("device", ["cpp_standalone", "cython"])
def test_no_compiler_is_said_with_the_way_out(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    says = r"--device numpy"
    refused(capsys, "simulate", "brunel-2000", "--device", device, "--out", tmp_path / "s", says=says)
    refused(capsys, "demo", "--device", device, "--out", tmp_path / "d", says=says)
    assert not (tmp_path / "s").exists() and not (tmp_path / "d").exists()


def test_train_refuses_bad_configurations(capsys: Capture, tmp_path: Path) -> None:
    config = tmp_path / "c.yml"
    config.write_text("training:\n  epoch: 3\n")
    refused(capsys, "train", config, "--out", tmp_path / "t", says=r"unknown key 'epoch' – did you mean 'epochs'")
    says = r"unknown data set 'digit' – did you mean 'digits'"
    refused(capsys, "train", "--set", "dataset.name=digit", "--out", tmp_path / "t", says=says)
    refused(capsys, "train", "--set", "training.epochs=zero", "--out", tmp_path / "t", says="training.epochs.*integer")
    refused(capsys, "train", tmp_path / "absent.yml", "--out", tmp_path / "t", says="does not exist")
    assert not (tmp_path / "t").exists()


def test_record_refuses_what_is_not_there(capsys: Capture, tmp_path: Path) -> None:
    refused(
        capsys, "record", tmp_path / "absent.safetensors", "--out", tmp_path / "r", says="checkpoint does not exist"
    )
    (tmp_path / "junk.safetensors").write_bytes(b"not a checkpoint")
    refused(capsys, "record", tmp_path / "junk.safetensors", "--out", tmp_path / "r", says="damaged or no checkpoint")
    with pytest.raises(ConfigError, match="neurons"):
        ei.record(torch.nn.Linear(2, 2), torch.rand(3, 2), neurons=0)
    assert not (tmp_path / "r").exists()


def test_simulate_refuses_unknown_names_and_impossible_values(capsys: Capture, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "s", "--device", "numpy")
    refused(capsys, "simulate", "brunel", *out, says="did you mean 'brunel-2000'")
    refused(capsys, "simulate", "brunel-2000", "--set", "stat=C", *out, says="did you mean 'state'")
    refused(capsys, "simulate", "brunel-2000", "--set", "state=E", *out, says="'?E'?.*valid: A, B, C, D")
    refused(capsys, "simulate", "brunel-2000", "--set", "g=minus", *out, says="g: 'minus' is not a number")
    refused(capsys, "simulate", "brunel-2000", "--duration-ms", "-5", *out, says="duration_ms")
    refused(capsys, "simulate", "brunel-2000", "--seeds", "1", "1", *out, says="seeds")
    assert not (tmp_path / "s").exists()


def test_info_and_validate(capsys: Capture, network_recording: Write) -> None:
    path = network_recording()
    status, out, _ = run(capsys, "info", path)
    assert status == 0 and "fc1/E" in out and "complete" in out and "per step" in out
    status, out, _ = run(capsys, "info", path, "--json")
    assert status == 0 and json.loads(out)["populations"]["fc2/E"]["n_neurons"] == 6
    status, out, _ = run(capsys, "validate", path)
    assert status == 0 and "sound" in out and "voltage" in out


def test_damaged_recordings_are_named(capsys: Capture, network_recording: Write, tmp_path: Path) -> None:
    path = network_recording(shards=3)
    shard = path / "shards" / "00002.h5"
    shard.write_bytes(shard.read_bytes()[:1000])
    refused(capsys, "info", path, says="00002.h5 is truncated")
    refused(capsys, "analyse", "balance", path, "--out", tmp_path / "b.nc", says="00002.h5 is truncated")
    status, out, _ = run(capsys, "info", path, "--partial")
    assert status == 3 and "PARTIAL" in out
    status, out, _ = run(capsys, "validate", path)
    assert status == 2 and "truncated" in out
    shard.unlink()
    refused(capsys, "info", path, says="00002.h5 is missing")
    refused(capsys, "info", tmp_path / "nowhere", says="does not exist")
    assert not (tmp_path / "b.nc").exists()


def test_what_is_complete_can_be_analysed(capsys: Capture, network_recording: Write, tmp_path: Path) -> None:
    path = network_recording(shards=3)
    few = ("--bootstrap", "20", "--out", tmp_path / "b.nc")
    status, whole, _ = run(capsys, "analyse", "distributions", path, "--out", tmp_path / "d.nc", "--json")
    assert status == 0
    (path / "shards" / "00002.h5").unlink()
    refused(capsys, "analyse", "distributions", path, "--out", tmp_path / "e.nc", says="00002.h5 is missing.*--partial")
    status, part, err = run(capsys, "analyse", "distributions", path, "--partial", "--out", tmp_path / "e.nc", "--json")
    assert status == 3 and "PARTIAL: network: shard 00002.h5 is missing" in err
    from eiplatform.analyses import load_result

    full, rest = load_result(tmp_path / "d.nc").data, load_result(tmp_path / "e.nc").data
    assert int(full["n"].max()) == 40 * 4 * 6 and int(rest["n"].max()) == 27 * 4 * 6
    assert "missing" in str(rest.attrs["partial"]) and "partial" not in full.attrs
    refused(capsys, "analyse", "learning", path, "--partial", *few, says="takes no --partial")


def test_interrupted_recording_can_be_looked_at(capsys: Capture, tmp_path: Path) -> None:
    import numpy as np

    writer = RecordingWriter(tmp_path / "r", source={"kind": "network", "name": "toy"}, config={})
    writer.append({"fc1/E": layer(np.arange(5))})
    refused(capsys, "info", tmp_path / "r", says="so far 1 complete shard.*wait")
    writer.close()
    refused(capsys, "info", tmp_path / "r", says="interrupted after 1 complete shard")
    status, out, _ = run(capsys, "info", tmp_path / "r", "--partial", "--json")
    assert status == 3 and json.loads(out)["n_samples"] == 5


def test_from_recordings_to_report(
    capsys: Capture, network_recording: Write, circuit_recording: Write, tmp_path: Path
) -> None:
    trained = network_recording("trained", ratio=2.0)
    nulls = [network_recording(f"null{k}", seed=70 + k) for k in range(3)]
    long = network_recording("long", samples=6, steps=120)
    fast = ("--bootstrap", 30)
    status, out, _ = run(
        capsys, "analyse", "balance", trained, "--null", *nulls, "--out", tmp_path / "b.nc", *fast, "--json"
    )
    assert status == 0 and json.loads(out)["tables"][0]["rows"][0][0] == "E/I ratio"
    status, out, _ = run(capsys, "compare", long, "--to", circuit_recording(), "--out", tmp_path / "c.nc", *fast)
    assert status == 0 and "Not compared, and why" in out
    status, out, _ = run(
        capsys, "figures", tmp_path / "b.nc", "--out", tmp_path / "f", "--only", "balance_across_layers"
    )
    assert status == 0 and (tmp_path / "f" / "balance_across_layers.csv").is_file()
    status, out, _ = run(capsys, "report", tmp_path / "b.nc", tmp_path / "c.nc", "--out", tmp_path / "report.html")
    assert status == 0 and (tmp_path / "report.html").read_text().count("<figure>") == 2


def test_results_and_figures_refuse_what_does_not_fit(
    capsys: Capture, network_recording: Write, circuit_recording: Write, tmp_path: Path
) -> None:
    network, circuit, out = network_recording(), circuit_recording(), ("--out", tmp_path / "x.nc")
    refused(capsys, "analyse", "balanse", network, *out, says="did you mean 'balance'")
    refused(capsys, "analyse", "traces", network, "--null", network, *out, says="takes no --null")
    refused(capsys, "analyse", "balance", circuit, *out, says="must be of a network")
    refused(capsys, "compare", circuit, "--to", circuit, *out, says="must be of a network")
    refused(capsys, "compare", network, "--to", network, *out, says="stands for its own reference")
    refused(capsys, "compare", network, *out, says="--to")
    refused(capsys, "figures", tmp_path / "absent.nc", "--out", tmp_path / "f", says="does not exist")
    assert not (tmp_path / "x.nc").exists() and not (tmp_path / "f").exists()
    status, _, _ = run(capsys, "analyse", "distributions", network, *out)
    assert status == 0
    refused(
        capsys,
        "figures",
        tmp_path / "x.nc",
        "--out",
        tmp_path / "f",
        "--only",
        "gain",
        says="did you mean 'gain_modulation'",
    )
    refused(
        capsys,
        "figures",
        tmp_path / "x.nc",
        "--out",
        tmp_path / "f",
        "--only",
        "learning_curve",
        says="not among these results",
    )
    assert not (tmp_path / "f").exists()


def test_results_are_not_replaced_unasked(capsys: Capture, network_recording: Write, tmp_path: Path) -> None:
    network, result = network_recording(), tmp_path / "d.nc"
    assert run(capsys, "analyse", "distributions", network, "--out", result)[0] == 0
    before = result.read_bytes()
    refused(capsys, "analyse", "traces", network, "--out", result, says="exists already.*--overwrite")
    refused(capsys, "compare", network, "--to", network, "--out", result, says="exists already")
    refused(capsys, "analyse", "traces", network, "--out", tmp_path, says="is a directory, a file is needed")
    assert result.read_bytes() == before
    for command in (("figures", result, "--out", tmp_path / "f"), ("report", result, "--out", tmp_path / "r.html")):
        assert run(capsys, *command)[0] == 0
        refused(capsys, *command, says="exists already")
        assert run(capsys, *command, "--overwrite")[0] == 0
    assert run(capsys, "analyse", "traces", network, "--out", result, "--overwrite")[0] == 0
    assert result.read_bytes() != before


def test_lesion_refuses_bad_designs(capsys: Capture, tmp_path: Path) -> None:
    from eiplatform.config import load_config
    from eiplatform.networks import save
    from eiplatform.training import initialise

    config = load_config(None, ["network.hidden=[8]"])
    path, out = save(tmp_path / "m.safetensors", initialise(config), config), ("--out", tmp_path / "l")
    refused(capsys, "lesion", path, "--pathway", "I->E subtractiv", *out, says="did you mean 'I->E subtractive'")
    refused(capsys, "lesion", path, "--pathway", "I->E divisive", *out, says="no denominator")
    refused(capsys, "lesion", path, "--doses", "0", "2", *out, says="a dose of 2.0")
    assert not (tmp_path / "l").exists()


def test_read_only_place_is_said_plainly(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where a directory is needed")
    refused(
        capsys,
        "demo",
        "--size",
        "small",
        "--device",
        "numpy",
        "--out",
        blocked / "demo",
        says="cannot create the output",
    )


def test_doctor(capsys: Capture) -> None:
    status, out, _ = run(capsys, "doctor", "--json")
    findings = json.loads(out)
    assert status == 0 and findings["numpy"]["ok"] and findings["python"]["ok"]


def test_a_recording_survives_being_looked_at(capsys: Capture, tmp_path: Path) -> None:
    path = write_network(tmp_path / "r")
    before = {file.name: file.read_bytes() for file in (path / "shards").iterdir()}
    for command in ("info", "validate"):
        run(capsys, command, path)
    assert {file.name: file.read_bytes() for file in (path / "shards").iterdir()} == before
    assert validate(path).problems == []


def test_interrupt_and_full_disk_end_with_a_message(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    import eiplatform.files
    from eiplatform.cli import app

    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(eiplatform.files.os, "fsync", no_space)
        refused(
            capsys,
            "train",
            "--out",
            tmp_path / "t",
            "--set",
            "network.hidden=[8]",
            says="No space left.*Free some space",
        )
    monkeypatch.setattr(app, "app", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    status, _, err = run(capsys, "demo")
    assert status == 130 and "interrupted" in err


def test_ctrl_c_ends_with_130_and_what_resume_needs(tmp_path: Path) -> None:
    program = "import sys; from eiplatform.cli import main; sys.exit(main())"
    quick = ["--set", "network.hidden=[8]", "training.epochs=3000", "training.warmup_epochs=1"]
    state = tmp_path / "t" / "state.safetensors"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "train", "--out", str(tmp_path / "t"), *quick],
        stderr=subprocess.PIPE,
        text=True,
        # A background job is started with the signal ignored, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not state.is_file() and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in err and "Traceback" not in err
    assert state.is_file()


def test_one_seed_is_given_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--seed is the seed of the configuration; another one in --set is refused, not replaced."""
    out = [
        "--out",
        str(tmp_path / "run"),
        "--set",
        "training.epochs=1",
        "training.warmup_epochs=0",
        "network.hidden=[8]",
    ]
    assert main(["train", "digits-mlp", "--seed", "3", *out, "seed=4"]) == 2
    assert "two seeds" in capsys.readouterr().err and not (tmp_path / "run").exists()
    assert main(["train", "digits-mlp", "--seed", "3", *out, "seed=3"]) == 0
    assert ei.load(tmp_path / "run").config.seed == 3
