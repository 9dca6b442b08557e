"""Plain torch: what a network returns, in every form, and what else it does beside its work."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from tests.zoo.cases import BATCH, Net, case, positive
from tests.zoo.oracle import Parts, by, by_hand, products
from tests.zoo.plain_convolution_nets import Forward
from tests.zoo.plain_loop_nets import T, written_out


@dataclass
class Record:
    """What a network returns."""

    logits: Tensor
    spikes: list[Tensor]
    note: str = "own class"


class Pair(NamedTuple):
    """What another network returns."""

    spikes: Tensor
    membrane: Tensor


def returning(form: Callable[[list[Tensor], list[Tensor]], Any], **options: Any) -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, spikes, outs = torch.zeros(x.shape[0], 7), [], []
        for _ in range(T):
            fired, mem = net.cell(net.a(x), mem)
            spikes.append(fired)
            outs.append(net.b(fired))
        return form(outs, spikes)

    return written_out(loop, **options)


@case
def a_tuple() -> Net:
    return returning(lambda outs, spikes: (torch.stack(outs), torch.stack(spikes)))


@case
def a_list_of_steps() -> Net:
    return returning(lambda outs, spikes: outs)


@case
def a_dictionary() -> Net:
    return returning(lambda outs, spikes: {"logits": torch.stack(outs).mean(0), "spikes": spikes, "loss": None})


@case
def a_dataclass() -> Net:
    return returning(lambda outs, spikes: Record(torch.stack(outs).mean(0), spikes))


@case
def a_named_tuple() -> Net:
    return returning(lambda outs, spikes: Pair(torch.stack(spikes), torch.stack(outs)))


@case
def a_single_number_beside_it() -> Net:
    return returning(lambda outs, spikes: (torch.stack(outs).sum(0), torch.stack(spikes).mean()))


@case
def predictions_only() -> Net:
    return returning(lambda outs, spikes: torch.stack(outs).sum(0).argmax(-1))


@case
def hard_coded_batch_size() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, outs = torch.zeros(BATCH, 7), []
        for _ in range(T):
            fired, mem = net.cell(net.a(x.view(BATCH, 6)), mem)
            outs.append(net.b(fired))
        return torch.stack(outs)

    return written_out(loop, any_batch=False)


# -- things done on the way


def static(run: Callable[[Any, Tensor], Any], **parts: nn.Module) -> Net:
    parts = {"a": nn.Linear(6, 5), "b": nn.Linear(5, 3)} | parts
    wants = {"a": by("a", activity=torch.relu), "b": by("b")}
    return Net(Forward(run, **parts), positive(6), wants)


@case
def a_tensor_is_watched() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        current = net.a(x)
        net.watch = current.detach().abs().max()
        return net.b(torch.relu(current))

    return static(run)


@case
def a_statistic_is_kept_and_returned() -> Net:
    def run(net: Any, x: Tensor) -> Any:
        current = net.a(x)
        hidden = torch.relu(current)
        return net.b(hidden), (current > 0).float().mean(), hidden.pow(2).sum()

    return static(run)


@case
def a_list_grows_in_forward() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        hidden = torch.relu(net.a(x))
        net.history.append(hidden.detach())
        net.counts["calls"] = net.counts.get("calls", 0) + 1
        return net.b(hidden)

    net = static(run)
    module: Any = net.module
    module.history, module.counts = [torch.ones(2)], {}
    return net


class Running(nn.Module):
    """Keeps a running mean of its currents in a buffer and a counter as a parameter without gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 3)
        self.register_buffer("mean", torch.zeros(5))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        current = self.a(x)
        with torch.no_grad():
            self.mean.mul_(0.9).add_(0.1 * current.mean(0))
            self.calls += 1
        return self.b(torch.relu(current))


@case
def buffers_change_in_forward() -> Net:
    return Net(Running(), positive(6), {"a": by("a", activity=torch.relu), "b": by("b")})


