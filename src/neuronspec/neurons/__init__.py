"""The method: recording activations, selecting neurons, masks."""
