"""neuronspec."""
