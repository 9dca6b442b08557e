"""``list`` and ``describe`` know everything by name; ``info`` knows whatever lies at a place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import eiplatform as ei
from eiplatform.cli import main
from eiplatform.errors import StoreError, UnknownNameError

HAS = {
    "circuits": "brunel-2000",
    "statistics": "ei_ratio",
    "measurements": "mouse-v1-neuropixels",
    "signals": "gain",
    "analyses": "balance",
    "figures": "learning_curve",
    "studies": "systems",
    "configs": "digits-mlp",
    "datasets": "digits",
    "layers": "ei",
    "neurons": "lif",
    "interventions": "Scale",
    "designs": "shapley",
}


@pytest.mark.parametrize("kind", HAS)
def test_everything_is_listed_and_described(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = ei.list(kind)
    assert all(found.values()) and HAS[kind] in found
    described = ei.describe(HAS[kind], kind)
    assert (described.kind, described.name) == (kind, HAS[kind]) and described.sections
    assert HAS[kind] in str(described) and HAS[kind] in described._repr_html_() and HAS[kind] in found._repr_html_()
    assert main(["list", kind, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == dict(found)
    assert main(["describe", HAS[kind], "--kind", kind, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == described.title


def test_kinds_are_listed() -> None:
    assert list(ei.list()) == list(HAS)


def test_a_statistic_is_described_in_full() -> None:
    sections = ei.describe("ei_ratio").sections
    assert "ratio_i" in sections["formula"] and "Xue" in sections["paper"] and "current_inh" in sections["needs"]


def test_a_circuit_says_its_parameters() -> None:
    text = str(ei.describe("brunel-2000"))
    assert "j_mv = " in text and 'ei.simulate("brunel-2000"' in text and "Brunel" in text


def test_near_names_are_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnknownNameError) as error:
        ei.describe("ei_ration")
    assert "'ei_ratio'" in error.value.what
    with pytest.raises(UnknownNameError):
        ei.list("statistic")
    assert main(["list", "statistic"]) == 2 and "statistics" in capsys.readouterr().err


def test_info_knows_what_is_there(network_recording: Callable[..., Path], tmp_path: Path) -> None:
    place = network_recording("one")
    network_recording("two")
    assert ei.info(place).as_dict()["kind"] == "network"
    assert ei.info(ei.open(place)).as_dict()["form"] == "memory"
    several = ei.info(place.parent)
    assert several.as_dict()["kind"] == "recordings" and "2 recordings" in str(several)
    result = ei.analyse("balance", place, statistics=["ei_ratio"], n_bootstrap=20)
    result.save(tmp_path / "balance.nc")
    facts = ei.info(tmp_path / "balance.nc").as_dict()
    assert facts["kind"] == "result" and facts["analysis"] == "balance"
    with pytest.raises(StoreError) as error:
        ei.info(tmp_path / "missing")
    assert error.value.where == str(tmp_path / "missing")


def test_figures_and_report_of_a_result(network_recording: Callable[..., Path], tmp_path: Path) -> None:
    result = ei.analyse("balance", network_recording(), statistics=["ei_ratio", "rate"], n_bootstrap=20)
    (made,) = ei.figures(result, tmp_path / "figures")
    assert made.png.stat().st_size and made.name == "balance_across_layers"
    assert ei.report({"mine": result}, tmp_path / "r.html").read_text().count("<figure>") == 1
    with pytest.raises(UnknownNameError):
        ei.analyse("balance", network_recording("other"), n_bootstraps=20)


def test_the_doctor_shows_what_its_help_promises(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {"python", "torch", "C++ compiler", "GPU", "cache", "data sets", "project"} <= set(found)


def test_help_has_an_example_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    from eiplatform.cli.app import COMMANDS

    for commands in COMMANDS.values():
        for command, example in commands:
            name = command.__name__.rstrip("_").replace("_", "-")
            assert example.split()[0] == name
            main([name, "--help"])
            assert f"eiplatform {name}" in capsys.readouterr().out