@case
def gradients_and_frozen_parts_are_there() -> Net:
    net = static(lambda net, x: net.b(torch.relu(net.norm(net.a(x)))), norm=nn.BatchNorm1d(5))
    module: Any = net.module
    module(torch.randn(8, 6)).sum().backward()
    module.a.bias.requires_grad_(False)
    module.train()
    module.norm.eval()  # frozen, as in fine-tuning
    wants = {"a": _normalised, "b": by("b")}
    return Net(module, net.x, wants)


def _normalised(seen: Any) -> Any:
    norm = seen.module.norm
    factor = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
    signals = by("a", scale=lambda _: factor, drive="norm")(seen)
    return signals | {"activity": torch.relu(signals["drive"])}


@case
def hooks_of_the_user_are_there() -> Net:
    net = static(lambda net, x: net.b(torch.relu(net.a(x))))
    seen: list[int] = []
    net.module.get_submodule("a").register_forward_hook(lambda *_: seen.append(1))
    net.module.register_forward_pre_hook(lambda *_: None)
    return net


@case
def no_grad_and_autocast_inside() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        with torch.no_grad():
            hidden = torch.relu(net.a(x))
        with torch.enable_grad():
            return net.b(hidden)

    return static(run)


@case
def inputs_are_turned_into_spikes_by_torch() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        mem: Any = 0
        outs = []
        for _ in range(T):
            fired, mem = net.cell(net.a((torch.rand_like(x) < x / 2).float()), mem)
            outs.append(net.b(fired))
        return torch.stack(outs)

    return written_out(run)


@case
def inputs_are_turned_into_spikes_by_numpy() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        mem: Any = 0
        outs = []
        for _ in range(T):
            chance = torch.from_numpy(np.random.rand(*x.shape).astype(np.float32))  # noqa: NPY002
            fired, mem = net.cell(net.a((chance < x / 2).float()), mem)
            outs.append(net.b(fired))
        return torch.stack(outs)

    return written_out(run)


@case
def a_factor_is_drawn_by_python() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        mem: Any = 0
        outs = []
        for _ in range(T):
            fired, mem = net.cell(net.a(x * random.random()), mem)
            outs.append(net.b(fired))
        return torch.stack(outs)

    return written_out(run)


@case
def dropout_in_evaluation() -> Net:
    return static(lambda net, x: net.b(net.drop(torch.relu(net.a(x)))), drop=nn.Dropout(0.5))


@case
def dropout_that_is_always_on() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        return net.b(nn.functional.dropout(torch.relu(net.a(x)), 0.5, training=True))

    return static(run)


@case
def spiking_input_is_signed() -> Net:
    net = static(lambda net, x: net.b(torch.relu(net.a(x))))
    return Net(net.module, lambda batch: torch.randint(-1, 2, (batch, 6)).float(), net.wants)


# -- names, wrappers, scripts, lazy modules, numbers


@case
def scripted_activation() -> Net:
    class Slope(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x) * 2.0

    net = static(lambda net, x: net.b(net.act(net.a(x))), act=torch.jit.script(Slope()))
    return Net(net.module, net.x, {"a": _without_activity, "b": by("b")})


def _without_activity(seen: Any) -> Any:
    signals = by("a")(seen)
    return signals | {"activity": torch.relu(signals["drive"])}


@case(refused="script|Script")
def scripted_as_a_whole() -> Net:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(6, 5)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.a(x))

    return Net(torch.jit.script(Plain()), positive(6), {})


@case
def data_parallel() -> Net:
    net = static(lambda net, x: net.b(torch.relu(net.a(x))))
    inner = net.module
    wants = {name: _inside(compute, "module") for name, compute in net.wants.items()}
    return Net(nn.DataParallel(inner), net.x, wants)


@case
def compiled_wrapper() -> Net:
    net = static(lambda net, x: net.b(torch.relu(net.a(x))))
    wants = {name: _inside(compute, "_orig_mod") for name, compute in net.wants.items()}
    return Net(torch.compile(net.module), net.x, wants, play=lambda module, x: module._orig_mod(x))


