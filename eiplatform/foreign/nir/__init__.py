"""The Neuromorphic Intermediate Representation: networks of other frameworks read, ours written (Pedersen et al. 2024)."""

from eiplatform.foreign.nir.network import NIRNetwork, read_nir
from eiplatform.foreign.nir.writing import to_nir

__all__ = ["NIRNetwork", "read_nir", "to_nir"]
