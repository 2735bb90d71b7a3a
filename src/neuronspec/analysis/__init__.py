"""What a model's neurons do: the causal check, the tokens that fire them, drift, distances between languages."""
