"""What continues from the baseline: specialization, and what it is compared with."""
