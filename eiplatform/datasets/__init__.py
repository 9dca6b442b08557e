"""Data sets by name, found offline, checked by their hash, split the same way everywhere.

Images are shown as float32 in [0, 1]: E-I layers need inputs >= 0.  They are kept as they were
stored, whole numbers of one byte.  Every sample has an integer id that never changes, by which
recordings refer to it.
"""

from __future__ import annotations

from eiplatform.datasets.base import DataBundle, DataInfo, Split, split_validation, stratified_order
from eiplatform.datasets.declare import dataset
from eiplatform.datasets.registry import dataset_names, load, open_dataset

__all__ = [
    "DataBundle",
    "DataInfo",
    "Split",
    "dataset",
    "dataset_names",
    "load",
    "open_dataset",
    "split_validation",
    "stratified_order",
]
