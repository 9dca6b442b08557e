"""What limits the meaning of a value reaches results, tables and findings: once, and for the right rows."""

from pathlib import Path

import numpy as np
import pytest

from eiplatform.analyses import Result
from eiplatform.analyses.balance import Balance
from eiplatform.analyses.balance_across_depth import BalanceAcrossDepth
from eiplatform.analyses.comparison import Comparison
from eiplatform.store.schema import population_dataset
from eiplatform.store.writer import RecordingWriter

FAST = {"n_bootstrap": 20, "seed": 0}
MARKS = "\u00b9\u00b2"
STATISTICS = ("ei_ratio", "ei_correlation_samples", "ei_correlation_samples_excess", "rate", "silent_share")


def written(path: Path, alike: tuple[bool, ...], active: float, seed: int) -> Path:
    """Three layers: inhibition the same for all neurons, or a neuron's own; neurons silent with a probability."""
    rng = np.random.default_rng(seed)
    populations = {}
    for number, same in enumerate(alike):
        exc = rng.gamma(3.0, size=(40, 4, 12))
        shared = rng.gamma(3.0, size=(40, 4, 1)) * np.linspace(1, 2, 12)
        spikes = (rng.random((40, 1, 12)) < active) & (np.arange(4) % 2 == 0)[None, :, None]
        populations[f"fc{number + 1}/E"] = population_dataset(
            {"current_exc": exc, "current_inh": shared if same else shared + 0.5 * exc, "spikes": spikes},
            sample=np.arange(40), time=np.arange(4), neuron=np.arange(12), dt=1.0, time_units="step",
            current_units="1", n_neurons=12, role="E",
            attrs={"membrane_decay": 0.5, "threshold": 1.0, "reset": "soft"},
        )  # fmt: skip
    with RecordingWriter(path, source={"kind": "network", "label": path.name, "name": "made"}, config={}) as writer:
        writer.append(populations)
    return path


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One that is silent in part, with two homogeneous layers of three, and one without either."""
    place = tmp_path_factory.mktemp("cautions")
    return written(place / "poor", (True, True, False), 0.6, 1), written(place / "rich", (False,) * 3, 1.0, 2)


def test_a_comparison_says_it_of_either_side(recordings: tuple[Path, Path]) -> None:
    poor, rich = recordings
    here = Comparison().run(poor, [rich], statistics=STATISTICS, **FAST).data
    there = Comparison().run(rich, [poor], statistics=STATISTICS, **FAST).data
    for result, own in ((here, "caution"), (there, "reference_caution")):
        dim = "population" if own == "caution" else "reference"
        said = result[own].transpose(dim, "statistic")
        assert ("silent" in said.sel(statistic="rate").values[0].item()) and not (
            said.sel(statistic="ei_ratio") != ""
        ).any()
        assert (said.sel(statistic="silent_share") == "").all()
        excess = said.sel(statistic="ei_correlation_samples_excess").values
        assert ["homogeneous" in str(text) for text in excess] == [True, True, False]
        other = "reference_caution" if own == "caution" else "caution"
        assert (result[other] == "").all()
        labels = {key: str(result["label"].sel(statistic=key).item()) for key in STATISTICS}
        for table in Result(result).tables():
            marked = {
                key
                for key in STATISTICS
                for row in table.rows
                if row[0].startswith(f"{labels[key]} ") and row[0][-1] in MARKS
            }
            shown = {key for key in STATISTICS for row in table.rows if row[0].rstrip(MARKS).rstrip() == labels[key]}
            of_reference = own == "caution" or not table.title.endswith("fc3/E")
            alike = {"ei_correlation_samples_excess"} if of_reference else set()
            assert marked == shown & ({"rate"} | alike)
            assert table.note.count("homogeneous") == bool(shown & alike)
            assert table.note.count("are silent") == ("rate" in shown)
    assert any("caution" in sentence for sentence in Result(here).findings())


def test_depth_and_balance_mark_the_rows_and_say_it_once(recordings: tuple[Path, Path]) -> None:
    poor, rich = recordings
    depth = BalanceAcrossDepth().run([poor, rich], statistics=STATISTICS, **FAST).data
    said = depth["caution"].sel(statistic="ei_correlation_samples_excess")
    assert (said.sel(recording="rich") == "").all()
    assert ["homogeneous" in str(text) for text in said.sel(recording="poor").values] == [True, True, False]
    tables = {table.title.split("'")[1]: table for table in Result(depth).tables()}
    assert "Caution" not in tables["rich"].note
    plain = Balance().run(poor, statistics=STATISTICS, **FAST).data
    for table in (tables["poor"], Result(plain).tables()[0]):
        labels = {key: str(plain["label"].sel(statistic=key).item()) for key in STATISTICS}
        marks = {
            key: row[0].removeprefix(labels[key])
            for key in STATISTICS
            for row in table.rows
            if row[0].startswith(labels[key] + " ") or row[0] == labels[key]
        }
        assert marks["ei_ratio"] == marks["silent_share"] == marks["ei_correlation_samples"] == ""
        assert {marks["rate"], marks["ei_correlation_samples_excess"]} == {" \u00b9", " \u00b2"}
        assert table.note.count("homogeneous") == 1 == table.note.count("are silent")
        assert "(fc1/E, fc2/E)" in table.note and "(fc1/E, fc2/E, fc3/E)" in table.note


def test_homogeneous_inhibition_is_no_evidence_about_detailed_balance(recordings: tuple[Path, Path]) -> None:
    poor, rich = recordings
    told = Balance().run(poor, **FAST).findings()
    assert any("for or against detailed balance in fc1 and fc2 " in text for text in told)
    assert any("partly detailed" in text and "in fc3 (difference" in text for text in told)
    assert "in fc1, fc2 and fc3" in told[-1] and "are silent" in told[-1]
    told = Balance().run(rich, **FAST).findings()
    assert not any("for or against" in text for text in told)
