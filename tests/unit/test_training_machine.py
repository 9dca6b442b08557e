"""What is left to the machine is written down, kept by a resumed run, and said where it is slow."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch

from eiplatform.config import Config, load_config
from eiplatform.errors import ConfigError
from eiplatform.networks import load
from eiplatform.networks.kernels import compiled
from eiplatform.training import describe, fit, machine
from eiplatform.training.machine import SlowPrecisionWarning, has_bf16, settle, slow_precision


def small(*options: str) -> Config:
    sets = ["dataset.name=digits", "network.architecture=mlp", "network.hidden=[8]", "training.epochs=2"]
    sets += ["training.warmup_epochs=0", "training.batch_size=512", "training.threads=1", "dataset.validation=0.1"]
    return load_config(None, [*sets, *options])


@pytest.fixture(params=[True, False], ids=["with", "without"])
def has(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(machine, "has_bf16", lambda device="cpu": request.param)
    return bool(request.param)


def test_this_processor_has_what_its_flags_say() -> None:
    flags = Path("/proc/cpuinfo")
    if flags.exists() and "flags" in flags.read_text():
        names = flags.read_text().split()
        assert has_bf16() == bool({"avx512_bf16", "amx_tile"} & set(names))
    else:
        assert has_bf16() in (True, False)
    assert not torch.cuda.is_available() or has_bf16("cuda") == torch.cuda.is_bf16_supported(including_emulation=False)


def test_auto_is_what_the_machine_has_and_is_written_down(tmp_path: Path, has: bool) -> None:
    config = small("training.precision=auto", "training.backend=auto")
    chosen = "bf16" if has else "float32"
    assert settle(config).training.precision == chosen
    assert f", {chosen}, " in describe(config)
    assert settle(small()) == small()
    result = fit(config, tmp_path / "r")
    backend = "compiled" if compiled.available() else "eager"
    for stored in (load_config(tmp_path / "r" / "config.yml"), load(result.checkpoint)[1]):
        assert (stored.training.precision, stored.training.backend) == (chosen, backend)
    software = json.loads((tmp_path / "r" / "result.json").read_text())["software"]
    assert (software["precision"], software["backend"]) == (chosen, backend)


@pytest.mark.parametrize("first", ["float32", "bf16"])
def test_a_resumed_run_keeps_its_choice_or_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.setattr(machine, "has_bf16", lambda device="cpu": first == "bf16")
    auto = small("training.precision=auto")
    fit(auto, tmp_path / "r")
    # On the other kind of machine.
    monkeypatch.setattr(machine, "has_bf16", lambda device="cpu": first != "bf16")
    if first == "float32":
        assert settle(auto, tmp_path / "r").training.precision == "float32"
        assert fit(auto, tmp_path / "r", resume=True).epochs == 2
        return
    with pytest.raises(ConfigError) as caught:
        fit(auto, tmp_path / "r", resume=True)
    assert "training.precision=bf16" in caught.value.what
    # Asked for by name, it goes on.
    with pytest.warns(SlowPrecisionWarning):
        assert fit(small("training.precision=bf16"), tmp_path / "r", resume=True).epochs == 2


def test_slow_bf16_is_said_before_training(tmp_path: Path, has: bool) -> None:
    config = small("training.precision=bf16")
    assert (slow_precision(config) is None) == has
    assert slow_precision(small()) is None
    seen: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(config, tmp_path / "r", observe=lambda *_: seen.append(f"{len(caught)}"))
    assert [w.category for w in caught] == ([] if has else [SlowPrecisionWarning])
    assert set(seen) == {"0" if has else "1"}


def test_doctor_says_it(has: bool) -> None:
    from eiplatform.doctor import examine

    finding = {finding.name: finding for finding in examine()}["bf16"]
    assert finding.ok == has and finding.optional
    assert has or "training.precision" in finding.remedy


def test_recipes_leave_it_to_the_machine() -> None:
    folder = Path(__file__).parents[2] / "analyses" / "configs"
    found = {path.stem: load_config(path).training for path in folder.glob("*.yml")}
    assert found and not [name for name, training in found.items() if training.precision == "bf16"]
