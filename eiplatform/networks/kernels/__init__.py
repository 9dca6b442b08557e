"""Pure functions behind layers and neurons: eager ones, and compiled ones that give the same numbers."""
