"""Recordings as other programs read them: NWB, SONATA, tables."""
