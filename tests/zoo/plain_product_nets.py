"""Plain torch: weights that are used in every way in which a product can be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.zoo.cases import Net, case, positive
from tests.zoo.oracle import Parts, by, by_hand, products, split
from tests.zoo.plain_convolution_nets import Forward

T = 4


class Product(nn.Module):
    """One product with `w` and an activation, then a readout."""

    def __init__(self, product: Callable[[Any, Tensor], Tensor], shape: tuple[int, ...] = (5, 4)) -> None:
        super().__init__()
        self.w, self.shift = nn.Parameter(torch.randn(*shape)), nn.Parameter(torch.randn(5))
        self.register_buffer("mask", (torch.rand(*shape) < 0.6).float())
        self.out = nn.Linear(5, 2)
        self.product = product

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.product(self, x)))


def product(
    function: Callable[[Any, Tensor], Tensor], weight: Callable[[Any], Tensor] = lambda net: net.w, **options: Any
) -> Net:
    """Return a net whose population `w` is driven by a matrix (5, 4), signed inputs."""

    def reference(net: Any, x: Tensor) -> dict[str, Any]:
        drive = net.product(net, x).unsqueeze(0)
        return {"parts": [split(weight(net), x)], "drive": drive, "activity": torch.relu(drive)}

    module = Product(function, **options)
    return Net(module, lambda batch: torch.randn(batch, 4), {"w": by_hand(reference), "out": by("out")})


@case
def matmul_with_a_transpose() -> Net:
    return product(lambda net, x: x @ net.w.T + net.shift)


@case
def matmul_from_the_left() -> Net:
    return product(lambda net, x: torch.matmul(net.w, x.T).T)


@case
def addmm() -> Net:
    return product(lambda net, x: torch.addmm(net.shift, x, net.w.t()))


@case
def addmm_with_factors() -> Net:
    return product(lambda net, x: torch.addmm(net.shift, x, net.w.t(), beta=0.5, alpha=-2.0), lambda net: -2 * net.w)


@case
def mv_of_every_sample() -> Net:
    # A loop over samples cannot be told from one over steps.
    module = Product(lambda net, x: torch.stack([torch.mv(net.w, sample) for sample in x]))
    return Net(module, positive(4), {"out": by("out")}, options={"time": "static"}, missing=("w",))


@case
def einsum() -> Net:
    return product(lambda net, x: torch.einsum("bi,oi->bo", x, net.w))


@case
def einsum_of_the_transposed() -> Net:
    return product(lambda net, x: torch.einsum("bi,io->bo", x, net.w), lambda net: net.w.T, shape=(4, 5))


@case
def bmm_with_expanded_weights() -> Net:
    return product(lambda net, x: torch.bmm(net.w.expand(x.shape[0], 5, 4), x.unsqueeze(-1)).squeeze(-1))


@case
def baddbmm() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        shift = net.shift.view(1, 1, 5).expand(x.shape[0], 1, 5)
        return torch.baddbmm(shift, x.unsqueeze(1), net.w.t().expand(x.shape[0], 4, 5)).squeeze(1)

    return product(run)


@case
def masked_weights() -> Net:
    return product(lambda net, x: functional.linear(x, net.w * net.mask), lambda net: net.w * net.mask)


@case
def weights_made_positive() -> Net:
    return product(lambda net, x: x @ net.w.abs().T, lambda net: net.w.abs())


@case
def dales_law_by_signs() -> Net:
    def signed(net: Any) -> Tensor:
        return functional.relu(net.w) * torch.tensor([1.0, 1.0, 1.0, -1.0])

    return product(lambda net, x: functional.linear(x, signed(net), net.shift), signed)


@case
def product_written_as_a_sum() -> Net:
    module = Product(lambda net, x: (x.unsqueeze(1) * net.w).sum(-1))
    return Net(module, positive(4), {"out": by("out")}, missing=("w",))


@case
def part_of_a_matrix() -> Net:
    def reference(net: Any, x: Tensor) -> dict[str, Any]:
        drive = (x @ net.w[:, :4].T).unsqueeze(0)
        return {"parts": [split(net.w[:, :4], x)], "drive": drive, "activity": torch.relu(drive)}

    module = Product(lambda net, x: x @ net.w[:, :4].T, shape=(5, 7))
    return Net(module, positive(4), {"w": by_hand(reference), "out": by("out")})


class Branches(nn.Module):
    """A layer and something beside it that has weights too."""

    def __init__(self, branch: Callable[[Any, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.fc, self.out = nn.Linear(6, 5), nn.Linear(5, 2)
        self.u, self.v = nn.Parameter(torch.randn(6, 2)), nn.Parameter(torch.randn(2, 5))
        self.w = nn.Parameter(torch.randn(6, 5))
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.branch(self, x, self.fc(x))))


def branches(branch: Callable[[Any, Tensor, Tensor], Tensor], low_rank: bool) -> Net:
    def reference(net: Any, x: Tensor) -> dict[str, Any]:
        main = products(net.fc, x)
        beside = split(net.v.T, x @ net.u) if low_rank else split(net.w.T, x)
        drive = net.branch(net, x, net.fc(x)).unsqueeze(0)
        parts = Parts(main.exc + beside.exc, main.inh + beside.inh)
        return {"parts": [parts], "drive": drive, "activity": torch.relu(drive)}

    def inner(net: Any, x: Tensor) -> dict[str, Any]:
        return {"parts": [split(net.u.T, x)], "drive": (x @ net.u).unsqueeze(0)}

    wants = {"fc": by_hand(reference), "out": by("out")} | ({"u": by_hand(inner)} if low_rank else {})
    return Net(Branches(branch), lambda batch: torch.randn(batch, 6), wants)


@case
def low_rank_branch() -> Net:
    return branches(lambda net, x, main: main + (x @ net.u) @ net.v, low_rank=True)


@case
def addmm_onto_a_layer() -> Net:
    return branches(lambda net, x, main: torch.addmm(main, x, net.w), low_rank=False)


@case
def einsum_beside_a_layer() -> Net:
    return branches(lambda net, x, main: main + torch.einsum("bi,io->bo", x, net.w), low_rank=False)


@case
def product_beside_a_layer_in_place() -> Net:
    def branch(net: Any, x: Tensor, main: Tensor) -> Tensor:
        main += x.mm(net.w)
        return main

    return branches(branch, low_rank=False)


# -- weights used more than once


@case
def layer_used_twice_per_step() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        mem: Any = 0
        outs = []
        for _ in range(T):
            mem = 0.8 * mem + net.f(torch.relu(net.f(x)))
            outs.append((mem > 0.2).float())
        return net.out(torch.stack(outs).mean(0))

    module = Forward(run, f=nn.Linear(6, 6), out=nn.Linear(6, 2))
    wants = {
        "f": by("f", calls=slice(0, None, 2), activity=torch.relu),
        "f@2": by("f", calls=slice(1, None, 2)),
        "out": by("out", axes="held"),
    }
    return Net(module, positive(6), wants, T)


@case
def layer_shared_by_two_places() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        return net.out(torch.relu(net.f(torch.relu(net.mid(torch.relu(net.f(x)))))))

    module = Forward(run, f=nn.Linear(5, 5), mid=nn.Linear(5, 5), out=nn.Linear(5, 2))
    wants = {
        "f": by("f", calls=slice(0, 1), activity=torch.relu),
        "mid": by("mid", activity=torch.relu),
        "f@2": by("f", calls=slice(1, 2), activity=torch.relu),
        "out": by("out"),
    }
    return Net(module, positive(5), wants)


class Tied(nn.Module):
    """An autoencoder whose decoder has the encoder's weights."""

    def __init__(self) -> None:
        super().__init__()
        self.enc = nn.Linear(6, 4)
        self.shift = nn.Parameter(torch.randn(6))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(torch.relu(self.enc(x)), self.enc.weight.t(), self.shift)


