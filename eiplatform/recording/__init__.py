"""Recording: what to keep of a network's currents, gain and spikes, and keeping it."""
