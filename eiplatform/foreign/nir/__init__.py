"""The Neuromorphic Intermediate Representation (Pedersen et al. 2024): networks of other frameworks, and ours."""

from eiplatform.foreign.nir.network import NIRNetwork, read_nir
from eiplatform.foreign.nir.writing import to_nir

__all__ = ["NIRNetwork", "read_nir", "to_nir"]
