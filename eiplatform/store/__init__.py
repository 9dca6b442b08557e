"""The store: one schema for trained networks and cortical circuits, over HDF5."""

from eiplatform.store.events import tie
from eiplatform.store.reader import open_recording, read_manifest, recordings_below
from eiplatform.store.schema import SCHEMA_VERSION, SIGNALS, population_dataset
from eiplatform.store.validate import validate
from eiplatform.store.writer import RecordingWriter

__all__ = [
    "SCHEMA_VERSION",
    "SIGNALS",
    "RecordingWriter",
    "open_recording",
    "population_dataset",
    "read_manifest",
    "recordings_below",
    "tie",
    "validate",
]
