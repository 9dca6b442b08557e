"""Everything of a module that a recording could change, compared bit for bit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Snapshot", "rng_states"]


def rng_states() -> tuple[Any, ...]:
    """Return the states of all global generators of random numbers."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return (torch.get_rng_state().numpy().tobytes(), kind, np.asarray(keys).tobytes(), *rest, random.getstate())


def described(value: Any, depth: int = 0) -> Any:
    """Return something comparable that says all of a value: bits, type, identity of tensors."""
    if isinstance(value, nn.parameter.UninitializedTensorMixin):
        return ("uninitialised", type(value).__name__, id(value))
    if isinstance(value, Tensor):
        bits = (
            value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""
        )
        grad = None if not value.is_leaf or value.grad is None else described(value.grad, depth + 1)
        facts = (id(value), type(value).__name__, tuple(value.shape), tuple(value.stride()), value.dtype)
        return (*facts, value.requires_grad, value.is_leaf, value.is_inference(), bits, grad)
    if isinstance(value, np.ndarray):
        return ("array", value.shape, value.dtype.str, value.tobytes())
    if isinstance(value, nn.Module):
        return ("module", id(value))
    if depth > 6:
        return type(value).__name__
    if isinstance(value, dict):
        return ("dict", id(value), tuple((str(key), described(item, depth + 1)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        mark = id(value) if isinstance(value, list) else 0
        return (type(value).__name__, mark, tuple(described(item, depth + 1) for item in value))
    if isinstance(value, set | frozenset):
        return (type(value).__name__, tuple(sorted(map(repr, value))))
    if isinstance(value, int | float | str | bytes | bool | complex | type(None) | torch.dtype | torch.device):
        return value if value == value else "nan"
    return ("object", id(value))


@dataclass(frozen=True)
class Snapshot:
    """What a module was like."""

    facts: dict[str, Any]

    @classmethod
    def of(cls, module: nn.Module) -> Snapshot:
        """Look at a module, its parts, and all they hold."""
        return cls(dict(cls._facts(module)))

    @staticmethod
    def _facts(module: nn.Module) -> Iterator[tuple[str, Any]]:
        for name, part in module.named_modules():
            if isinstance(part, torch.jit.ScriptModule):
                yield f"{name}:mode", part.training
                for key, tensor in [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]:
                    yield f"{name}.{key}", described(tensor)[1:]  # a scripted module makes its tensors anew
                continue
            yield f"{name}:class", type(part)
            for key, value in vars(part).items():
                yield f"{name}.{key}", described(value)

    def changes(self, module: nn.Module) -> list[str]:
        """Return the names of what is not as it was."""
        now = dict(self._facts(module))
        return sorted(key for key in self.facts.keys() | now.keys() if self.facts.get(key) != now.get(key))
