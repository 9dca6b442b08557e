"""Moments formed inside the layers: equal to those of the signals, whatever the layers, steps, blocks and backend."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import eiplatform
from eiplatform.cli import main
from eiplatform.config import load_config
from eiplatform.datasets import Split
from eiplatform.errors import EIPlatformError, SumRuleError, UnknownNameError
from eiplatform.networks import Network, PathwayScale
from eiplatform.networks.kernels import backend, compiled
from eiplatform.networks.kernels import lif as neuron_module
from eiplatform.networks.kernels.fused import ei_spikes
from eiplatform.networks.kernels.lif import LIF
from eiplatform.networks.kernels.moments import FIELDS, Moments
from eiplatform.recording import inside as inside_module
from eiplatform.recording.bits import pack_bits
from eiplatform.recording.network import record_network
from eiplatform.recording.reduce import Reduction
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store import reduced
from tests.examples import examples
from tests.refusals import refusing
from tests.unit.test_snn_deep import images, small

BACKENDS = [
    "eager",
    pytest.param("compiled", marks=pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")),
]


def split(network: Network, n: int = 17) -> Split:
    generator = np.random.default_rng(3)
    return Split(generator.random((n, *network.input_shape), dtype=np.float32), np.arange(n) % 3, np.arange(n))


def record(network: Network, path: Path, **spec: Any) -> Any:
    record_network(network, split(network), path, RecordingSpec(**spec), config={}, label="toy")
    return eiplatform.open(path)


@pytest.mark.parametrize("used", BACKENDS)
@pytest.mark.parametrize("architecture", ["cnn", "mlp"])
@pytest.mark.parametrize(
    "steps", [{}, {"input": "bernoulli", "steps": 7, "warmup": 2, "every": 2}, {"steps": 6, "warmup": 1}]
)
def test_recorded_moments_are_those_of_the_raw_signals(
    used: str, architecture: str, steps: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over several batches, shards and blocks, to 1e-6 of the signal's spread; whatever is raw is not formed inside."""
    network = small(architecture, "ei").eval()
    monkeypatch.setattr(neuron_module, "BLOCK", 3 * 16 * 16 * 8)
    with backend.use_backend(used):
        raw = record(network, tmp_path / "raw", **steps)
        kept = record(network, tmp_path / "kept", keep="moments", shard_samples=9, batch_samples=5, **steps)
    for name, info in network.populations().items():
        whole, state = raw[name].to_dataset(), kept[name].to_dataset()
        assert sorted(info.signals) == state["signal"].values.tolist()
        for signal in info.signals:
            values = whole[signal].values.astype(np.float64).reshape(-1, whole.sizes["neuron"])
            assert int(state["n"]) == len(values)
            spread = values.std(0)
            np.testing.assert_allclose(
                state["mean"].sel(signal=signal), values.mean(0), rtol=1e-6, atol=1e-6 * spread.max() + 1e-12
            )
            np.testing.assert_allclose(
                np.sqrt(reduced.variance(state, signal)), spread, rtol=1e-6, atol=1e-6 * spread.max() + 1e-12
            )


