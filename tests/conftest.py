"""Small recordings that tests share; each is built from formulas, not from a network."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from eiplatform.store.schema import population_dataset
from eiplatform.store.writer import RecordingWriter

N_SAMPLES, N_STEPS, N_NEURONS = 40, 4, 6


_PROGRAMS = "EIPLATFORM_CACHE"
_MADE = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Build every program once in a session: all its workers share one new cache, and no earlier one."""
    # No test can cut the power: what a killed process has written stays, and waiting for the disk only costs time.
    os.fsync = lambda handle: None
    if not hasattr(config, "workerinput"):
        config.stash[_MADE] = made = tempfile.TemporaryDirectory(prefix="eiplatform-tests-")
        os.environ[_PROGRAMS] = made.name


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the programs of this session."""
    if _MADE in config.stash:
        config.stash[_MADE].cleanup()
        os.environ.pop(_PROGRAMS, None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--most-skips``, so that a package that is not installed cannot go unnoticed."""
    parser.addoption("--most-skips", type=int, help="fail if more tests (or whole files) than this are skipped")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session that skipped more than ``--most-skips``; a file skipped by every worker counts once."""
    most = session.config.getoption("--most-skips")
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if most is None or reporter is None or hasattr(session.config, "workerinput"):
        return
    skipped = {report.nodeid for report in reporter.stats.get("skipped", [])}
    if len(skipped) > most and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"{len(skipped)} skips, at most {most} are allowed (--most-skips)", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what came of the networks of the zoo."""
    reports = [report for key in ("passed", "failed") for report in terminalreporter.stats.get(key, [])]
    kinds = [value for report in reports for key, value in report.user_properties if key == "zoo"]
    if kinds:
        from tests.zoo.judge import tally

        terminalreporter.write_line(tally(kinds))


def lif(drive: np.ndarray, *, threshold: float, decay: float) -> tuple[np.ndarray, np.ndarray]:
    """Integrate and fire, straight from the definition; arrays (sample, time, neuron)."""
    voltage, spikes = np.zeros_like(drive), np.zeros(drive.shape, dtype=bool)
    state = np.zeros_like(drive[:, 0])
    for step in range(drive.shape[1]):
        voltage[:, step] = state + drive[:, step]
        spikes[:, step] = voltage[:, step] >= threshold
        state = decay * (voltage[:, step] - threshold * spikes[:, step])
    return voltage, spikes


def layer(
    samples: np.ndarray, *, seed: int = 0, steps: int = N_STEPS, neurons: int = N_NEURONS, ratio: float = 1.25
) -> xr.Dataset:
    """Return an E population of a network that obeys every sum rule."""
    rng = np.random.default_rng([seed, 7])
    shape = (len(samples), steps, neurons)
    inh = rng.uniform(0.5, 1.5, shape).astype(np.float32)
    exc = (np.float32(ratio) * inh + rng.uniform(0, 0.4, shape)).astype(np.float32)
    div = rng.uniform(0.2, 0.6, shape).astype(np.float32)
    gain_exc, bias = np.ones(neurons, np.float32), np.linspace(-0.1, 0.1, neurons, dtype=np.float32)
    net, gain = exc - inh, gain_exc / div
    drive = gain * net + bias
    voltage, spikes = lif(drive, threshold=1.0, decay=0.5)
    return population_dataset(
        {
            "current_exc": exc,
            "current_inh": inh,
            "current_net": net,
            "inhibition_div": div,
            "gain": gain,
            "drive": drive,
            "voltage": voltage,
            "spikes": spikes,
        },
        sample=samples,
        time=np.arange(steps),
        neuron=np.arange(neurons),
        dt=1.0,
        time_units="step",
        current_units="1",
        n_neurons=neurons,
        role="E",
        parameters={"bias": bias, "gain_exc": gain_exc},
        sample_coords={"label": samples % 3},
        attrs={"threshold": 1.0, "membrane_decay": 0.5, "reset": "soft"},
    )


def readout(samples: np.ndarray, *, correct: float = 1.0) -> xr.Dataset:
    """Return a readout of 3 neurons that is right for the first part `correct` of the samples."""
    labels = samples % 3
    right = np.arange(len(samples)) < round(correct * len(samples))
    winner = np.where(right, labels, (labels + 1) % 3)
    exc = np.ones((len(samples), N_STEPS, 3), np.float32)
    exc[np.arange(len(samples)), :, winner] = 2.0
    inh = np.full_like(exc, 0.5)
    return population_dataset(
        {"current_exc": exc, "current_inh": inh, "current_net": exc - inh},
        sample=samples,
        time=np.arange(N_STEPS),
        neuron=np.arange(3),
        dt=1.0,
        time_units="step",
        current_units="1",
        n_neurons=3,
        role="E",
        sample_coords={"label": labels},
    )


