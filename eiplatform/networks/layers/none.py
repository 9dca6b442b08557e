"""Signed weights with a bias, without normalisation and without Dale's law."""

from __future__ import annotations

from eiplatform.networks import signed
from eiplatform.networks.layer import Design, LayerType
from eiplatform.networks.transform import Transform


def hidden(design: Design, transform: Transform, n: int, source: str, normalise: bool) -> signed.SignedLayer:
    """Return a hidden layer."""
    del normalise
    return signed.hidden(design, transform, n, source, batch_norm=False)


TYPE = LayerType(hidden, signed.readout, dale=False, settings=("readout_bias",))
