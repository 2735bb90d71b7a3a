"""Arms that continue with masks on the FFNs; they differ in where the masks come from.

`random` is the control for the choice of neurons, `magnitude` keeps the neurons with the largest weights, and
`top_fraction` the most active ones, the same share of every layer. All three have the sparsity of the selected masks.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

from neuronspec.arms.arm import Arm, Cost, Given, Method, continue_training, cost_of, start
from neuronspec.arms.continued import parts_of_masks, start_continued
from neuronspec.core.direction import Direction
from neuronspec.core.processes import processes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from neuronspec.neurons.masks import NeuronMasks
    from neuronspec.training.loss import InDirection


class Masked(Arm):
    """The baseline, trained on with masks."""

    needs: ClassVar[tuple[str, ...]] = ("train", "select")
    sections: ClassVar[tuple[str, ...]] = ("continuation", "specialization")

    @abstractmethod
    def masks(self, given: Given) -> NeuronMasks:
        """The masks of all trained directions."""

    def train(self, given: Given) -> Cost:
        """Train the baseline on with masks; see `Arm.train`."""
        from neuronspec.specialization.methods import save_masks

        model, parts = start_continued(given)
        in_direction = put_on(model, self.masks(given), given)
        parts |= parts_of_masks(model, given)
        continue_training(given, model, in_direction, parts=parts)
        if processes().is_main:
            save_masks(model, given.folder)
        return cost_of(given, model, parts=parts)

    def load(
        self, given: Given, zero_shot: Sequence[Direction] = (), method: Method = "auto"
    ) -> tuple[PreTrainedModel, InDirection]:
        """Load the model with its masks; see `Arm.load`."""
        return opened(given, zero_shot, method)


def opened(given: Given, zero_shot: Sequence[Direction], method: Method) -> tuple[PreTrainedModel, InDirection]:
    """The model in an arm's folder, with the masks beside it if there are any; as `Arm.load`."""
    from neuronspec.models.load import load_model
    from neuronspec.neurons.masks import NeuronMasks
    from neuronspec.specialization.methods import MASKS_FILE
    from neuronspec.training.loss import any_direction

    model, path = load_model(given.folder, dtype="auto"), given.folder / MASKS_FILE
    if not path.is_file():
        return model, any_direction
    masks = NeuronMasks.load(path)
    for direction in zero_shot:
        derived = masks.for_direction(direction, given.recipe.corpus.pivot)
        masks = masks.compose(direction, encoder=derived.encoder, decoder=derived.decoder)
    return model, put_on(model, masks, given, method)


def put_on(model: PreTrainedModel, masks: NeuronMasks, given: Given, method: Method = "auto") -> InDirection:
    """Specialize a model as the recipe says.

    Args:
        model: the baseline, or the trained arm.
        masks: of all directions that will be computed.
        given: has the section `specialization`.
        method: how masked layers compute; see `specialize`.

    Returns:
        The context of a direction, or of the directions of a batch's rows.
    """
    from neuronspec.specialization.apply import specialize
    from neuronspec.specialization.scope import use_direction, use_directions

    settings = given.recipe.specialization
    specialize(model, masks, semantics=settings.semantics, components=settings.components, method=method)

    def in_direction(asked: Direction | Sequence[Direction]) -> AbstractContextManager[Any]:
        return use_direction(model, asked) if isinstance(asked, Direction) else use_directions(model, asked)

    return in_direction


class RandomMasks(Masked):
    """As many neurons of every direction and site as are selected, drawn at random."""

    def masks(self, given: Given) -> NeuronMasks:
        """Permute the selected masks."""
        return random_masks(given.selected(), given.seed)


def random_masks(masks: NeuronMasks, seed: int) -> NeuronMasks:
    """Draw at random as many neurons of every direction and site as in `masks`.

    Directions that share a mask continue to share one. The same seed gives the same masks.

    Args:
        masks: whose numbers of neurons count.
        seed: of the draws.
    """
    from neuronspec.neurons.criteria.random import Random

    return Random(like=masks, seed=seed).masks()


class Uniform(Masked):
    """The sparsity of the selected masks, spread evenly over layers and directions."""

    def masks(self, given: Given) -> NeuronMasks:
        """Select the same share of every site."""
        from neuronspec.neurons.activations import Activations
        from neuronspec.neurons.criteria.top_fraction import TopFraction
        from neuronspec.neurons.selection import families_of, select_neurons, statistic_of

        settings, acts = given.recipe.selection, Activations.load(given.activations)
        share = _share_selected(given.selected(), given.recipe.specialization.components)
        criterion = TopFraction(share, statistic=statistic_of(acts, settings))
        return select_neurons(acts, criterion, settings.granularity, families_of(given.recipe.corpus))


def _share_selected(masks: NeuronMasks, components: str) -> float:
    """The share of neurons that is selected where masks act: in the encoder, the decoder, or both."""
    from neuronspec.neurons.positions import side_of

    by_site, widths = masks.sparsity("site"), masks.widths
    sites = [
        site for site in widths if components == "both" or (side_of(site) == "encoder") == (components == "encoder")
    ]
    share = sum((1 - by_site[site]) * widths[site] for site in sites) / sum(widths[site] for site in sites)
    return round(share, 9)  # what differs in the last bits alone isn't rounded up to one neuron more


class Magnitude(Masked):
    """As many neurons of every direction and site as are selected, those with the largest weights."""

    def masks(self, given: Given) -> NeuronMasks:
        """Select by the norms of the baseline's weights."""
        from neuronspec.neurons.criteria.magnitude import WeightMagnitude

        return WeightMagnitude(like=given.selected()).masks(start(given))
