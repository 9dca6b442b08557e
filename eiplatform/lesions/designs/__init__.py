"""Designs of lesion studies: one file each; a design says which cells answer its question."""
