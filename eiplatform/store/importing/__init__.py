"""Own measurements as recordings: from arrays, CSV tables and NWB files."""

from eiplatform.store.importing.arrays import from_arrays
from eiplatform.store.importing.nwb import read_nwb
from eiplatform.store.importing.tables import read_csv

__all__ = ["from_arrays", "read_csv", "read_nwb"]
