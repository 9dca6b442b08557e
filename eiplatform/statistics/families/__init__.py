"""The statistics, one file per family; each class declares one.  Files are discovered: none is listed anywhere."""
