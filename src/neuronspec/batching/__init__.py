"""Batches: token budgets, temperature sampling over directions, tensors."""
