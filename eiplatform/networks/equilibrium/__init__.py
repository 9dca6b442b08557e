"""Feedback networks and their equilibria: implicit differentiation, ternary spikes, and through time."""
