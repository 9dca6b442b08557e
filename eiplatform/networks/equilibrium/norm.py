"""A weight whose spectral norm is restricted, so that the equilibrium exists and is reached."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from eiplatform.networks.equilibrium.transposed import TransposedConv2d
from eiplatform.networks.transform import Transform

__all__ = ["FeedbackWeight"]

_FIRST_ITERATIONS = 10


class FeedbackWeight(nn.Module):
    """Feedback weight ``W = clamp(alpha, -limit, limit) W0 / |W0|_2`` (code of arXiv 2109.14247).

    ``|W0|_2`` is the power iteration's estimate, of one step per training pass; it approaches the
    largest singular value from below.  The norm is that of the matrix (out, in x kernel area),
    of a transposed convolution of (in, out x kernel area).

    Parameters
    ----------
    transform : Transform
    n : int
        Neurons (channels) that receive.
    limit : float or None
        None: the weight is `W0` itself.

    Examples
    --------
    >>> from eiplatform.networks.transform import Linear
    >>> weight = FeedbackWeight(Linear(4), 4, 1.0)
    >>> weight.init_(torch.Generator().manual_seed(1))
    >>> bool(torch.linalg.matrix_norm(weight(), 2) < 1.05)
    True
    """

    left: Tensor
    right: Tensor

    def __init__(self, transform: Transform, n: int, limit: float | None) -> None:
        super().__init__()
        self.transform, self.limit = transform, limit
        self.weight = nn.Parameter(torch.full(transform.weight_shape(n), torch.nan))
        if limit is not None:
            matrix = self._matrix(self.weight)
            self.alpha = nn.Parameter(torch.tensor(torch.nan))
            self.register_buffer("left", torch.full((matrix.shape[0],), torch.nan))
            self.register_buffer("right", torch.full((matrix.shape[1],), torch.nan))

    def init_(self, generator: torch.Generator) -> None:
        """Draw ``W0`` uniformly, every row of norm 1; alpha becomes its spectral norm."""
        with torch.no_grad():
            drawn = torch.empty(self.weight.shape, dtype=torch.float64).uniform_(-1, 1, generator=generator)
            self.weight.copy_(functional.normalize(drawn.flatten(1), dim=1).view_as(drawn))
            if self.limit is None:
                return
            for buffer in (self.left, self.right):
                buffer.copy_(torch.empty(buffer.shape, dtype=torch.float64).normal_(generator=generator))
        self.settle()

    def settle(self) -> None:
        """Take the norm of the present ``W0``, which becomes alpha."""
        if self.limit is not None:
            with torch.no_grad():
                self._iterate(_FIRST_ITERATIONS)
                self.alpha.copy_(self._norm())

    def forward(self) -> Tensor:
        """Return the weight that acts now."""
        if self.limit is None:
            return self.weight
        if self.training and torch.is_grad_enabled():
            self._iterate(1)
        return self.alpha.clamp(-self.limit, self.limit) / self._norm() * self.weight

    def _norm(self) -> Tensor:
        return torch.dot(self.left.clone(), torch.mv(self._matrix(self.weight), self.right.clone()))

    def _iterate(self, n: int) -> None:
        with torch.no_grad():
            matrix = self._matrix(self.weight)
            for _ in range(n):
                self.right.copy_(functional.normalize(torch.mv(matrix.t(), self.left), dim=0))
                self.left.copy_(functional.normalize(torch.mv(matrix, self.right), dim=0))

    def _matrix(self, weight: Tensor) -> Tensor:
        if isinstance(self.transform, TransposedConv2d):
            weight = weight.transpose(0, 1)
        return weight.reshape(weight.shape[0], -1)
