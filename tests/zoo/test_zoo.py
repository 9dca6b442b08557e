"""A zoo of networks as people write them: each is recorded right, or refused by name.

``python -m tests.zoo`` prints what comes of each.  A new case is one function in a ``*_nets.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import eiplatform
from eiplatform.errors import EIPlatformError
from tests.zoo.cases import BATCH, CASES, load_all
from tests.zoo.judge import judge, recorded_right, seed_all

load_all()


@pytest.fixture(scope="module", params=CASES)
def name(request: pytest.FixtureRequest) -> str:
    """Name every case in turn; of the module's scope, so that the tests of a case follow each other."""
    return str(request.param)


def test_right_or_refused(name: str, record_property: Callable[[str, Any], None]) -> None:
    outcome = judge(name)
    record_property("zoo", outcome.kind)  # counted at the end of the session, see tests/conftest.py
    assert outcome.kind == CASES[name].expected, outcome.why


def test_the_module_is_as_it_was(name: str) -> None:
    """Modes, values, gradients, lists, hooks, and the states of random numbers: all of it, bit for bit."""
    assert judge(name).touched == ()


def test_a_batch_that_is_given_as_the_module_takes_it_is_right_or_refused() -> None:
    """``adapt(net, x, time_axis=1)`` and ``run(x)`` agree on the axes of the same `x`, or ``run`` names its shape."""
    wrong = {}
    batch_first = {name: net for name, case in CASES.items() if (net := case.made()).axes == "BT"}
    for name, net in batch_first.items():
        seed_all(3)
        x = net.x(BATCH)
        network = eiplatform.adapt(net.module, x, **net.options).eval()
        try:
            wrong[name] = recorded_right(CASES[name], network, x, x)
        except EIPlatformError as error:
            wrong[name] = "" if str(tuple(x.shape)) in str(error) else str(error)
    assert len(wrong) > 5
    assert {name: why for name, why in wrong.items() if why} == {}


def test_the_zoo_is_large_enough() -> None:
    assert len(CASES) >= 60
    assert {name.partition("_")[0] for name in CASES} >= {"plain", "snntorch", "spikingjelly", "norse", "sinabs"}
