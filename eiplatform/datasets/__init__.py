"""Data sets by name, found offline, checked by their hash, split the same way everywhere.

Images are float32 in [0, 1] and stay there: E-I circuits need inputs >= 0.  Every sample has an
integer id that never changes, by which recordings refer to it.
"""

from __future__ import annotations

from eiplatform.datasets.base import DataBundle, DataInfo, Split, split_validation, stratified_order
from eiplatform.datasets.registry import dataset_names, load

__all__ = [
    "DataBundle",
    "DataInfo",
    "Split",
    "dataset_names",
    "load",
    "split_validation",
    "stratified_order",
]
