"""Several processes that train one network: each works off a part of every batch, gradients are added.

Started by ``torchrun``, which sets ``RANK`` and ``WORLD_SIZE``.  A batch is split without
padding: every sample counts once, whatever the number of processes, and what a part has to say is
divided by the size of the whole batch before gradients are added, so that one process and several take the same step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, distributed, nn

from eiplatform.errors import DeviceError, TrainingError

__all__ = ["World", "is_first", "join"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class World:
    """The processes that train together; alone, every method does nothing.

    Attributes
    ----------
    rank, size : int
    device : torch.device
        Of this process.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def part(self, index: np.ndarray) -> np.ndarray:
        """Return this process's part of a batch; it may be empty.

        Examples
        --------
        >>> [World(rank, 2, torch.device("cpu")).part(np.arange(5)).tolist() for rank in (0, 1)]
        [[0, 1, 2], [3, 4]]
        """
        return np.array_split(index, self.size)[self.rank]

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            distributed.barrier()

    def add_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sum over all processes; the same bits everywhere."""
        if self.size == 1:
            return
        for dtype in {tensor.dtype for tensor in tensors}:
            group = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = torch.cat([tensor.detach().reshape(-1) for tensor in group])  # one message instead of many
            distributed.all_reduce(flat)
            start = 0
            for tensor in group:
                tensor.detach().copy_(flat[start : start + tensor.numel()].view_as(tensor))
                start += tensor.numel()

    def add_gradients(self, network: nn.Module) -> None:
        """Add the gradients of all processes; a process without samples contributes zeros."""
        if self.size == 1:
            return
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.add_([parameter.grad for parameter in trained if parameter.grad is not None])

    def average_buffers(self, network: nn.Module) -> None:
        """Give all processes the mean of what each has measured (batch normalisation)."""
        buffers = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        self.add_(buffers)
        for buffer in buffers if self.size > 1 else ():
            buffer /= self.size

    def check_equal(self, network: nn.Module) -> None:
        """Check that all processes hold the same weights, bit for bit.

        Raises
        ------
        TrainingError
            On every process, if they do not.
        """
        if self.size == 1:
            return
        values = [tensor.detach().double() for tensor in network.state_dict().values()]
        # Two sums; the second notices values that changed places.
        sums = [torch.stack((v.sum(), (v.flatten() * torch.arange(v.numel(), device=v.device)).sum())) for v in values]
        mine = torch.cat(sums)
        low, high = mine.clone(), mine.clone()
        distributed.all_reduce(low, distributed.ReduceOp.MIN)
        distributed.all_reduce(high, distributed.ReduceOp.MAX)
        if not torch.equal(low, high):
            index = int((low != high).nonzero()[0]) // 2
            name = list(network.state_dict())[index]
            raise TrainingError(
                f"the processes hold different weights ('{name}')",
                where=f"{self.size} processes",
                remedy="use machines and versions of one kind",
            )

    def on_first(self, action: Callable[[], Result]) -> Result | None:
        """Run `action` on the first process; an error there ends all of them.

        Returns
        -------
        object
            What `action` returns; None on the others.
        """
        if self.size == 1:
            return action()
        result, failure = None, None
        if self.first:
            try:
                result = action()
            except Exception as error:
                failure = error
        failed = torch.tensor([failure is not None], dtype=torch.int32, device=self.device)
        distributed.broadcast(failed, 0)
        if failure is not None:
            raise failure
        if failed.item():
            raise TrainingError("the first process failed; its message says why", where=f"process {self.rank}")
        return result


def is_first() -> bool:
    """Whether this process is alone or the first of several."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def join(device: str) -> Iterator[World]:
    """Meet the other processes that ``torchrun`` started, if there are any.

    Parameters
    ----------
    device : {"cpu", "cuda"}
        CPU processes talk through gloo, GPU processes through NCCL.

    Raises
    ------
    DeviceError
        If no CUDA device is found (for every process of this machine).
    """
    size = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1
    local = int(os.environ.get("LOCAL_RANK", "0")) if size > 1 else 0
    if device == "cuda":
        if not torch.cuda.is_available():
            raise DeviceError("no CUDA device was found", where="training.device", valid="cpu")
        if local >= torch.cuda.device_count():
            raise DeviceError(
                f"process {local} of this machine finds {torch.cuda.device_count()} CUDA devices",
                where="training.device",
                remedy="start one process per device",
            )
    place = torch.device("cuda", local) if device == "cuda" and size > 1 else torch.device(device)
    if size == 1:
        yield World(0, 1, place)
        return
    if device == "cuda":
        torch.cuda.set_device(place)
    began = not distributed.is_initialized()
    if began:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo")
    try:
        world = World(distributed.get_rank(), distributed.get_world_size(), place)
        yield world
        world.wait()  # a process that left while another still spoke ended that one
    finally:
        if began:
            distributed.destroy_process_group()
