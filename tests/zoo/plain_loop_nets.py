"""Plain torch: neurons written out in `forward`, with every usual way to loop and to read out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.cases import Net, case, positive
from tests.zoo.oracle import by

T = 5


class Two(nn.Module):
    """Two layers; `loop` is the forward pass of a case."""

    def __init__(self, loop: Callable[[Any, Tensor], Any], hidden: int = 7, out: int = 4, bias: bool = True) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, hidden, bias=bias), nn.Linear(hidden, out, bias=False)
        self.loop = loop

    def forward(self, x: Tensor) -> Any:
        return self.loop(self, x)

    def cell(self, current: Tensor, mem: Any) -> tuple[Tensor, Any]:
        """Return spikes and membrane of one step."""
        mem = 0.9 * mem + current
        spikes = (mem > 0.5).float()
        return spikes, mem - 0.5 * spikes


def written_out(loop: Callable[[Any, Tensor], Any], out: int = 4, **options: Any) -> Net:
    return Net(Two(loop, out=out), positive(6), {"a": by("a"), "b": by("b")}, T, **options)


@case
def list_and_stack() -> Net:
    def loop(net: Any, x: Tensor) -> Tensor:
        mem, outs = torch.zeros(x.shape[0], 7), []
        for _ in range(T):
            spikes, mem = net.cell(net.a(x), mem)
            outs.append(net.b(spikes))
        return torch.stack(outs)

    return written_out(loop)


@case
def added_up_from_0() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, out = torch.zeros(x.shape[0], 7), 0
        for _ in range(T):
            spikes, mem = net.cell(net.a(x), mem)
            out = out + net.b(spikes)
        return out

    return written_out(loop)


@case
def added_up_from_a_tensor() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, out = torch.zeros(x.shape[0], 7), torch.zeros(x.shape[0], 4)
        for _ in range(T):
            spikes, mem = net.cell(net.a(x), mem)
            out = out + net.b(spikes)
        return out / T

    return written_out(loop)


@case
def sum_of_a_list() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, outs = torch.zeros(x.shape[0], 7), []
        for _ in range(T):
            spikes, mem = net.cell(net.a(x), mem)
            outs.append(net.b(spikes))
        return sum(outs) / len(outs)

    return written_out(loop)


@case
def added_in_place() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, out = torch.zeros(x.shape[0], 7), torch.zeros(x.shape[0], 4)
        for _ in range(T):
            spikes, mem = net.cell(net.a(x), mem)
            out += net.b(spikes)
        return out

    return written_out(loop)


@case
def leaky_integral_of_the_readout() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, out = torch.zeros(x.shape[0], 7), torch.zeros(x.shape[0], 4)
        for _ in range(T):
            spikes, mem = net.cell(net.a(x), mem)
            out = 0.8 * out + net.b(spikes)
        return out

    return written_out(loop)


@case
def leaky_integral_in_place() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, out = torch.zeros(x.shape[0], 7), torch.zeros(x.shape[0], 4)
        for _ in range(T):
            spikes, mem = net.cell(net.a(x), mem)
            out.mul_(0.8).add_(net.b(spikes), alpha=0.2)
        return out

    return written_out(loop)


@case
def membranes_begun_with_0() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, v, outs = 0, 0.0, []
        for _ in range(T):
            spikes, mem = net.cell(net.a(x), mem)
            v = 0.7 * v + net.b(spikes)
            outs.append(v)
        return torch.stack(outs)

    return written_out(loop)


@case
def only_the_last_step_is_returned() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, out = torch.zeros(x.shape[0], 7), None
        for _ in range(T):
            spikes, mem = net.cell(net.a(x), mem)
            out = net.b(spikes)
        return out

    return Net(Two(loop), positive(6), {"a": by("a"), "b": by("b")}, T)


@case
def mean_over_steps() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, outs = torch.zeros(x.shape[0], 7), []
        for _ in range(T):
            spikes, mem = net.cell(net.a(x), mem)
            outs.append(net.b(spikes))
        return torch.stack(outs, 1).mean(1)

    return written_out(loop)


@case
def population_vote() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, v, out = torch.zeros(x.shape[0], 7), torch.zeros(x.shape[0], 6), 0
        for _ in range(T):
            spikes, mem = net.cell(net.a(x), mem)
            votes, v = net.cell(net.b(spikes), v)
            out = out + votes.reshape(-1, 3, 2).sum(-1)
        return out

    return written_out(loop, out=6)


@case
def spikes_of_the_last_layer() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, v, outs = torch.zeros(x.shape[0], 7), torch.zeros(x.shape[0], 4), []
        for _ in range(T):
            spikes, mem = net.cell(net.a(x), mem)
            last, v = net.cell(net.b(spikes), v)
            outs.append(last)
        return torch.stack(outs).sum(0)

    return written_out(loop)


@case
def largest_membrane_over_time() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, v, outs = torch.zeros(x.shape[0], 7), torch.zeros(x.shape[0], 4), []
        for _ in range(T):
            spikes, mem = net.cell(net.a(x), mem)
            v = 0.9 * v + net.b(spikes)
            outs.append(v)
        return torch.log_softmax(torch.stack(outs).amax(0), -1)

    return written_out(loop)


@case
def written_into_a_tensor() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, outs = torch.zeros(x.shape[0], 7), torch.zeros(T, x.shape[0], 4)
        for t in range(T):
            spikes, mem = net.cell(net.a(x), mem)
            outs[t] = net.b(spikes)
        return outs

    return written_out(loop)


@case
def joined_by_cat() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, outs = torch.zeros(x.shape[0], 7), []
        for _ in range(T):
            spikes, mem = net.cell(net.a(x), mem)
            outs.append(net.b(spikes).unsqueeze(0))
        return torch.cat(outs)

    return written_out(loop)


@case
def input_current_computed_once() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        current, mem, outs = net.a(x), torch.zeros(x.shape[0], 7), []
        for _ in range(T):
            spikes, mem = net.cell(current, mem)
            outs.append(net.b(spikes))
        return torch.stack(outs)

    return Net(Two(loop), positive(6), {"a": by("a", axes="held"), "b": by("b")}, T)


@case
def image_at_the_first_step_only() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, outs = torch.zeros(x.shape[0], 7), []
        for t in range(T):
            spikes, mem = net.cell(net.a(x if t == 0 else torch.zeros_like(x)), mem)
            outs.append(net.b(spikes))
        return torch.stack(outs)

    return written_out(loop)


@case
def synapse_and_membrane() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        syn, mem, outs = 0, 0, []
        while len(outs) < T:
            syn = 0.5 * syn + net.a(x)
            spikes, mem = net.cell(syn, mem)
            outs.append(net.b(spikes))
        return torch.stack(outs).mean(0)

    return written_out(loop)


@case
def repeated_outside_the_loop() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        current = net.a(x.unsqueeze(0).repeat(T, 1, 1))
        mem, spikes = torch.zeros(x.shape[0], 7), []
        for t in range(T):
            fired, mem = net.cell(current[t], mem)
            spikes.append(fired)
        return net.b(torch.stack(spikes))

    return written_out(loop, options={"time": "inside", "steps": T})


# -- sequences


def over_sequence(loop: Callable[[Any, Tensor], Any], axes: str, wants_axes: str = "TB", **options: Any) -> Net:
    steps = 5
    shape = (lambda batch: (steps, batch, 6)) if axes == "TB" else (lambda batch: (batch, steps, 6))
    wants = {"a": by("a", axes=wants_axes), "b": by("b", axes=wants_axes)}
    return Net(Two(loop), lambda batch: torch.rand(*shape(batch)) * 2, wants, steps, axes, **options)


@case
def sequence_time_first() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, outs = 0, []
        for frame in x:
            spikes, mem = net.cell(net.a(frame), mem)
            outs.append(net.b(spikes))
        return torch.stack(outs)

    return over_sequence(loop, "TB", options={"time": "sequence"})


@case
def sequence_batch_first() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, outs = torch.zeros(x.shape[0], 7), []
        for t in range(x.shape[1]):
            spikes, mem = net.cell(net.a(x[:, t]), mem)
            outs.append(net.b(spikes))
        return torch.stack(outs, 1)

    return over_sequence(loop, "BT", options={"time": "sequence", "time_axis": 1})


@case
def sequence_unbound_and_added_up() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        mem, out = 0, 0
        for frame in x.unbind(1):
            spikes, mem = net.cell(net.a(frame), mem)
            out = out + net.b(spikes)
        return out / x.shape[1]

    return over_sequence(loop, "BT", options={"time": "sequence", "time_axis": 1})


@case
def sequence_through_layers_at_once() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        current, mem, spikes = net.a(x), torch.zeros(x.shape[1], 7), []
        for t in range(x.shape[0]):
            fired, mem = net.cell(current[t], mem)
            spikes.append(fired)
        return net.b(torch.stack(spikes)).mean(0)

    return over_sequence(loop, "TB", options={"time": "sequence"})


@case
def sequence_batch_first_through_layers_at_once() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        current, mem, spikes = net.a(x), torch.zeros(x.shape[0], 7), []
        for t in range(x.shape[1]):
            fired, mem = net.cell(current[:, t], mem)
            spikes.append(fired)
        return net.b(torch.stack(spikes, 1)).mean(1)

    return over_sequence(loop, "BT", "BT", options={"time": "sequence", "time_axis": 1})


@case
def sequence_with_axes_merged() -> Net:
    def loop(net: Any, x: Tensor) -> Any:
        steps, batch = x.shape[:2]
        current = net.a(x.flatten(0, 1)).unflatten(0, (steps, batch))
        mem, spikes = torch.zeros(batch, 7), []
        for t in range(steps):
            fired, mem = net.cell(current[t], mem)
            spikes.append(fired)
        return net.b(torch.cat(spikes)).view(steps, batch, -1)

    return over_sequence(loop, "TB", "flat TB", options={"time": "sequence"})


@case
def time_is_the_last_axis() -> Net:
    steps = 5

    def loop(net: Any, x: Tensor) -> Any:
        mem, outs = torch.zeros(x.shape[0], 7), []
        for t in range(x.shape[-1]):
            spikes, mem = net.cell(net.a(x[..., t]), mem)
            outs.append(net.b(spikes))
        return torch.stack(outs, -1)

    turned = {"time": "sequence", "forward": lambda module, x: module(x.permute(1, 2, 0)).permute(2, 0, 1)}
    return Net(
        Two(loop),
        lambda batch: torch.rand(steps, batch, 6),
        {"a": by("a"), "b": by("b")},
        steps,
        "TB",
        lambda module, x: module(x.permute(1, 2, 0)),
        turned,
    )


# -- one call per step


class Kept(nn.Module):
    """Neurons that keep their membrane themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 7), nn.Linear(7, 4)
        self.mem: Any = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.mem = 0.8 * self.mem + self.a(x)
        spikes = (self.mem > 0.4).float()
        self.mem = self.mem - 0.4 * spikes
        return self.b(spikes)


def at_rest(module: Any) -> None:
    module.mem = 0.0


@case
def state_kept_as_an_attribute() -> Net:
    def play(module: Any, x: Tensor) -> None:
        module.mem = 0.0
        for _ in range(4):
            module(x)

    options = {"time": "steps", "steps": 4, "reset": at_rest}
    return Net(Kept(), positive(6), {"a": by("a"), "b": by("b")}, 4, play=play, options=options)


@case
def perceptron_without_time() -> Net:
    module = nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 3))
    wants = {"0": by("0", activity=torch.relu), "2": by("2", activity=torch.tanh), "4": by("4")}
    return Net(module, lambda batch: torch.randn(batch, 6), wants)
