"""Closed forms of circuits, one file each: numpy and scipy alone, no simulator."""
