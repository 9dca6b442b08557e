"""One result of every analysis that a figure draws, from formulas; made once in a process."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.architecture import Architecture
from eiplatform.analyses.balance import Balance
from eiplatform.analyses.balance_across_depth import BalanceAcrossDepth
from eiplatform.analyses.balance_emergence import BalanceEmergence
from eiplatform.analyses.comparison import Comparison
from eiplatform.analyses.correlogram import Correlogram
from eiplatform.analyses.disinhibition import Disinhibition
from eiplatform.analyses.distributions import Distributions
from eiplatform.analyses.ei_versus_bn import EIVersusBN
from eiplatform.analyses.gain_modulation import GainModulation
from eiplatform.analyses.lesion_study import LesionStudy
from eiplatform.analyses.lesions import Lesions
from eiplatform.analyses.measured_cortex import MeasuredCortex
from eiplatform.analyses.neurons import Neurons
from eiplatform.analyses.paradox import Paradox
from eiplatform.analyses.regime_scorecard import RegimeScorecard
from eiplatform.analyses.spectra import Spectra
from eiplatform.analyses.systems import Systems
from eiplatform.analyses.timescales import Timescales
from eiplatform.analyses.traces import Traces
from eiplatform.analyses.tuning import Tuning
from eiplatform.analyses.weights import Weights
from eiplatform.figures import SavedFigure, find_figure, save
from eiplatform.store.importing.arrays import from_arrays
from eiplatform.store.references import reference_file
from tests.conftest import write_circuit, write_network, write_series

FAST: dict[str, Any] = {"n_bootstrap": 30, "seed": 0}
_DESIGNS = {"lesion_shapley": "shapley", "lesion_dissociation": "dissociation", "lesion_recovery": "recovery"}


@cache
def _place() -> Path:
    made = Path(tempfile.mkdtemp(prefix="eiplatform-figures-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def result_of(figure: str) -> xr.Dataset:
    """Return a result that a figure draws."""
    return results()[_DESIGNS.get(figure, find_figure(figure).ANALYSIS)]


@cache
def picture_of(figure: str) -> SavedFigure:
    """Save a figure, once."""
    return save(figure, result_of(figure), _place() / "figures", svg=True)


@cache
def results() -> dict[str, xr.Dataset]:
    """Return results by analysis, and by design of lesion studies."""
    place = _place() / "recordings"
    place.mkdir()
    trained = write_network(place / "trained", ratio=2.0)
    nulls = [write_network(place / f"null{k}", seed=50 + k) for k in range(3)]
    long = write_network(place / "long", samples=6, steps=120)
    noise = [write_network(place / f"noise{k}", seed=70 + k, samples=6, steps=120) for k in range(3)]
    circuit = write_circuit(place / "circuit")
    doses = [
        write_network(
            place / f"dose{dose}",
            correct=1 - dose,
            lesions=[{"pathway": "I->E subtractive", "layers": "fc*", "dose": dose}],
            design={"id": "planned", "doses": [0.0, 0.5], "controls": 0},
        )
        for dose in (0.0, 0.5)
    ]
    learning = xr.Dataset(
        {
            **{
                name: ("epoch", [np.nan if name in ("loss", "train_accuracy") else 0.5, 0.6])
                for name in ("loss", "train_accuracy", "validation_loss", "validation_accuracy")
            },
            "rate": (("epoch", "layer"), [[0.1, 0.2], [0.15, 0.25]]),
            "silent": (("epoch", "layer"), np.zeros((2, 2))),
            "test_accuracy": 0.9,
            "test_low": 0.8,
            "test_high": 0.95,
            "n_test": 40,
            "best_epoch": 1,
        },
        coords={"epoch": [0, 1], "layer": ["fc1", "fc2"]},
        attrs={"analysis": "learning", "level": 0.95, "dataset": "toy"},
    )
    kinds = {
        state: [
            write_network(
                place / f"{state}-{layer_type}-{k}",
                seed=k + 9 * len(layer_type),
                ratio=ratio,
                layer_type=layer_type,
                number=k,
            )
            for layer_type in ("ei", "none")
            for k in (1, 2, 3)
        ]
        for state, ratio in (("after", 1.6), ("before", 1.2))
    }
    series = [write_series(place / f"series{k}", number=k, ratios={0: 1.2, 2: 1.4, 8: 1.6}) for k in (1, 2)]
    cortex = [reference_file("brunel-2000-C")]
    return {
        "ei_versus_bn": EIVersusBN().run(kinds["after"], kinds["before"], cortex).data,
        "balance_emergence": BalanceEmergence().run(series, cortex).data,
        "systems": Systems().run([*kinds["after"], long], cortex, **FAST).data,
        "learning": learning,
        "balance": Balance().run(trained, nulls, **FAST).data,
        "distributions": Distributions().run([trained, nulls[0]]).data,
        "traces": Traces().run([long, circuit]).data,
        "architecture": Architecture().run([trained, circuit]).data,
        "measured_cortex": MeasuredCortex().run([_asynchronous()], **FAST).data,
        "neurons": Neurons().run([long, nulls[0], circuit], **FAST).data,
        "correlogram": Correlogram().run([long, circuit], lags=10, **FAST).data,
        "spectra": Spectra().run([long, circuit], segment=40.0).data,
        "tuning": Tuning().run([trained], **FAST).data,
        "weights": Weights().run(_training(place / "training")).data,
        "comparison": Comparison().run(long, [circuit], noise, **FAST).data,
        "lesions": Lesions().run(doses, **FAST).data,
        "disinhibition": Disinhibition().run(doses).data,
        "lesion_study": _doses(),
        "shapley": _coalitions(),
        "dissociation": _disturbed(),
        "recovery": _retrained(),
        "paradox": _perturbed(),
        "balance_across_depth": BalanceAcrossDepth().run([trained], nulls, [circuit], **FAST).data,
        "gain_modulation": GainModulation().run([trained], **FAST).data,
        "timescales": Timescales().run([long, circuit], **FAST).data,
        "regime_scorecard": RegimeScorecard().run([long, circuit], **FAST).data,
    }


def _training(place: Path) -> Path:
    """Write the checkpoints of a training: log-normal weights, and constant ones that no figure draws."""
    from safetensors.numpy import save_file

    place.mkdir()
    random = np.random.default_rng(5)
    for name in ("best", "untrained"):
        tensors = {f"layers.fc{k}.weight_exc": random.lognormal(-2, 1, (20, 30)) for k in (1, 2)}
        save_file(tensors | {"layers.fc1.weight_inh_out": np.full((20, 5), 0.2)}, place / f"{name}.safetensors")
    return place


def _study(design: str, cells: Sequence[tuple[Mapping[str, Any], float]]) -> xr.Dataset:
    """Return a lesion study of three networks from what was done in every cell and the share that it leaves right."""
    random = np.random.default_rng(4)
    correct = np.stack([[random.random(40) < right for _, right in cells] for _ in range(3)]).astype(np.int8)
    layers = np.zeros((3, len(cells), 2))
    names = list(dict.fromkeys(name for about, _ in cells for name in about))
    data = xr.Dataset(
        {
            "correct": (("network", "cell", "sample"), correct),
            "confidence": (("network", "cell", "sample"), random.uniform(0.5, 1, correct.shape)),
            "loss": (("network", "cell", "sample"), random.exponential(1, correct.shape)),
            **{name: (("network", "cell", "layer_read"), layers) for name in ("rate", "always_on", "silent")},
        },
        {name: ("cell", [about.get(name, "") for about, _ in cells]) for name in names}
        | {"layer_read": ["fc1", "fc2"]},
    )
    told = {"design": design, "question": "?", "parameters": {}}
    return LesionStudy().from_cells(data, told, [{}] * 3, [{"fc1": 0.5, "fc2": 0.5}] * 3).data


def _about(
    role: str, dose: float, layers: str, images: str = "plain", path: str = "I->E subtractive"
) -> dict[str, Any]:
    return {"role": role, "dose": dose, "layers": layers, "pathway": path if layers else "", "images": images}


def _doses() -> xr.Dataset:
    """Return two doses of a pathway in three layers, with two controls."""
    cells = [(_about("intact", 0.0, ""), 0.9)]
    for layer, loss in (("fc1", 0.5), ("fc2", 0.2), ("fc3", 0.1)):
        for dose in (0.25, 0.5):
            cells.append((_about("lesion", dose, layer), 0.9 - loss * dose))
            cells += [(_about(role, dose, layer), right) for role, right in (("random", 0.8), ("shift", 0.7))]
    return _study("dose-response", cells)


def _coalitions() -> xr.Dataset:
    """Return all coalitions of two players."""
    about = {"players": "fc1 I->E subtractive | fc2 I->E subtractive", "images": "plain", "dose": 0.2}
    rights = {"none": 0.9, "0": 0.5, "1": 0.8, "0 1": 0.3}
    return _study(
        "shapley",
        [
            ({**about, "role": "intact" if name == "none" else "lesion", "coalition": name}, right)
            for name, right in rights.items()
        ],
    )


def _disturbed() -> xr.Dataset:
    """Return two pathways under two kinds of images, doubly dissociated."""
    cells = []
    for images, rights in (("plain", (0.3, 0.8)), ("noise 0.4", (0.8, 0.3))):
        cells.append((_about("intact", 0.0, "", images), 0.9))
        for path, right in zip(("I->E subtractive", "I->E divisive"), rights, strict=True):
            cells += [(_about(role, 0.5, "*", images, path), right) for role in ("lesion", "restored")]
    return _study("dissociation", cells)


def _retrained() -> xr.Dataset:
    """Return a lesion that heals over iterations, and the intact network trained as long."""
    cells = [({**_about("intact", 0.0, ""), "iteration": 0}, 0.9)]
    for iteration, right in ((0, 0.3), (10, 0.6), (100, 0.85)):
        cells.append(({**_about("lesion", 0.5, "*"), "iteration": iteration}, right))
        cells.append(({**_about("tuned", 0.5, "*"), "iteration": iteration}, 0.9))
    return _study("recovery", cells)


def _asynchronous() -> xr.DataTree:
    """Return an own recording of independent neurons with log-normal rates, long enough for counts."""
    rng = np.random.default_rng(0)
    rates = np.exp(rng.normal(np.log([[2.0], [8.0]]), 1.0, (2, 80))) * 1e-3
    made = {name: {"spikes": rng.poisson(rate, (1, 4000, 80))} for name, rate in zip("EI", rates, strict=True)}
    return from_arrays(populations=made, dt=1.0)


def _perturbed() -> xr.Dataset:
    """Return a paradoxical circuit: both rates fall when I is driven more; with E frozen I rises."""
    conditions = [(level, frozen) for frozen in (False, True) for level in (0.0, 0.1, 0.2)]
    noise = np.array([-0.1, 0.0, 0.1])
    response = np.array(
        [
            [[(0 if frozen else -2) * level + k * level, (3 if frozen else -1) * level + k * level] for k in noise]
            for level, frozen in conditions
        ]
    )
    data = xr.Dataset(
        {
            "response": (("condition", "seed", "population"), response),
            "current_exc": (("condition", "seed", "population"), response),
            "current_inh": (("condition", "seed", "population"), 0.5 * response),
        },
        {
            "level": ("condition", [level for level, _ in conditions]),
            "frozen": ("condition", [frozen for _, frozen in conditions]),
            "seed": [1, 2, 3],
            "population": ["E", "I"],
            "condition": [str(one) for one in conditions],
        },
        {
            "protocol": "perturb-I",
            "circuit": "toy",
            "reference": "",
            "target": "I",
            "parameter": "drive_inh",
            "freeze": "E",
        },
    )
    return Paradox().run(data).data
