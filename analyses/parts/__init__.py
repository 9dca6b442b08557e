"""What analyses are built from: sides of a comparison, matching of time, features of regimes."""
