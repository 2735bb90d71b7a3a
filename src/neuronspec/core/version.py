"""The version of the package, and where its documentation is: their one place."""

__version__ = "0.2.0"

DOCUMENTATION = "https://github.com/neuronspec/neuronspec/blob/main/docs/"
"""For texts that are read without a checkout; the project URLs of `pyproject.toml` name the same repository."""
