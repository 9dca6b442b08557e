"""A user's module is left as it was found: every value, mode, list and random number."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eiplatform.errors import EIPlatformError

_LAZY = (nn.UninitializedParameter, nn.UninitializedBuffer)

__all__ = ["Draws", "is_lazy", "same_numbers", "untouched"]


@dataclass
class Draws:
    """Whether random numbers were drawn from other generators than torch's global one."""

    happened: bool = False


@contextmanager
def untouched(network: nn.Module) -> Iterator[Draws]:
    """Leave a module as it was found, whatever happens in the block.

    Put back are the attributes of every submodule (with the contents of lists, dictionaries and
    sets), and the values of all tensors among them: parameters, gradients, buffers, states.
    """
    kept = [_Kept(module) for module in network.modules()]
    draws = Draws()
    before = _global_numbers()
    try:
        yield draws
    finally:
        draws.happened = _global_numbers() != before
        for one in kept:
            draws.happened |= one.restore()


def _global_numbers() -> tuple[Any, ...]:
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - a user's network may draw from it
    return (kind, np.asarray(keys).tobytes(), *rest, random.getstate())


@contextmanager
def same_numbers(seed: int | None = None) -> Iterator[None]:
    """Put back the state of all random numbers afterwards: torch's, numpy's and Python's.

    Parameters
    ----------
    seed : int, optional
        What all of them start from in the block.
    """
    numpys, pythons = np.random.get_state(), random.getstate()  # noqa: NPY002
    with torch.random.fork_rng():
        try:
            if seed is not None:
                torch.manual_seed(seed)
                np.random.seed(seed)  # noqa: NPY002
                random.seed(seed)
            yield
        finally:
            np.random.set_state(numpys)  # noqa: NPY002
            random.setstate(pythons)


def is_lazy(network: nn.Module) -> bool:
    """Whether a module has parameters or buffers whose shape its first input decides."""
    return any(isinstance(tensor, _LAZY) for tensor in [*network.parameters(), *network.buffers()])


class _Kept:
    """What one submodule holds."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.scripted = isinstance(module, torch.jit.ScriptModule)
        self.training = module.training
        self.generators: list[tuple[Any, Any]] = []
        self.values: dict[int, tuple[Tensor, Tensor]] = {}
        self.containers: list[tuple[Any, Any]] = []
        self.attributes: dict[str, Any] = {}
        if self.scripted:
            self._note([*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)])
            return
        self.attributes = dict(vars(module))
        self._note(vars(module))

    def _note(self, value: Any, depth: int = 0) -> None:
        if isinstance(value, Tensor):
            if isinstance(value, _LAZY) or id(value) in self.values:
                return
            self.values[id(value)] = (value, value.detach().clone())
            if value.is_leaf and value.grad is not None:
                self._note(value.grad, depth)
        elif isinstance(value, nn.Module) or depth > 4:
            return
        elif isinstance(value, torch.Generator | np.random.Generator | np.random.RandomState | random.Random):
            self.generators.append((value, _numbers_of(value)))
        elif isinstance(value, dict):
            self.containers.append((value, dict(value)))
            for item in list(value.values()):
                self._note(item, depth + 1)
        elif isinstance(value, list):
            self.containers.append((value, list(value)))
            for item in value:
                self._note(item, depth + 1)
        elif isinstance(value, tuple):
            for item in value:
                self._note(item, depth + 1)
        elif isinstance(value, set):
            self.containers.append((value, set(value)))

    def restore(self) -> bool:
        """Put everything back; return whether random numbers were drawn."""
        if self.scripted:
            self.module.train(self.training)
        else:
            vars(self.module).clear()
            vars(self.module).update(self.attributes)
        for container, content in self.containers:
            if isinstance(container, list):
                container[:] = content
            else:
                container.clear()
                container.update(content)
        for tensor, content in self.values.values():
            same = tensor.shape == content.shape and tensor.dtype == content.dtype
            if same and torch.equal(torch.nan_to_num(tensor.detach()), torch.nan_to_num(content)):
                continue
            try:
                with torch.inference_mode(tensor.is_inference()), torch.no_grad():
                    tensor.data.copy_(content) if same else tensor.set_(content)  # type: ignore[call-overload]
            except RuntimeError as error:
                raise EIPlatformError(
                    f"a tensor that its forward changed cannot be put back: {error}",
                    where=type(self.module).__name__,
                    remedy="give a copy of the module (copy.deepcopy)",
                ) from error
        drawn = False
        for generator, state in self.generators:
            now = _numbers_of(generator)
            if _comparable(now) != _comparable(state):
                drawn = True
                _put_back(generator, state)
        return drawn


def _numbers_of(generator: Any) -> Any:
    """Return the state of a generator of random numbers."""
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, np.random.Generator):
        return copy.deepcopy(generator.bit_generator.state)
    return generator.get_state() if isinstance(generator, np.random.RandomState) else generator.getstate()


def _put_back(generator: Any, state: Any) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)


def _comparable(state: Any) -> str | bytes:
    return state.numpy().tobytes() if isinstance(state, Tensor) else repr(state)
