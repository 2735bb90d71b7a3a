"""`python -m neuronspec`, and `torchrun ... -m neuronspec`."""

from neuronspec.cli.app import main

main()
