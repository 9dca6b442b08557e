"""Types of layers: one file each, with a ``TYPE``."""
