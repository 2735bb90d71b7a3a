"""`python -m neuronspec`, and `torchrun ... -m neuronspec`."""

from neuronspec.cli import main

main()
