"""A small run with everything that a report shows, for the tests of the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from eiplatform.analyses import Result
from eiplatform.analyses.balance import Balance
from eiplatform.analyses.balance_across_depth import BalanceAcrossDepth
from eiplatform.analyses.comparison import Comparison
from eiplatform.analyses.lesions import Lesions
from eiplatform.analyses.neuron_sample import NeuronSample
from eiplatform.figures import SavedFigure
from eiplatform.report import write_report
from tests.conftest import write_circuit, write_network

FAST = {"n_bootstrap": 30, "seed": 0}
TITLE = "A <title>"


def small_results(place: Path) -> dict[str, Result]:
    """Return results of made-up recordings: 3 networks, 3 nulls, a circuit, a lesion."""
    trained = write_network(place / "trained", ratio=2.0)
    nulls = [write_network(place / f"null{k}", seed=50 + k) for k in range(3)]
    long = write_network(place / "long", samples=6, steps=120)
    circuit = write_circuit(place / "circuit")
    design = {"id": "planned", "doses": [0.0, 0.5], "controls": 0}
    doses = [
        write_network(
            place / f"dose{dose}",
            correct=1 - dose,
            lesions=[{"pathway": "I->E subtractive", "layers": "fc*", "dose": dose}],
            design=design,
        )
        for dose in (0.0, 0.5)
    ]
    return {
        "neuron_sample": NeuronSample().run([long, circuit], neurons=3),
        "lesions": Lesions().run(doses, **FAST),
        "comparison": Comparison().run(long, [circuit], **FAST),
        "balance": Balance().run(trained, nulls, **FAST),
        "balance_across_depth": BalanceAcrossDepth().run([trained], nulls, [circuit], **FAST),
    }


def page_of(results: Mapping[str, Result], path: Path) -> Path:
    """Write the report of results, as if their figures had been saved."""
    made = {
        (key, name): SavedFigure(
            name, *(path.parent / "figures" / f"{name}.{kind}" for kind in ("png", "pdf", "csv")), ""
        )
        for key, result in results.items()
        for name in result.plots
    }
    facts = {"seed": 7, "versions": {"numpy": "2"}}
    return write_report(path, title=TITLE, question="Why?", results=results, figures=made, facts=facts)
