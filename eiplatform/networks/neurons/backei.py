"""BackEISNN: neurons with self-feedback and a gate that decides the sign of their spikes.

Zhao, Zeng and Li, Neural Networks 2022 (arXiv 2105.13004).  With ``K_back`` and ``K_ei``
convolutions over the layer's own channels and places, * the product element by element:

    feedback[t] = sigmoid(K_back s[t-1])                 (multiplies the drive)
    u[t]        = decay m[t-1] + feedback[t] * drive[t]
    o[t]        = H(u[t] - threshold)                    ("spikes")
    s[t]        = sign(K_ei u[t]) * o[t]                 ("output", -1, 0 or 1)
    m[t]        = u[t] (1 - o[t])                        (or the soft reset)

The sign of a neuron is decided anew at every step: populations are not fixed, and Dale's law does not hold.
Both H and sign take the surrogate's derivative.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from eiplatform.errors import ConfigError
from eiplatform.networks.kernels.lif import LIF, Membrane, real_type
from eiplatform.networks.kernels.surrogate import Surrogate
from eiplatform.networks.layer import Design
from eiplatform.networks.neuron import NeuronModel, plain
from eiplatform.networks.signed import SIGNED_SIGNALS, SignedLayer
from eiplatform.networks.transform import Transform

__all__ = ["BackEILayer"]


class BackEILayer(SignedLayer):
    """Hidden convolutional layer of BackEISNN.

    Parameters
    ----------
    transform : Transform
        Of maps.
    n_exc : int
        Number of channels.
    neuron : LIF
    kernel : int
        Places of ``K_back`` and ``K_ei`` on either axis, odd.
    batch_norm : bool

    Raises
    ------
    ConfigError
        If the neurons are not on maps.

    Examples
    --------
    >>> from eiplatform.networks.transform import Conv2d
    >>> layer = BackEILayer(Conv2d((1, 8, 8)), 4, LIF(threshold=0.5, reset="hard"))
    >>> layer.feedback.shape, layer.signals["E"][-2:]
    (torch.Size([4, 4, 3, 3]), ('output', 'feedback'))
    """

    def __init__(
        self, transform: Transform, n_exc: int, neuron: LIF, kernel: int = 3, *, batch_norm: bool = False
    ) -> None:
        super().__init__(transform, n_exc, neuron, batch_norm=batch_norm)
        if len(transform.output_shape(n_exc)) != 3:
            raise ConfigError("self-feedback over neighbouring places", valid="a convolutional layer")
        self.signals = {"E": (*SIGNED_SIGNALS, "output", "feedback")}
        self.feedback = nn.Parameter(torch.full((n_exc, n_exc, kernel, kernel), torch.nan))
        self.gate = nn.Parameter(torch.full((n_exc, n_exc, kernel, kernel), torch.nan))

    def init_(self, generator: torch.Generator) -> None:
        """Fill the layer; its own kernels are uniform within one over the root of their number of inputs."""
        super().init_(generator)
        for kernel in (self.feedback, self.gate):
            bound = 1 / math.sqrt(kernel[0].numel())
            drawn = torch.empty(kernel.shape, dtype=torch.float64).uniform_(-bound, bound, generator=generator)
            kernel.copy_(drawn)

    def attrs(self) -> dict[str, Any]:
        """Return further attributes for the store: the drive is multiplied, and spikes have signs."""
        return {"self_feedback": 1}

    def _fire(
        self, drive: Tensor, state: Membrane | None, steps: int | None, record: frozenset[str]
    ) -> tuple[Membrane, Tensor, dict[str, Tensor | None]]:
        lif, real = self.neuron, real_type(drive)
        membrane = None if state is None else state.membrane
        sent = None if state is None else state.output
        kept: dict[str, list[Tensor]] = {"voltage": [], "spikes": [], "output": [], "feedback": []}
        for step in range(len(drive) if steps is None else steps):
            now = drive[0 if steps is not None else step].to(real)
            sent = torch.zeros_like(now) if sent is None else sent
            feedback = torch.sigmoid(self._over(self.feedback, sent))
            voltage = feedback * now
            if membrane is not None:
                voltage = torch.add(voltage, membrane, alpha=lif.decay)
            spikes = lif.surrogate.spike(voltage - lif.threshold)
            sent = sign(self._over(self.gate, voltage), lif.surrogate) * spikes
            fell = spikes.detach() if lif.detach_reset else spikes
            membrane = voltage - lif.threshold * fell if lif.reset == "soft" else voltage * (1 - fell)
            for name, values in (("voltage", voltage), ("spikes", spikes), ("output", sent), ("feedback", feedback)):
                if name == "output" or f"E/{name}" in record:
                    kept[name].append(values)
        assert membrane is not None
        found: dict[str, Tensor | None] = {f"E/{name}": torch.stack(v) for name, v in kept.items() if v}
        output = found["E/output"]
        assert output is not None
        return Membrane(membrane, sent), output.to(drive.dtype), found

    def _over(self, kernel: Tensor, x: Tensor) -> Tensor:
        return functional.conv2d(x, kernel.to(x.dtype), None, 1, kernel.shape[-1] // 2)


def sign(x: Tensor, surrogate: Surrogate) -> Tensor:
    """Return -1, 0 or 1, with the surrogate's derivative.

    Examples
    --------
    >>> from eiplatform.networks.kernels.surrogate import make_surrogate
    >>> x = torch.tensor([-2.0, 0.0, 0.25], requires_grad=True)
    >>> signs = sign(x, make_surrogate("rectangle"))
    >>> signs.sum().backward()
    >>> signs.tolist(), x.grad.tolist()
    ([-1.0, 0.0, 1.0], [0.0, 1.0, 1.0])
    """
    signs: Tensor = _Sign.apply(x, surrogate)  # type: ignore[no-untyped-call]
    return signs


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, form: Surrogate) -> Tensor:
        ctx.save_for_backward(x)
        ctx.form = form
        return x.sign()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grads[0] * ctx.form.derivative(x), None


def _layer(design: Design, transform: Transform, n: int, batch_norm: bool) -> BackEILayer:
    return BackEILayer(transform, n, design.neuron, design.feedback_kernel, batch_norm=batch_norm)


MODEL = NeuronModel(plain, signed_spikes=True, layer=_layer)
