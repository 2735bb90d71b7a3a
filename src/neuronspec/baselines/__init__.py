"""What specialization is compared with: the arms that continue from the baseline."""

from neuronspec.baselines.arms import ARMS, arm_masks, register_arm

__all__ = ["ARMS", "arm_masks", "register_arm"]