def test_which_moments_are_formed_inside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All of the hidden layers where nothing else is wanted of them, and none that only a part of the neurons needs."""
    seen: list[dict[str, frozenset[str]]] = []
    form = inside_module.formed_inside

    def note(*args: Any) -> Any:
        seen.append(form(*args))
        return seen[-1]

    monkeypatch.setattr("eiplatform.recording.network.formed_inside", note)
    network = small("cnn", "ei").eval()
    hidden = {name for name in network.populations() if not name.startswith("readout")}
    for spec, expected in (
        ({"keep": "moments"}, hidden),
        ({"keep": "moments", "neurons": 5}, {n for n in hidden if network.populations()[n].n_neurons <= 5}),
        ({"keep": ("moments", "histogram")}, set()),
        ({"keep": ("raw", "moments")}, set()),
    ):
        record(network, tmp_path / str(len(seen)), **spec)
        assert set(seen[-1]) == expected
    record(network, tmp_path / "spikes", keep=("moments", "spikes-only"))
    assert seen[-1]["conv1/E"] == frozenset(network.populations()["conv1/E"].signals) - {"spikes"}
    layer = network.named_layers()["conv1"]
    layer.lesion = PathwayScale(mask_inh=torch.zeros(layer.channels["I"]))  # type: ignore[attr-defined]
    tree = record(network, tmp_path / "lesion", keep="moments")
    assert seen[-1]["conv1/I"] == {"current_exc"}
    state = tree["conv1/I"].to_dataset()
    assert not state["mean"].sel(signal="activity").any() and state["mean"].sel(signal="current_exc").any()


def test_sum_rules_are_still_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    network = small("cnn", "ei").eval()
    layer = network.named_layers()["conv2"]
    forward = layer.forward

    def wrong(*args: Any, **kwargs: Any) -> Any:
        state, spikes, signals = forward(*args, **kwargs)
        if "E/gain" in signals:
            signals["E/gain"] = signals["E/gain"] * 1.01
        return state, spikes, signals

    monkeypatch.setattr(layer, "forward", wrong)
    with refusing(SumRuleError, where="conv2/E"):
        record(network, tmp_path / "r", keep="moments")


@pytest.mark.parametrize("used", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("static", [True, False])
def test_sums_over_any_blocks(used: str, dtype: torch.dtype, static: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """More channels than a tile, an odd number of places, hard reset, a membrane; nothing changes in the last bit."""
    generator = torch.Generator().manual_seed(2)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, dtype=dtype)

    for places, n_exc, n_inh in (((3, 3), 20, 7), ((), 300, 290)):
        currents, sub, div = draw(1 if static else 5, 9, *places, n_exc + n_inh), draw(n_exc, n_inh), draw(n_exc, n_inh)
        currents[..., n_exc:] *= (draw(*currents[..., n_exc:].shape) < 0.5) / n_inh
        gain, bias, membrane = 0.5 + draw(n_exc), draw(n_exc) - 0.5 + 100, draw(9, *places, n_exc)
        neuron = LIF(tau=3, reset="hard", threshold=150)
        results = []
        moments = Moments(FIELDS, warmup=1, every=2)
        with torch.inference_mode(), backend.use_backend(used):
            for block in (10**6, 2 * 9 * n_exc):
                monkeypatch.setattr(neuron_module, "BLOCK", block)
                options: dict[str, Any] = {"neuron": neuron, "steps": 5, "keep": frozenset(FIELDS[1:6]) - {"activity"}}
                options["keep"] |= {"voltage"}
                plain = ei_spikes(currents, sub, div, gain, bias, membrane, **options)
                with_moments = ei_spikes(currents, sub, div, gain, bias, membrane, moments=moments, **options)
                for a, b in zip(plain, with_moments, strict=True):
                    assert torch.equal(a, b)
                results.append(plain)
        for name in FIELDS:
            n, mean, squares = moments.result(name)
            if name in ("exc", "activity"):
                values = currents[..., :n_exc] if name == "exc" else currents[..., n_exc:]
            else:
                values = torch.cat([getattr(result, name) for result in results], 1)
            values = values.expand(5, *values.shape[1:])[1::2].double().flatten(0, 1)
            rows = values.flatten(1) if name not in ("exc", "activity") else torch.cat([values, values]).flatten(1)
            assert n == len(rows) == 2 * 9 * 2
            spread = rows.std(0).max().item() + 1e-12
            torch.testing.assert_close(mean.flatten(), rows.mean(0), rtol=1e-6, atol=1e-6 * spread)
            expected = (rows - rows.mean(0)).square().sum(0)
            torch.testing.assert_close(squares.flatten(), expected, rtol=2e-6, atol=1e-6 * spread**2, msg=name)


@pytest.mark.parametrize("used", BACKENDS)
def test_a_constant_signal_has_no_spread(used: str) -> None:
    currents, one = torch.full((1, 40, 3), 0.1), torch.ones(1)
    moments = Moments(["exc", "drive"])
    with torch.inference_mode(), backend.use_backend(used):
        ei_spikes(currents, one.expand(1, 2) / 3, one.expand(1, 2) / 7, one, one, None, neuron=LIF(), moments=moments)
    assert all(moments.result(name)[2].item() == 0 for name in moments.fields)


def test_what_cannot_be_summed_is_refused() -> None:
    network = small("mlp", "ei").eval()
    x = images(network.input_shape)
    with pytest.raises(EIPlatformError, match="moments can be formed only without gradients"):
        network.run(x, moments={"fc1": Moments(["gain"])})
    with refusing(UnknownNameError, what="'gain'?"):
        Moments(["gian"])
    with torch.inference_mode():
        with refusing(UnknownNameError, what="'readout'"):
            network.run(x, moments={"readout": Moments(["exc"])})
        with pytest.raises(EIPlatformError, match="warm-up 4"):
            network.run(x, moments={"fc1": Moments(["exc"], warmup=4)}, steps=4)
        with torch.autocast("cpu", torch.bfloat16), refusing(EIPlatformError, remedy="outside of autocast"):
            network.run(x, moments={"fc1": Moments(["exc"])})
        with torch.autocast("cpu", torch.bfloat16):
            assert network.run(x, moments={"fc1": Moments(["gain"])}).logits.isfinite().all()


def summed(used: str, batches: list[torch.Tensor]) -> tuple[int, float, float]:
    """Return n, mean and sum of squared deviations of the excitation of one neuron, (steps, samples) in batches."""
    one = torch.ones(1)
    moments = Moments(["exc"])
    with torch.inference_mode(), backend.use_backend(used):
        for batch in batches:
            currents = torch.stack([batch, torch.ones_like(batch)], -1)
            ei_spikes(currents, one.expand(1, 1), one.expand(1, 1), one, one, None, neuron=LIF(), moments=moments)
    n, mean, squares = moments.result("exc")
    return n, mean.item(), squares.item()


@pytest.mark.parametrize("used", BACKENDS)
@examples(60)
@given(st.data())
def test_values_far_away_cost_no_digits(used: str, data: st.DataObject) -> None:
    """Wherever the outliers are, at whatever mean, and however the values come in batches and steps."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    steps, samples = data.draw(st.sampled_from([(1, 300), (4, 60), (200, 3)]))
    values = rng.normal(size=(3, steps, samples)) + data.draw(st.sampled_from([0.0, 10.0, 1000.0]))
    n_outliers = data.draw(st.integers(0, 3))
    places = rng.integers(data.draw(st.sampled_from([1, 8, values.size])), size=n_outliers)
    values.reshape(-1)[places] = data.draw(st.sampled_from([0.0, -1000.0, 1e6]))
    batches = [torch.from_numpy(batch.astype(np.float32)) for batch in values]
    exact = torch.cat([batch.flatten() for batch in batches]).double()
    n, mean, squares = summed(used, batches)
    spread = exact.std(unbiased=False).item()
    assert n == len(exact) and abs(mean - exact.mean().item()) < 1e-6 * spread
    assert squares == pytest.approx((exact - exact.mean()).square().sum().item(), rel=1e-6)


