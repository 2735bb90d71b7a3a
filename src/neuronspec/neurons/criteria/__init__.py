"""Criteria: one file for each rule that selects neurons."""
