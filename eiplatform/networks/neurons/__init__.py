"""Models of neurons: one file each, with a ``MODEL``."""