@pytest.mark.parametrize("shape", [(3, 4, 4), (5, 3, 3), (1, 2, 4), (21,), (16,)])
def test_bits_are_those_of_numpy(shape: tuple[int, ...]) -> None:
    spikes = (torch.rand((2, 3, *shape), generator=torch.Generator().manual_seed(1)) < 0.4).float()
    expected = np.packbits(spikes.flatten(2).numpy().astype(bool), axis=-1, bitorder="little")
    layouts = [spikes, 2 * spikes, spikes.expand(2, *spikes.shape[1:])]
    if len(shape) == 3:
        layouts.append(spikes.movedim(2, -1).contiguous().movedim(-1, 2))
    for values in layouts:
        np.testing.assert_array_equal(pack_bits(values).numpy(), expected)


def test_bins_and_buckets_hold_every_value_at_their_edges() -> None:
    """Values at, just below and just above every edge, in any order of the memory; edges that float32 does not have."""
    low, high, n_bins = -0.3, 1.7, 10
    edges = torch.linspace(low, high, n_bins + 1, dtype=torch.float64)
    near = edges.numpy().astype(np.float32)
    values = np.concatenate([near, np.nextafter(near, -9, dtype=np.float32), np.nextafter(near, 9, dtype=np.float32)])
    values = np.concatenate([values, [0, -1, 5]]).astype(np.float32)
    x = torch.from_numpy(np.tile(values, 8)).view(2, 1, 4, len(values), 1).movedim(3, 2)
    for signal in (x, x.double()):
        state = Reduction(["gain"], 4 * len(values), {"histogram", "quantiles"}, {"gain": edges})
        state.add({"gain": signal})
        data = state.dataset()
        counts = data["histogram"].values[0]
        offline, _ = np.histogram(np.tile(values, 8).astype(np.float64), edges.numpy())
        np.testing.assert_array_equal(counts[1:-1], offline)
        assert counts[0] == 8 * (values.astype(float) < low).sum()
        assert counts.sum() == 8 * len(values) == data["sketch"].values.sum()
        for q, exact in zip((0, 1), (values.min(), values.max()), strict=True):
            assert reduced.quantile(data, "gain", q).item() == pytest.approx(exact, rel=0.0101)
        assert data["sketch"].values[0, reduced.PER_SIDE] == 8 * (np.abs(values) < 1e-9).sum()


