"""Translation engines: one interface, two ways to compute."""