def _inside(compute: Callable[[Any], Any], prefix: str) -> Callable[[Any], Any]:
    """Let what computes a population see the module inside a wrapper."""

    def computed(seen: Any) -> Any:
        inner = type(seen)(getattr(seen.module, prefix), seen.x, seen.steps, seen.batch)
        inner.calls = {name.removeprefix(f"{prefix}."): calls for name, calls in seen.calls.items()}
        return compute(inner)

    return computed


@case(refused="first input|first decides|lazy|Lazy")
def lazy_layers() -> Net:
    module = nn.Sequential(nn.LazyLinear(5), nn.ReLU(), nn.LazyLinear(3))

    return Net(module, positive(6), {"0": by("0", activity=torch.relu), "2": by("2")})


@case(refused="NaN|nan|infinite")
def a_weight_is_nan() -> Net:
    net = static(lambda net, x: net.b(torch.relu(net.a(x))))
    with torch.no_grad():
        net.module.get_submodule("a").weight[0, 0] = torch.nan  # type: ignore[index,operator]
    return net


@case(refused="NaN|nan|infinite")
def an_input_is_infinite() -> Net:
    net = static(lambda net, x: net.b(torch.relu(net.a(x))))
    return Net(net.module, lambda batch: torch.full((batch, 6), torch.inf), net.wants)


@case(refused="a.weight.*float16")
def half_precision() -> Net:
    net = static(lambda net, x: net.b(torch.relu(net.a(x))))
    return Net(net.module.half(), lambda batch: torch.rand(batch, 6).half(), {})


@case
def double_precision() -> Net:
    net = static(lambda net, x: net.b(torch.relu(net.a(x))))
    return Net(net.module.double(), lambda batch: torch.rand(batch, 6).double(), net.wants)


@case
def norm_that_always_uses_the_batch() -> Net:
    class Stubborn(nn.BatchNorm1d):
        def train(self, mode: bool = True) -> Any:
            return super().train(True)

    # What it does depends on the other samples, so that the currents end before it.
    net = static(lambda net, x: net.b(torch.relu(net.norm(net.a(x)))), norm=Stubborn(5))
    return Net(net.module, net.x, {"a": by("a"), "b": by("b")})


@case
def lazy_layers_that_have_seen_an_input() -> Net:
    module = nn.Sequential(nn.LazyLinear(5), nn.ReLU(), nn.LazyLinear(3))
    module(torch.rand(2, 6))
    return Net(module, positive(6), {"0": by("0", activity=torch.relu), "2": by("2")})


@case
def names_that_the_store_could_not_keep_apart() -> Net:
    module = nn.Sequential()
    module.add_module("a", nn.Linear(6, 5))
    module.add_module("act", nn.ReLU())
    module.add_module("a/b", nn.Linear(5, 3))
    return Net(module, positive(6), {"a": by("a", activity=torch.relu)}, missing=("a/b",))


@case
def block_of_blocks() -> Net:
    module = nn.Sequential(nn.Sequential(nn.Linear(6, 5), nn.ReLU()), nn.ModuleDict({"head": nn.Linear(5, 3)})["head"])
    return Net(module, positive(6), {"0.0": by("0.0", activity=torch.relu), "1": by("1")})


@case
def parallel_networks_in_a_list() -> Net:
    class Ensemble(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.members = nn.ModuleList(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([member(x) for member in self.members]).mean(0)

    wants: dict[str, Any] = {f"members.{k}.0": by(f"members.{k}.0", activity=torch.relu) for k in range(3)}
    # Their readouts are averaged: three sets of weights drive one population.
    wants["members.0.2"] = by(*(f"members.{k}.2" for k in range(3)), scale=lambda _: 1 / 3)
    return Net(Ensemble(), positive(6), wants)


@case
def readout_of_one_class() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        return net.b(torch.relu(net.a(x)))[:, 0]

    def first(net: Any, x: Tensor) -> dict[str, Any]:
        parts = products(net.b, torch.relu(net.a(x)))
        return {"parts": [Parts(parts.exc[:, 0], parts.inh[:, 0])], "drive": net(x).unsqueeze(0)}

    net = static(run)
    return Net(net.module, net.x, net.wants | {"b": by_hand(first)})