def _stands_for_a_checkpoint(monkeypatch: pytest.MonkeyPatch, network: Any, data: Any) -> None:
    network.config = load_config(None)
    monkeypatch.setattr("eiplatform.front.training.load", lambda *_, **__: network)
    monkeypatch.setattr("eiplatform.front.recording.shown_to", lambda *_, **__: data)


@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
def test_record_with_either_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The backend is named and stored; spikes are those of the same backend's plain pass, statistics equal."""
    network = small("cnn", "ei").eval()
    data = split(network)
    _stands_for_a_checkpoint(monkeypatch, network, data)
    trees = {}
    for name in ("eager", "compiled"):
        out = tmp_path / name
        assert main(["record", "net", "--out", str(out), "--keep", "moments", "spikes-only", "--backend", name]) == 0
        assert f"{name} backend" in capsys.readouterr().out
        trees[name] = eiplatform.open(out)
        assert trees[name].attrs["source"]["backend"] == name
        with torch.inference_mode(), backend.use_backend(name):
            plain = network.run(torch.from_numpy(data.images), record={"conv2/E": frozenset({"spikes"})})
        expected = plain.signals["conv2/E"]["spikes"].transpose(0, 1).flatten(2).bool().numpy()
        np.testing.assert_array_equal(trees[name]["conv2/E"].ds["spikes"].values, expected)
    assert backend.current() == "eager"
    for population in network.populations():
        one, other = (tree[population].to_dataset() for tree in trees.values())
        spread = np.sqrt(one["m2"] / one["n"]).max("neuron") + 1e-12
        assert (abs(one["mean"] - other["mean"]) <= 1e-6 * abs(one["mean"]) + 1e-6 * spread).all()


def test_no_compiler_is_an_error_and_no_fallback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    network = small("mlp", "ei").eval()
    _stands_for_a_checkpoint(monkeypatch, network, split(network))
    monkeypatch.setenv("CXX", "no-such-compiler")
    compiled.library.cache_clear()
    try:
        assert main(["record", "net", "--out", str(tmp_path / "r"), "--backend", "compiled"]) == 2
    finally:
        compiled.library.cache_clear()
    assert "C++ compiler" in capsys.readouterr().err and not (tmp_path / "r").exists()