def _decoded(net: Any, x: Tensor) -> dict[str, Any]:
    hidden = torch.relu(net.enc(x))
    return {"parts": [split(net.enc.weight.T, hidden)], "drive": net(x).unsqueeze(0)}


@case
def tied_weights() -> Net:
    wants = {"enc": by("enc", activity=torch.relu), "enc@2": by_hand(_decoded)}
    return Net(Tied(), lambda batch: torch.randn(batch, 6), wants)


@case
def same_parameter_in_two_layers() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        return net.b(torch.relu(net.a(x)))

    module = Forward(run, a=nn.Linear(5, 5), b=nn.Linear(5, 5))
    module.b.weight = module.a.weight
    return Net(module, positive(5), {"a": by("a", activity=torch.relu), "b": by("b")})


# -- scaling, changes in place, parts


class Scaled(nn.Module):
    """A current times a buffer; the buffer's numbers have either sign."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.out = nn.Linear(6, 5), nn.Linear(5, 2)
        self.register_buffer("factor", torch.tensor([2.0, -1.0, 0.5, -0.25, 1.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.fc(x) * self.factor))


@case
def current_scaled_by_a_buffer() -> Net:
    wants = {"fc": by("fc", scale=lambda net: net.factor), "out": by("out")}

    def with_activity(seen: Any) -> Any:
        signals = wants["fc"](seen)
        signals["drive"] = signals["current_exc"] - signals["current_inh"] + seen.module.fc.bias * seen.module.factor
        return signals | {"activity": torch.relu(signals["drive"])}

    return Net(Scaled(), positive(6), wants | {"fc": with_activity})


@case
def changed_in_place_as_a_whole() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        current = net.fc(x)
        current.mul_(0.5)
        current.add_(0.25)
        return net.out(current.relu_())

    def reference(net: Any, x: Tensor) -> dict[str, Any]:
        parts = products(net.fc, x)
        drive = (0.5 * net.fc(x) + 0.25).unsqueeze(0)
        return {"parts": [Parts(0.5 * parts.exc, 0.5 * parts.inh)], "drive": drive, "activity": torch.relu(drive)}

    module = Forward(run, fc=nn.Linear(6, 5), out=nn.Linear(5, 2))
    return Net(module, positive(6), {"fc": by_hand(reference), "out": by("out")})


@case
def a_part_is_multiplied_in_place() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        current = net.fc(x)
        current[:, :2] *= x[:, :2]
        return net.out(torch.relu(current))

    # The product of two signals ends the current: what counts is what the layer contributed.
    module = Forward(run, fc=nn.Linear(6, 5), out=nn.Linear(5, 2))
    return Net(module, positive(6), {"fc": by("fc"), "out": by("out")})


@case
def weight_norm() -> Net:
    module = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 5)), nn.ReLU(), nn.Linear(5, 2))

    def reference(net: Any, x: Tensor) -> dict[str, Any]:
        drive = net[0](x).unsqueeze(0)
        return {"parts": [split(net[0].weight, x)], "drive": drive, "activity": torch.relu(drive)}

    return Net(module, positive(6), {"0": by_hand(reference), "2": by("2")})


@case
def halves_of_a_layer() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        value, gate = net.both(x).chunk(2, -1)
        return net.out(torch.relu(value) * torch.sigmoid(gate))

    def half(which: int) -> Callable[[Any, Tensor], dict[str, Any]]:
        def reference(net: Any, x: Tensor) -> dict[str, Any]:
            parts = products(net.both, x)
            drive = net.both(x).chunk(2, -1)[which].unsqueeze(0)
            exc, inh = parts.exc.chunk(2, -1)[which], parts.inh.chunk(2, -1)[which]
            activity = torch.sigmoid(drive) if which else torch.relu(drive)
            return {"parts": [Parts(exc, inh)], "drive": drive, "activity": activity}

        return reference

    module = Forward(run, both=nn.Linear(4, 6), out=nn.Linear(3, 2))
    wants = {"both": by_hand(half(0)), "both@2": by_hand(half(1)), "out": by("out")}
    return Net(module, lambda batch: torch.randn(batch, 4), wants)


@case
def bilinear() -> Net:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Bilinear(3, 4, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.mix(x[:, :3], x[:, 3:])

    def reference(net: Any, x: Tensor) -> dict[str, Any]:
        pairs = (x[:, :3, None] * x[:, None, 3:]).flatten(1)
        return {"parts": [split(net.mix.weight.flatten(1), pairs)], "drive": net(x).unsqueeze(0)}

    return Net(Two(), lambda batch: torch.randn(batch, 7), {"mix": by_hand(reference)})


# -- embeddings, attention, layer normalisation


@case
def embedding_of_words() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        return net.fc(torch.relu(net.words(x).mean(1)))

    def reference(net: Any, x: Tensor) -> dict[str, Any]:
        rows = net.words.weight[x]
        drive = rows.mean(1).unsqueeze(0)
        parts = Parts(rows.clamp(min=0).double().mean(1), (-rows).clamp(min=0).double().mean(1))
        return {"parts": [parts], "drive": drive, "activity": torch.relu(drive)}

    module = Forward(run, words=nn.Embedding(9, 5), fc=nn.Linear(5, 2))
    wants = {"words": by_hand(reference), "fc": by("fc")}
    return Net(module, lambda batch: torch.randint(9, (batch, 3)), wants, options={"time": "static"})


@case
def attention_written_out() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        scores = torch.softmax(net.q(x) @ net.k(x).transpose(1, 2) / 2, -1)
        return net.out(torch.relu(scores @ net.v(x)))

    module = Forward(run, q=nn.Linear(4, 4), k=nn.Linear(4, 4), v=nn.Linear(4, 4), out=nn.Linear(4, 2))
    wants = {name: by(name) for name in ("q", "v", "out")}
    wants["k"] = by("k", linear=lambda values: values.transpose(1, 2))
    return Net(module, lambda batch: torch.randn(batch, 3, 4), wants, options={"time": "static"})


@case
def attention_of_torch() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        mixed, _ = net.attention(x, x, x, need_weights=False)
        return net.out(torch.relu(net.fc(x) + mixed))

    module = Forward(
        run,
        attention=nn.MultiheadAttention(4, 2, batch_first=True),
        fc=nn.Linear(4, 4),
        out=nn.Linear(4, 2),
    )
    return Net(
        module,
        lambda batch: torch.randn(batch, 3, 4),
        {"fc": by("fc"), "out": by("out")},
        options={"time": "static"},
        missing=("attention.in_proj_weight",),
    )


@case
def layer_normalisation() -> Net:
    module = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 2))
    return Net(module, positive(6), {"0": by("0"), "3": by("3")})
