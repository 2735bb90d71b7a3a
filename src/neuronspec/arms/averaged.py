"""Arm `averaged`: the mean of the baseline's weights and those of another arm. Nothing is trained.

Moving weights back towards those that training started from gives up some of what was gained and wins back some of
what was forgotten, so it is a competitor of everything that claims to adapt a model without forgetting (WiSE-FT;
Wortsman et al., CVPR 2022, arXiv 2109.01903). Masks of the arm stay.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from neuronspec.arms.arm import Arm, Cost, Given, Method, start
from neuronspec.arms.masked import opened
from neuronspec.core.direction import Direction
from neuronspec.core.processes import processes
from neuronspec.core.run_folder import RunFolder
from neuronspec.recipe import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from neuronspec.training.loss import InDirection


class Averaged(Arm):
    """The mean of the baseline and of an arm that continued from it, weight by weight."""

    sections: ClassVar[tuple[str, ...]] = ("baselines.averaged", "specialization")
    extends: ClassVar[bool] = False

    def needed(self, recipe: Recipe) -> tuple[str, ...]:
        """The baseline and the other arm; see `Arm.needed`."""
        return ("train", f"specialize/{recipe.baselines.averaged.of}")

    def train(self, given: Given) -> Cost:
        """Write the mean; see `Arm.train`."""
        import torch

        from neuronspec.models.changed_weights import keep_changes
        from neuronspec.models.load import load_model
        from neuronspec.specialization.methods import MASKS_FILE
        from neuronspec.training.checkpoint import model_tensors
        from neuronspec.training.memory import peak_memory
        from neuronspec.training.model_folder import export_model

        begun, settings = time.monotonic(), given.recipe.baselines.averaged
        other = RunFolder(given.base.parent).arm(settings.of)
        model = start(given)
        if processes().is_main:
            theirs = model_tensors(load_model(other, device=model.device, dtype="auto"))
            with torch.no_grad():
                for name, tensor in model_tensors(model).items():
                    if tensor.is_floating_point():
                        tensor.lerp_(theirs[name].to(tensor), 1 - settings.base)
            export_model(model, given.store.tokenizer, given.folder)
            if (other / MASKS_FILE).is_file():
                shutil.copyfile(other / MASKS_FILE, given.folder / MASKS_FILE)
            keep_changes(given.folder, given.base)
        processes().wait()
        return Cost(0, 0, time.monotonic() - begun, None, peak_memory(model))

    def load(
        self, given: Given, zero_shot: Sequence[Direction] = (), method: Method = "auto"
    ) -> tuple[PreTrainedModel, InDirection]:
        """Load the mean, with the other arm's masks if it has any; see `Arm.load`."""
        return opened(given, zero_shot, method)
