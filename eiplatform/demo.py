"""The whole road once: train, record, simulate, analyse, compare, lesion, draw, report.

Every step is a public function of the platform; this module only says which, in which order, and
with which settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eiplatform.errors import choose
from eiplatform.files import claimed, write_json
from eiplatform.progress import stage
from eiplatform.report import draw_all, findings_of, scorecard, write_study_report

if TYPE_CHECKING:
    from eiplatform.analyses import Result, Table
    from eiplatform.config import Config

__all__ = ["SIZES", "Demo", "DemoSize", "run_demo"]

QUESTION = (
    "How do excitation and inhibition behave inside a trained deep spiking network, and how close is that to a "
    "cortical circuit?"
)


@dataclass(frozen=True)
class DemoSize:
    """How much the demo does.

    Attributes
    ----------
    overrides : tuple of str
        Changes to ``analyses/configs/digits-mlp.yml``.
    nulls : int
        Untrained networks.
    samples : int or None
        Test images recorded (None: all).
    long_samples, long_steps, long_warmup : int
        The long recording, for temporal statistics.
    neurons : int
        Neurons per layer in the long and in the lesion recordings.
    circuit : dict
        Parameters of Brunel 2000.
    seeds : int
        Realisations of the circuit.
    duration_ms, warmup_ms : float
    doses : tuple of float
    controls : int
        Random losses of synapses beside every dose.
    n_bootstrap : int
    """

    overrides: tuple[str, ...]
    nulls: int
    samples: int | None
    long_samples: int
    long_steps: int
    long_warmup: int
    neurons: int
    circuit: Mapping[str, Any]
    seeds: int
    duration_ms: float
    warmup_ms: float
    doses: tuple[float, ...]
    controls: int
    n_bootstrap: int


SIZES = {
    "full": DemoSize(
        overrides=(),
        nulls=19,
        samples=None,
        long_samples=40,
        long_steps=240,
        long_warmup=40,
        neurons=64,
        circuit={"state": "C"},
        seeds=3,
        duration_ms=1000.0,
        warmup_ms=200.0,
        doses=(0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0),
        controls=5,
        n_bootstrap=1000,
    ),
    "small": DemoSize(
        overrides=("network.hidden=[48, 48, 48]", "training.epochs=6", "training.warmup_epochs=1"),
        nulls=3,
        samples=60,
        long_samples=6,
        long_steps=160,
        long_warmup=40,
        neurons=24,
        circuit={"state": "C", "scale": 0.1},
        seeds=2,
        duration_ms=800.0,
        warmup_ms=100.0,
        doses=(0.0, 0.5, 1.0),
        controls=2,
        n_bootstrap=100,
    ),
}
"""``full`` is the demo; ``small`` is the same road for tests, too small for conclusions."""

LONG_SIGNALS = ("current_exc", "current_inh", "current_net", "gain", "spikes")


@dataclass(frozen=True)
class Demo:
    """What the demo made.

    Attributes
    ----------
    out : Path
    report : Path
    tables : list of Table
        The scorecard.
    findings : list of str
        What came out, in sentences.
    places : dict of str to Path
        Where everything lies.
    """

    out: Path
    report: Path
    tables: list[Table]
    findings: list[str]
    places: dict[str, Path]


def run_demo(
    out: str | Path,
    *,
    seed: int = 1,
    size: str = "full",
    device: str = "cpp_standalone",
    jobs: int = 2,
    overwrite: bool = False,
    quiet: bool = False,
) -> Demo:
    """Train, record, simulate, analyse, compare, lesion, draw and report.

    Parameters
    ----------
    out : str or Path
        Output directory.
    seed : int
        Decides every random choice; the same seed gives the same numbers.
    size : {"full", "small"}
    device : str
        Of the Brian2 simulation.
    jobs : int
        Realisations of the circuit that are simulated at the same time.
    overwrite : bool
        Whether an earlier demo there may be deleted.
    quiet : bool
        Show no progress.

    Returns
    -------
    Demo
    """
    from eiplatform.config import load_config
    from eiplatform.recording.circuit import check_simulation

    chosen = SIZES[choose(size, SIZES, "demo size")]
    config = load_config(
        Path(str(files("eiplatform.analyses"))) / "configs/digits-mlp.yml", (*chosen.overrides, f"seed={seed}")
    )
    simulation: dict[str, Any] = {
        "parameters": chosen.circuit,
        "seeds": [seed + k for k in range(chosen.seeds)],
        "duration_ms": chosen.duration_ms,
        "warmup_ms": chosen.warmup_ms,
        "device": device,
        "jobs": jobs,
    }
    check_simulation("brunel-2000", **simulation)
    with claimed(Path(out), overwrite=overwrite) as place:
        return _whole_road(place, chosen, config, simulation, seed, size, quiet)


def _whole_road(
    out: Path,
    chosen: DemoSize,
    config: Config,
    simulation: dict[str, Any],
    seed: int,
    size: str,
    quiet: bool,
) -> Demo:
    """Take all steps of the demo."""
    from eiplatform.lesions.design import dose_response
    from eiplatform.lesions.spec import make_lesions
    from eiplatform.recording.checkpoint import open_checkpoint
    from eiplatform.recording.circuit import record_circuit
    from eiplatform.recording.network import record_network
    from eiplatform.recording.spec import RecordingSpec
    from eiplatform.training import fit, initialise

    settings = config.model_dump(mode="json")
    recordings, reference = out / "recordings", out / "reference" / "brunel-2000-C"

    with stage("1/6 training", quiet=quiet) as update:
        trained = fit(config, out / "training", progress=update)
    network, _, images = open_checkpoint(trained.checkpoint, "test")

    standard = RecordingSpec(samples=chosen.samples, seed=seed)
    null_spec = standard.model_copy(update={"signals": LONG_SIGNALS})
    long_spec = RecordingSpec(
        populations=("fc*/E",),
        signals=LONG_SIGNALS,
        neurons=chosen.neurons,
        samples=chosen.long_samples,
        steps=chosen.long_steps,
        input="bernoulli",  # cortex is driven by noise too; a constant image drives a clockwork
        warmup=chosen.long_warmup,
        seed=seed,
        shard_samples=20,
    )
    with stage("2/6 recording", quiet=quiet) as update:
        total = 2 + 2 * chosen.nulls
        record_network(network, images, recordings / "trained", standard, config=settings, label="trained")
        update(1, total, "trained")
        record_network(
            network, images, recordings / "trained-noisy", long_spec, config=settings, label="trained, noisy input"
        )
        update(2, total, "trained, noisy input")
        for k in range(chosen.nulls):
            # Seeds far from those of training: no null shares a weight with the trained network.
            about = {"kind": "reinit", "index": k + 1, "seed": 1000 * (seed + 1) + k}
            null = initialise(config, 1000 * (seed + 1) + k)
            label = f"untrained {k + 1}"
            path = recordings / f"untrained-{k + 1}"
            record_network(null, images, path, null_spec, config=settings, label=label, null=about)
            path = recordings / f"untrained-noisy-{k + 1}"
            record_network(null, images, path, long_spec, config=settings, label=f"{label}, noisy input", null=about)
            update(4 + 2 * k, total, label)

    with stage("3/6 simulating cortex", quiet=quiet) as update:
        record_circuit(
            "brunel-2000",
            reference,
            label="Brunel 2000, state C" + (f", scale {chosen.circuit['scale']}" if "scale" in chosen.circuit else ""),
            progress=lambda fraction, message: update(round(1000 * fraction), 1000, message),
            **simulation,
        )

    lesions = make_lesions("I->E subtractive", chosen.doses, "fc*")
    with stage("4/6 lesioning", quiet=quiet) as update:
        spec = standard.model_copy(update={"neurons": chosen.neurons})
        lesioned = dose_response(
            network,
            images,
            out / "lesions",
            lesions,
            spec,
            config=settings,
            n_controls=chosen.controls,
            progress=update,
        )

    with stage("5/6 analysing", quiet=quiet) as update:
        results = _analyse(out, chosen, lesioned, reference, seed, update)

    with stage("6/6 drawing", quiet=quiet) as update:
        figures = draw_all(results, out / "figures", progress=update)
    report = write_study_report(
        out / "report.html",
        title="eiplatform demo: E-I balance in a trained network and in a model of cortex",
        question=QUESTION,
        results=results,
        figures=figures,
        facts={
            "seed": seed,
            "size": size,
            "device of the simulation": simulation["device"],
            "configuration": trained.config_hash,
        },
    )
    tables, findings = scorecard(results), findings_of(results)
    write_json(
        out / "scorecard.json",
        {"seed": seed, "size": size, "findings": findings, "tables": [asdict(table) for table in tables]},
    )
    places = {
        "report": report,
        "figures (PNG, PDF, CSV)": out / "figures",
        "results (netCDF)": out / "results",
        "recordings of the network": recordings,
        "recording of the circuit": reference,
        "lesions": out / "lesions",
        "checkpoints and metrics": out / "training",
        "scorecard as JSON": out / "scorecard.json",
    }
    return Demo(out, report, tables, findings, places)


def _analyse(
    out: Path, chosen: DemoSize, lesioned: list[Path], reference: Path, seed: int, update: Any
) -> dict[str, Result]:
    """Run every analysis on the demo's recordings and save the results."""
    from eiplatform.analyses import find_analysis

    recordings = out / "recordings"
    nulls, noisy_nulls = (
        [recordings / f"{name}-{k + 1}" for k in range(chosen.nulls)] for name in ("untrained", "untrained-noisy")
    )
    options: dict[str, Any] = {"n_bootstrap": chosen.n_bootstrap, "seed": seed}
    long, trained = recordings / "trained-noisy", recordings / "trained"
    steps: dict[str, Callable[[], Result]] = {
        "learning": lambda: find_analysis("learning").run(out / "training"),
        "balance": lambda: find_analysis("balance").run(trained, nulls, **options),
        "balance_noisy": lambda: find_analysis("balance").run(long, noisy_nulls, **options),
        "balance_across_depth": lambda: find_analysis("balance_across_depth").run([trained], nulls, **options),
        "distributions": lambda: find_analysis("distributions").run([trained, nulls[0]]),
        "gain_modulation": lambda: find_analysis("gain_modulation").run([trained, nulls[0]], **options),
        "timescales": lambda: find_analysis("timescales").run([long, reference], **options),
        "traces": lambda: find_analysis("traces").run([long, reference]),
        "reference_check": lambda: find_analysis("reference_check").run([reference]),
        "comparison": lambda: find_analysis("comparison").run(long, [reference], **options),
        "regime_scorecard": lambda: find_analysis("regime_scorecard").run([long, reference], **options),
        "lesions": lambda: find_analysis("lesions").run(lesioned, **options),
    }
    results = {}
    for index, (name, run) in enumerate(steps.items()):
        results[name] = run()
        results[name].save(out / "results" / f"{name}.nc")
        update(index + 1, len(steps), name)
    return results
