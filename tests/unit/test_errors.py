"""Messages name what happened, where, what is valid and the remedy; near names are suggested."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eiplatform.errors import EIPlatformError, UnknownNameError, choose, match_names, suggest
from tests.examples import examples


def test_message_is_one_line_with_all_parts() -> None:
    error = EIPlatformError("it broke", where="here", valid=["a", "b"], remedy="mend it")
    assert str(error) == "here: it broke. valid: a, b. mend it."
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("wrong", "right"), [("fc1", "fc1/E"), ("FC2/e", "fc2/E"), ("gian", "gain"), ("distribution", "gain_distributions")]
)
def test_near_names_are_suggested(wrong: str, right: str) -> None:
    assert suggest(wrong, ["fc1/E", "fc2/E", "gain", "gain_distributions"]) == f" – did you mean '{right}'?"


def test_nothing_near_suggests_nothing() -> None:
    assert suggest("zzz", ["fc1/E"]) == ""


@examples(30)
@given(st.text(min_size=1), st.lists(st.text(min_size=1), min_size=1))
def test_choose_returns_valid_names_only(name: str, valid: list[str]) -> None:
    if name in valid:
        assert choose(name, valid, "thing") == name
    else:
        with pytest.raises(UnknownNameError):
            choose(name, valid, "thing")


def test_every_pattern_must_match_something() -> None:
    names = ["fc1/E", "fc1/I", "readout/E"]
    assert match_names(["*"], names, "population") == names
    with pytest.raises(UnknownNameError, match="no population is named"):
        match_names([], names, "population")
    assert match_names(["readout/*", "fc1/I"], names, "population") == ["fc1/I", "readout/E"]
    with pytest.raises(UnknownNameError, match="no population matches 'conv[*]'"):
        match_names(["fc*", "conv*"], names, "population")