def circuit_population(seed: int, *, neurons: int = 5, n_all: int = 8, duration: float = 700.0) -> xr.Dataset:
    """Return an E population of a circuit: Poisson spikes at 20 Hz, E and I sharing a fluctuation."""
    rng = np.random.default_rng([seed, 11])
    shape = (1, int(duration), neurons)
    shared = rng.normal(0, 1, shape)
    external = (10 + rng.normal(0, 0.1, shape)).astype(np.float32)
    recurrent = (20 + shared + rng.normal(0, 1, shape)).astype(np.float32)
    inh = (24 + shared + rng.normal(0, 1, shape)).astype(np.float32)
    counts = rng.poisson(20.0 * duration / 1000.0, n_all)
    times = rng.uniform(0, duration, counts.sum())
    exc = recurrent + external
    return population_dataset(
        {
            "current_exc": exc,
            "current_exc_recurrent": recurrent,
            "current_exc_external": external,
            "current_inh": inh,
            "current_net": exc - inh,
        },
        sample=np.array([seed]),
        time=np.arange(duration),
        neuron=np.arange(neurons),
        dt=1.0,
        time_units="ms",
        current_units="mV",
        n_neurons=n_all,
        role="E",
        events={
            "spike_time": times,
            "spike_neuron": np.repeat(np.arange(n_all), counts),
            "spike_sample": np.full(len(times), seed),
        },
        attrs={"duration": duration, "warmup": 100.0, "threshold": 20.0, "reset": 10.0, "tau_membrane": 20.0},
    )


THEORY = {
    "rate": 20.0,
    "current_exc": 30.0,
    "current_exc_recurrent": 20.0,
    "current_exc_external": 10.0,
    "current_inh": 24.0,
    "current_net": 6.0,
}


def write_network(
    path: Path,
    *,
    seed: int = 0,
    samples: int = N_SAMPLES,
    steps: int = N_STEPS,
    ratio: float = 1.25,
    correct: float = 1.0,
    lesions: list[dict[str, object]] | None = None,
    design: dict[str, object] | None = None,
    shards: int = 2,
    layer_type: str = "ei",
    number: int | None = None,
) -> Path:
    """Write a network's recording of two layers and, at T = 4, a readout.

    `seed` decides the signals, `number` (by default the same) is the seed of the network's configuration.
    """
    source = {"kind": "network", "label": path.name, "name": "toy", "lesions": lesions or []}
    source |= {} if design is None else {"design": design}
    source |= {"steps": steps, "spec": {"input": "constant", "warmup": 0}}
    config = {"seed": seed if number is None else number, "network": {"layer": layer_type}}
    with RecordingWriter(path, source=source, config=config) as writer:
        for part in np.array_split(np.arange(samples), shards):
            populations = {
                "fc1/E": layer(part, seed=seed, steps=steps, ratio=ratio),
                "fc2/E": layer(part, seed=seed + 1, steps=steps, ratio=ratio),
            }
            if steps == N_STEPS:
                populations["readout/E"] = readout(part, correct=correct)
            writer.append(populations)
    return path


def write_series(path: Path, *, number: int, ratios: dict[int, float], layer_type: str = "ei") -> Path:
    """Write recordings made while training: the E/I ratio at every iteration named, four iterations an epoch."""
    path.mkdir(parents=True)
    (path / "series.json").write_text('{"format": "eiplatform-series", "iterations_per_epoch": 4}')
    for step, ratio in ratios.items():
        write_network(path / f"step-{step:08d}", seed=number, number=number, ratio=ratio, layer_type=layer_type)
    return path


def write_circuit(path: Path, *, seeds: tuple[int, ...] = (1, 2, 3)) -> Path:
    """Write a circuit's recording, one shard per seed."""
    source = {"kind": "circuit", "label": path.name, "name": "toy-circuit", "theory": THEORY}
    with RecordingWriter(path, source=source, config={}) as writer:
        for seed in seeds:
            writer.append({"E": circuit_population(seed)})
    return path


@pytest.fixture
def network_recording(tmp_path: Path) -> Callable[..., Path]:
    """Return :func:`write_network` with names instead of paths."""
    return lambda name="network", **options: write_network(tmp_path / name, **options)


@pytest.fixture
def circuit_recording(tmp_path: Path) -> Callable[..., Path]:
    """Return :func:`write_circuit` with names instead of paths."""
    return lambda name="circuit", **options: write_circuit(tmp_path / name, **options)


@pytest.fixture(scope="module", autouse=True)
def forked_workers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fork the workers of simulations instead of starting interpreters, but in modules that test the start."""
    if request.node.get_closest_marker("new_interpreters"):
        yield
        return
    from eiplatform.microcircuits import processes
    from tests import forked

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "_start", forked.start)
        yield


@pytest.fixture
def simulated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate what is asked for again, in any test of the session, once: the same job leaves the same files.

    For tests of what is made of a simulation.  That a seed gives the same spikes again is tested without it.
    """
    from eiplatform.caches import cache_directory
    from eiplatform.microcircuits import processes

    simulate, made = processes._run_worker, cache_directory() / "simulations"

    def once(folder: Path, workers: processes._Workers, report: processes.Progress) -> None:
        kept = made / hashlib.sha256((folder / "job.json").read_bytes()).hexdigest()
        with one_at_a_time(kept):
            if not kept.is_dir():
                simulate(folder, workers, report)
                shutil.copytree(folder / "result", kept)
        if not (folder / "result").is_dir():
            shutil.copytree(kept, folder / "result")
            report(1.0, "done")

    monkeypatch.setattr(processes, "_run_worker", once)


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold a lock beside a path that several workers of the session may want to make."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{path}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@pytest.fixture(params=["eager", "compiled"])
def each_backend(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a test with either backend; the compiled one needs a compiler."""
    from eiplatform.networks.kernels import backend

    if request.param == "compiled" and backend.resolve("auto") == "eager":
        pytest.skip("needs a C++ compiler")
    with backend.use_backend(request.param):
        yield
