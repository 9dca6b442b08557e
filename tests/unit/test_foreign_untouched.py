"""A user's module is left as it was found, to the last bit."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eiplatform.errors import EIPlatformError
from eiplatform.foreign import adapt, probe
from eiplatform.foreign.keep import untouched


class Busy(nn.Module):
    """Changes everything that a forward pass can change."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm, self.out = nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)
        self.register_buffer("count", torch.zeros(3))
        self.register_buffer("later", None)
        self.seen: list[Any] = [1, [2]]
        self.by_name = {"a": torch.zeros(2)}
        self.state: Any = torch.ones(2)
        self.numpy = np.random.default_rng(1)
        self.python = random.Random(1)

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        self.later = x
        self.seen.append(float(x.sum()))
        self.seen[1].append(3)
        self.by_name["a"].add_(1)
        self.by_name["b"] = x
        self.state = self.state + 1
        self.added = x
        with torch.no_grad():
            self.fc.weight.mul_(1.0000001)
        noise = float(self.numpy.random()) + self.python.random() + np.random.rand() + float(torch.rand(()))  # noqa: NPY002
        return self.out(torch.relu(self.norm(self.fc(x)) + 0 * noise))


def facts(value: Any, depth: int = 0) -> Any:
    """Return everything that can be compared of a value."""
    if isinstance(value, Tensor):
        grad = facts(value.grad, depth + 1) if value.is_leaf and value.grad is not None else None
        return (id(value), value.detach().numpy().tobytes(), value.requires_grad, value.is_inference(), grad)
    if isinstance(value, dict):
        return {key: facts(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [facts(item, depth + 1) for item in value]
    if isinstance(value, np.random.Generator):
        return str(value.bit_generator.state)
    if isinstance(value, random.Random):
        return value.getstate()
    return value if isinstance(value, bool | int | float | str) else id(value)


def of(module: nn.Module) -> dict[str, Any]:
    return {name: facts(vars(part)) for name, part in module.named_modules()}


def numbers() -> tuple[Any, ...]:
    return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()  # noqa: NPY002


def test_everything_is_put_back() -> None:
    torch.manual_seed(0)
    module, x = Busy(), torch.rand(3, 4)
    module.norm.eval()  # frozen
    module.fc.weight.requires_grad_(False)
    module.out(torch.ones(1, 5)).sum().backward()
    module.fc.register_forward_hook(lambda *_: None)
    before, drawn, given = of(module), numbers(), x.clone()
    probe(module, x)
    assert of(module) == before and numbers() == drawn
    network = adapt(module, x)
    assert of(module) == before and numbers() == drawn and torch.equal(x, given)
    network.eval()
    before = of(module)
    network.run(x, record={"fc": frozenset({"current_exc"})})
    network.run(x)
    assert of(module) == before and torch.equal(x, given)


def test_what_a_forward_changes_is_put_back_when_it_fails() -> None:
    module = Busy().eval()
    before = of(module)
    with pytest.raises(EIPlatformError, match="does not run"):
        adapt(module, torch.rand(3, 7))
    assert of(module) == before
    with pytest.raises(ZeroDivisionError), untouched(module):
        module.seen.clear()
        1 / 0  # noqa: B018
    assert of(module) == before


def test_a_module_trains_after_it_was_looked_at() -> None:
    frozen = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2)).train()
    frozen[1].eval()
    probe(frozen, torch.rand(5, 4))
    assert [part.training for part in frozen] == [True, False, True, True]
    frozen(torch.rand(5, 4)).sum().backward()
    lazy, x = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(3)), torch.rand(4, 6)
    assert list(probe(lazy, x).populations) == ["0", "2"]
    network = adapt(lazy, x)
    assert isinstance(lazy[0].weight, nn.UninitializedParameter)
    with pytest.raises(EIPlatformError, match="set by the first input"):
        network.eval().run(x, record={"0": frozenset({"drive"})})
    lazy(x).sum().backward()
    network.refresh()
    network.run(x, record={"0": frozenset({"drive", "current_exc"})})


def test_an_input_that_the_module_overwrites() -> None:
    class Greedy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x.mul_(2))

    x = torch.rand(3, 4)
    given = x.clone()
    network = adapt(Greedy().eval(), x)
    drive = network.run(x, record={"fc": frozenset({"drive"})}).signals["fc"]["drive"][0]
    assert torch.equal(x, given)
    torch.testing.assert_close(drive, network.module.fc(2 * x).detach())


def test_random_numbers_of_any_source_are_the_same_in_every_look() -> None:
    class Noisy(nn.Module):
        def __init__(self, draw: Any) -> None:
            super().__init__()
            self.fc, self.draw = nn.Linear(4, 3), draw

        def forward(self, x: Tensor) -> Tensor:
            return self.fc((x > self.draw(x.shape)).float())

    own = np.random.default_rng(3)
    draws = [
        torch.rand,
        lambda shape: torch.from_numpy(np.random.rand(*shape)),  # noqa: NPY002
        lambda shape: torch.full(shape, random.random()),
    ]
    for draw in draws:
        network = adapt(Noisy(draw).eval(), torch.rand(3, 4))
        torch.manual_seed(5)
        network.run(torch.rand(3, 4), record={"fc": frozenset({"current_exc"})})
    with pytest.raises(EIPlatformError, match="changes while its currents are traced"):
        adapt(Noisy(lambda shape: torch.from_numpy(own.random(tuple(shape)))).eval(), torch.rand(3, 4))  # out of reach
