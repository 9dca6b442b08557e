"""One declaration gives the function, the method, the entries, the stub and the page; also in a user's project."""

import inspect
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import xarray as xr

import eiplatform
import eiplatform.statistics as ei
from eiplatform.errors import ConfigError, NotApplicableError, StatisticError, UnknownNameError
from eiplatform.statistics import registry as declare
from eiplatform.statistics.generate import outdated
from eiplatform.statistics.stubs import own

ROOT = Path(__file__).parents[2]
SECTIONS = ("Parameters", "Returns", "References", "Examples")


@pytest.fixture
def registry(monkeypatch):
    """Let a test declare without a trace."""
    statistics, declared = dict(declare.STATISTICS), dict(declare.DECLARED)
    yield
    for held, before in ((declare.STATISTICS, statistics), (declare.DECLARED, declared)):
        held.clear()
        held.update(before)


def recording() -> xr.DataTree:
    exc, inh = ei.example_population(neurons=6), ei.example_population(neurons=4, seed=1)
    return xr.DataTree.from_dict({"fc1/E": exc, "fc1/I": inh.drop_vars("current_exc"), "fc2/E": inh})


def test_the_stub_and_the_pages_are_what_the_declarations_say():
    assert {str(path) for path in outdated()} == set()  # else: python -m eiplatform.statistics.generate


@pytest.mark.parametrize("cls", own(), ids=lambda cls: cls.name)
def test_functions_and_methods_are_documented_and_have_a_signature(cls):
    function = getattr(ei, cls.name)
    method = getattr(ei.example_population().ei, cls.name)
    assert function.__name__ == method.__name__ == cls.name
    for part in SECTIONS:
        assert f"\n{part}\n{'-' * len(part)}\n" in function.__doc__, part
    parameters = inspect.signature(function).parameters
    assert list(parameters)[: len(cls.inputs)] == list(cls.inputs)
    assert list(inspect.signature(method).parameters) == list(parameters)[1:]
    for name, parameter in parameters.items():
        assert parameter.annotation is not inspect.Parameter.empty
        assert re.search(rf"\b{name}\b.*( :|$|,)", function.__doc__, flags=re.MULTILINE), name
    assert "**" not in str(inspect.signature(function))


def test_options_have_their_real_types():
    pairs = inspect.signature(ei.ei_correlation).parameters["pairs"]
    assert pairs.annotation == Literal["own", "cross", "excess", "partial"] and pairs.default == "own"


def test_a_statistic_says_how_to_ask_for_it():
    data = ei.example_population(neurons=101)
    for key, chosen in ei.STATISTICS.items():
        result = eval(chosen.call, {"data": data, "eiplatform": eiplatform})
        assert (result.name, result.attrs["long_name"]) == (key, chosen.label), chosen.call


def test_wrong_names_are_answered_with_the_right_one():
    data = ei.example_population(neurons=2)
    with pytest.raises(AttributeError) as error:
        data.ei.ei_corelation  # noqa: B018
    assert "'ei_correlation'" in error.value.what
    assert not hasattr(data.ei, "nothing_like_it") and not hasattr(data.ei, "_ipython_display_")
    with pytest.raises(UnknownNameError) as error:
        data.ei.ei_correlation(ovr="time")
    assert "'over'" in error.value.what
    with pytest.raises(AttributeError) as error:
        data.ei.rate_gini  # noqa: B018
    assert "per_neuron(data, 'rate_gini')" in error.value.what
    assert {"ei_ratio", "summary", "paradoxical_index"} <= set(dir(data.ei))


def test_a_node_and_a_whole_recording_are_asked_alike():
    tree = recording()
    alone = tree["fc2/E"].to_dataset().ei.ei_ratio()
    xr.testing.assert_identical(tree["fc2/E"].ei.ei_ratio(), alone)
    found = tree.ei.ei_ratio()
    assert [node.path for node in found.subtree if node.has_data] == ["/fc1/E", "/fc2/E"]
    xr.testing.assert_identical(found["fc2/E"]["ei_ratio"], alone)
    assert found.attrs["left_out"].startswith("fc1/I: the E/I ratio needs current_exc")
    assert set(tree.ei.gain_distribution()["fc1/I"].data_vars) >= {"mean", "quantile"}
    assert tree.ei.summary(["ei_ratio"], n_bootstrap=3).sizes["population"] == 3


def test_two_recordings_are_paired_by_population():
    tree = recording()
    twice = tree.map_over_datasets(lambda node: node.assign(spikes=node["spikes"] & False) if node.data_vars else node)
    found = tree.ei.perturbation_response(twice, statistic="rate", n_bootstrap=3)
    assert float(found["fc1/E"]["mean_perturbed"]) == 0 < float(found["fc1/E"]["mean_control"])
    with pytest.raises(StatisticError, match="not in both"):
        tree.ei.perturbation_response(xr.DataTree.from_dict({"other": twice["fc1/E"].to_dataset()}), n_bootstrap=3)


def test_a_recording_without_an_answer_says_why():
    tree = recording().map_over_datasets(lambda node: node.drop_vars("gain", errors="ignore"))
    with pytest.raises(StatisticError) as error:
        tree.ei.gain()
    assert error.value.where == "fc1/E" and "needs gain" in error.value.what


