"""Filters: rules of a recipe that leave out training text which is in the wrong language, garbled, or badly aligned."""
