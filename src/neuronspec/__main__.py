"""`python -m neuronspec`, and `torchrun ... -m neuronspec`."""

from neuronspec.cli.start import main

main()