def test_repr_lists_what_can_be_answered_and_what_is_missing():
    text = repr(recording().ei)
    first = text[text.index("fc1/E:") : text.index("fc1/I:")]
    assert "6 neurons" in first and "excitation and inhibition: ei_ratio, balance_index, ei_correlation" in first
    assert "(needs 100 neurons: chi_voltage, chi_spikes, synchrony, participation_ratio" in first
    second = text[text.index("fc1/I:") : text.index("fc2/E:")]
    assert "(needs current_exc: ei_ratio," in second
    short = ei.example_population(steps=4, samples=3).ei
    assert "(needs 50 steps: ei_correlation_time," in repr(short) and "(needs 30 samples: " in repr(short)
    assert repr(xr.Dataset().ei).startswith("<.ei: ") and "<pre>" in short._repr_html_()


def test_what_the_repr_promises_is_kept():
    for size in ((40, 140, 101), (3, 60, 8), (30, 4, 1), (1, 400, 120)):
        data = ei.example_population(*size)
        population = ei.Population(data)
        for chosen in ei.STATISTICS.values():
            if chosen.lacks(population):
                with pytest.raises(StatisticError):
                    chosen.estimate(population)
            else:
                with suppress(NotApplicableError):
                    chosen.estimate(population)


@pytest.mark.parametrize("lacking", ["name", "question", "label", "over", "reference", "comparable_reason", "compute"])
def test_a_declaration_that_lacks_something_says_what(registry, lacking):
    body = {
        "__doc__": "Something.", "name": "mine", "question": "what?", "label": "mine", "over": "time",
        "needs": ("gain",), "reference": "own", "comparable_reason": "own", "compute": lambda self, population: None,
    }  # fmt: skip
    del body[lacking]
    with pytest.raises(ConfigError) as error:
        ei.register(type("Mine", (ei.Statistic,), body))
    assert error.value.what.endswith(lacking) and "Mine" in error.value.where


def test_a_name_is_declared_once_but_a_cell_may_run_twice(registry):
    def declared(module):
        body = {
            "__doc__": "Mean gain.", "__module__": module, "name": "mine", "question": "what?", "label": "mine",
            "over": "sample and time", "needs": ("gain",), "reference": "own", "comparable_reason": "own",
            "compute": lambda self, population: self.result(
                population, lambda w: np.ones((len(w), len(population.neuron))), rule="none"
            ),
        }  # fmt: skip
        return ei.register(type("Mine", (ei.Statistic,), body))

    declared("__main__")
    again = declared("__main__")
    assert type(ei.STATISTICS["mine"]) is again
    assert list(ei.STATISTICS)[-1] == "mine"  # of no known topic: last
    assert ei.example_population(neurons=3).ei.mine().values.tolist() == [1, 1, 1]
    with pytest.raises(ConfigError, match="declared twice"):
        declared("another")
    assert type(ei.STATISTICS["mine"]) is again


def test_the_template_works_in_an_empty_project(tmp_path, network_recording):
    text = (ROOT / "docs/extending/statistic.md").read_text()
    file, use = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    place = tmp_path / re.match(r"# (\S+)\n", file)[1]
    place.parent.mkdir()
    place.write_text(file)
    (tmp_path / "eiplatform.toml").touch()
    checks = (
        "import inspect\n"
        "assert str(inspect.signature(ei.peak_excitation)).count('Literal'), inspect.signature(ei.peak_excitation)\n"
        "assert (data.ei.peak_excitation() > 1).all() and 'peak_excitation_q95' in ei.STATISTICS\n"
        "assert 'peak_excitation' in dir(data.ei) and 'peak_excitation' in repr(data.ei)\n"
        "assert list(ei.STATISTICS).index('peak_excitation_max') < list(ei.STATISTICS).index('imbalance_index')\n"
        "table = ei.summarise(data, ['peak_excitation_max'], n_bootstrap=50)\n"
        "assert table['low'].item() < table['value'].item() < table['high'].item()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", use + checks], cwd=tmp_path, check=True, env=environment)
    network_recording("rec", steps=60, samples=6)
    words = "analyse balance rec --out balance.nc --statistics peak_excitation_max --bootstrap 20"
    command = [sys.executable, "-m", "eiplatform", *words.split()]
    subprocess.run(command, cwd=tmp_path, check=True, env=environment)
    with xr.open_dataset(tmp_path / "balance.nc", engine="h5netcdf") as result:
        assert (result["value"].sel(statistic="peak_excitation_max") > 1).all()


def test_figures_are_drawn_from_a_recording_or_a_node(network_recording):
    tree = eiplatform.open(network_recording(steps=60, samples=6))
    assert "plot" in dir(tree.ei) and {"current_traces", "balance_across_layers"} <= set(dir(tree.ei.plot))
    assert "learning_curve" not in dir(tree.ei.plot) and "current_traces: How" in repr(tree.ei.plot)
    whole, alone = tree.ei.plot.current_traces(points=20), tree["fc2/E"].ei.plot.current_traces(points=20)
    assert len(whole.axes) > len(alone.axes) > 0
    with pytest.raises(AttributeError, match="did you mean 'current_traces'"):
        tree.ei.plot.current_trace  # noqa: B018
    with pytest.raises(NotApplicableError, match="which recording"):
        tree["fc2/E"].to_dataset().ei.plot.current_traces()
