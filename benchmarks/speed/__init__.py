"""The workers of `training_speed.py`: one process a training loop, taking turns."""
