"""What is asked wrongly of ``analyse``, ``compare``, ``report``, ``open`` and ``load`` is said in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import eiplatform as ei
from eiplatform.analyses import Result
from eiplatform.errors import ConfigError, EIPlatformError, UnknownNameError
from eiplatform.networks.checkpoint import CheckpointError

FAST: dict[str, Any] = {"n_bootstrap": 20}


@pytest.fixture
def network(network_recording: Callable[..., Path]) -> Any:
    return ei.open(network_recording())


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    for nothing in ([], {}, [3], {"mine": 3}):
        with pytest.raises(ConfigError) as caught:
            ei.report(nothing, tmp_path / "x.html")  # type: ignore[arg-type]
        assert caught.value.where == "results" and ".nc" in str(caught.value.valid)
    assert not any(tmp_path.iterdir())


def test_a_comparison_with_nothing_is_refused(network: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        ei.compare(network, [])
    assert caught.value.where == "to" and "brunel-2000-C" in str(caught.value.valid)
    with pytest.raises(ConfigError) as caught:
        ei.analyse("comparison", network, [])
    assert caught.value.what == "references is empty" and "shipped summaries" in str(caught.value.valid)


@pytest.mark.parametrize("ask", ["compare", "balance", "balance_across_depth"])
def test_statistics_are_keys_or_one_key(network: Any, ask: str) -> None:
    def made(statistics: Any) -> Result:
        if ask == "compare":
            return ei.compare(network, "brunel-2000-C", statistics=statistics, **FAST)
        return ei.analyse(ask, network, statistics=statistics)

    assert made("ei_ratio").data["statistic"].values.tolist() == ["ei_ratio"]
    with pytest.raises(UnknownNameError) as caught:
        made([])
    assert caught.value.where == "statistics" and "ei_ratio" in str(caught.value.valid)


@pytest.mark.parametrize("analysis", ["traces", "distributions", "timescales", "balance_across_depth"])
def test_one_recording_is_a_list_of_one(network_recording: Callable[..., Path], analysis: str) -> None:
    network = ei.open(network_recording(steps=300))
    one, listed = ei.analyse(analysis, network), ei.analyse(analysis, [network])
    assert one.data.identical(listed.data)


@pytest.mark.parametrize(
    ("inputs", "what", "valid"),
    [
        ((), "'balance' needs recording", "a recording"),
        ((3,), "3 is of the type int", "a recording"),
        (([],), "[] is of the type list", "a recording"),
        (("a", "b", "c"), "'balance' takes 2 inputs, 3 were given", "recording (a recording), nulls"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: tuple[Any, ...], what: str, valid: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ei.analyse("balance", *inputs)
    assert caught.value.what == what and str(caught.value.valid).startswith(valid)


def test_no_recordings_are_refused() -> None:
    for inputs in ((), ([],), ([3],)):
        with pytest.raises(ConfigError) as caught:
            ei.analyse("traces", *inputs)
        assert caught.value.valid == "recordings, or directories of them"


def test_what_is_no_recording_and_no_axes_is_refused(network: Any) -> None:
    thing: Any = 3
    for ask, where in ((ei.to_frame, "source"), (ei.open, "path"), (ei.info, "path")):
        with pytest.raises(ConfigError) as caught:
            ask(thing)
        assert caught.value.where == where and caught.value.valid
    result = ei.analyse("balance", network, statistics="ei_ratio", **FAST)
    for name in ("ax", "figure"):
        with pytest.raises(ConfigError) as caught:
            result.plot(**{name: thing})
        assert caught.value.where == name


def test_a_saved_result_is_opened(network: Any, tmp_path: Path) -> None:
    result = ei.analyse("balance", network, statistics="ei_ratio", **FAST)
    place = result.save(tmp_path / "balance.nc")
    opened = ei.open(place)
    assert isinstance(opened, Result) and opened.findings() == result.findings()
    np.testing.assert_array_equal(opened.data["value"], result.data["value"])
    options: tuple[dict[str, Any], ...] = ({"partial": True}, {"chunks": {}})
    for option in options:
        with pytest.raises(ConfigError) as refused:
            ei.open(place, **option)
        assert refused.value.where == next(iter(option))
    with pytest.raises(CheckpointError) as caught:
        ei.load(place)
    assert caught.value.where == str(place) and caught.value.remedy == "open it with eiplatform.open"


def test_what_goes_on_keeps_its_dots() -> None:
    error = EIPlatformError("none is given", valid="Scale(...), Silence(...), ...", remedy="leave out exc, ...")
    assert str(error) == "none is given. valid: Scale(...), Silence(...), ... leave out exc, ..."


@pytest.mark.parametrize(("where", "name", "meant"), [(ei, "recrod", "record"), (ei.plot, "timescale", "timescales")])
def test_a_near_name_is_suggested(where: Any, name: str, meant: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(where, name)
    assert isinstance(caught.value, UnknownNameError) and f"did you mean '{meant}'?" in caught.value.what
    assert meant in str(caught.value.valid).split(", ") and not hasattr(ei, "recrod")


def test_the_error_of_a_missing_statistic_has_a_public_name(network: Any) -> None:
    with pytest.raises(AttributeError) as caught:
        network["fc1/E"].ds.ei.ei_rato()
    assert type(caught.value).__name__ == "UnknownAttributeError" and isinstance(caught.value, UnknownNameError)
