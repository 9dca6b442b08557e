"""Signed weights with batch normalisation, without Dale's law."""

from __future__ import annotations

from eiplatform.networks import signed
from eiplatform.networks.layer import Design, LayerType
from eiplatform.networks.transform import Transform


def hidden(design: Design, transform: Transform, n: int, source: str, normalise: bool) -> signed.SignedLayer:
    """Return a hidden layer; that of a vote has a bias instead."""
    return signed.hidden(design, transform, n, source, batch_norm=normalise)


TYPE = LayerType(hidden, signed.readout, dale=False, settings=("readout_bias",))
