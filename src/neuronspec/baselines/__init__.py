"""What specialization is compared with: the arms that continue from the baseline."""

from neuronspec.baselines.arm import Arm, Cost, Given, make
from neuronspec.baselines.arms import ARMS, get_arm

__all__ = ["ARMS", "Arm", "Cost", "Given", "get_arm", "make"]
