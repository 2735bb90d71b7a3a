"""Training: the loop, its loss, schedule and checkpoints."""
