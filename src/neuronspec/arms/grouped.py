"""Arms that freeze the baseline and train parameters of their own beside it, each group of directions its own.

The folder of such an arm is the baseline's plain checkpoint, and a safetensors file of what was added.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from neuronspec.arms.arm import Arm, Cost, Given, Method, continue_training, cost_of, start
from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, MaskError, ModelError, TrainingError
from neuronspec.core.processes import processes
from neuronspec.core.tensor_files import Header, read_tensors, write_tensors
from neuronspec.recipe import Recipe

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel

    from neuronspec.training.loss import InDirection

FORMAT_VERSION = 1


class Route(NamedTuple):
    """The groups whose parameters encoder and decoder compute a direction with."""

    encoder: str
    decoder: str


class GroupsInfo(Header):
    """The header of the file: the groups that have parameters on each side."""

    encoder: tuple[str, ...]
    decoder: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Added:
    """What was put into a model.

    Args:
        parameters: by their name in the file.
        use: makes the model compute with the groups of a route; with None, as the baseline.
        dense: by name in the plain checkpoint, the name in the model.
    """

    parameters: Mapping[str, nn.Parameter]
    use: Callable[[Route | None], None]
    dense: Mapping[str, str]


class Grouped(Arm):
    """The baseline frozen, and parameters beside it by group.

    Attributes:
        kind: of what is added, `KIND.safetensors` in the folder.
        info_type: the header of that file.
    """

    converts: ClassVar[bool] = False
    mixes: ClassVar[bool] = False
    kind: ClassVar[str]
    info_type: ClassVar[type[GroupsInfo]]

    def route(self, recipe: Recipe, direction: Direction) -> Route:
        """The groups of a trained direction; by default each direction is a group of its own."""
        return Route(str(direction), str(direction))

    @abstractmethod
    def info(self, recipe: Recipe, model: PreTrainedModel) -> GroupsInfo:
        """Say what the recipe wants to be added to `model`.

        Args:
            recipe: of the run.
            model: the baseline.
        """

    @abstractmethod
    def put_on(self, model: PreTrainedModel, info: GroupsInfo, seed: int) -> Added:
        """Add the parameters to a model, which then still computes what it did.

        Args:
            model: the baseline, frozen.
            info: what to add.
            seed: of the new weights.
        """

    def train(self, given: Given) -> Cost:
        """Train what is added to the frozen baseline; see `Arm.train`.

        Raises:
            TrainingError: several processes train together.
        """
        self.check_processes(processes().size)
        model = start(given)
        info = self.info(given.recipe, model)
        added = self._add(model, info, given.seed)
        continue_training(given, model, _context(added, self._routes(given.recipe)), dense=added.dense)
        tensors = {name: value.detach().contiguous() for name, value in added.parameters.items()}
        write_tensors(given.folder / f"{self.kind}.safetensors", self.kind, FORMAT_VERSION, info, tensors)
        return cost_of(given, model, extra=sum(value.numel() for value in tensors.values()))

    def check_processes(self, size: int) -> None:
        """Check that the arm is trained by one process.

        Args:
            size: number of processes.

        Raises:
            TrainingError: there are several.
        """
        if size > 1:
            raise TrainingError(
                f"an arm with {self.kind} by direction trains in one process: in several, each would have gradients "
                "of other parameters; start it without torchrun (the other arms train in several)"
            )

    def load(
        self, given: Given, zero_shot: Sequence[Direction] = (), method: Method = "auto"
    ) -> tuple[PreTrainedModel, InDirection]:
        """As `Arm.load`.

        Raises:
            ModelError: a file is missing, damaged, or of other groups or another model.
            DirectionError: there is nothing to compose a direction of `zero_shot` from.
        """
        from neuronspec.models.load import load_model

        model, routes = load_model(given.folder, dtype="auto"), self._routes(given.recipe)
        path = given.folder / f"{self.kind}.safetensors"
        try:
            info, tensors = read_tensors(path, self.kind, FORMAT_VERSION, self.info_type)
        except MaskError as error:
            raise ModelError(f"{error}. Train the arm again") from None
        if (info.encoder, info.decoder) != groups_of(routes.values()):
            raise ModelError(
                f"{path} is of other directions or families than the recipe's: encoder {', '.join(info.encoder)}; "
                f"decoder {', '.join(info.decoder)}. Train the arm again"
            )
        added = self._add(model, info, given.seed)
        _fill(added.parameters, tensors, str(path))
        for direction in zero_shot:
            routes[direction] = compose(routes, direction, given.recipe.corpus.pivot)
        return model.eval(), _context(added, routes)

    def _add(self, model: PreTrainedModel, info: GroupsInfo, seed: int) -> Added:
        model.requires_grad_(False)
        return self.put_on(model, info, seed)

    def _routes(self, recipe: Recipe) -> dict[Direction, Route]:
        return {direction: self.route(recipe, direction) for direction in recipe.corpus.all_directions}

    def groups(self, recipe: Recipe) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The groups of the encoder and those of the decoder, sorted."""
        return groups_of(self._routes(recipe).values())


def groups_of(routes: Iterable[Route]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The groups that routes name for the encoder and for the decoder, sorted."""
    pairs = list(routes)
    return tuple(sorted({one.encoder for one in pairs})), tuple(sorted({one.decoder for one in pairs}))


def compose(routes: Mapping[Direction, Route], direction: Direction, pivot: str) -> Route:
    """The route of an untrained direction: for `de-fr` the encoder's of `de-en` and the decoder's of `en-fr`.

    Args:
        routes: of the trained directions.
        direction: the untrained one.
        pivot: the language in the middle, where several would do.

    Raises:
        DirectionError: there are no trained directions to compose it from, or several and none over the pivot.
    """
    into = [own.target for own in routes if own.source == direction.source]
    out_of = {own.source for own in routes if own.target == direction.target}
    middles = [code for code in into if code in out_of]
    if len(middles) != 1 and pivot not in middles:
        wanted = f"{direction.source}-{pivot} and {pivot}-{direction.target}"
        raise DirectionError(f"{direction} can't be composed: {wanted} aren't both trained")
    middle = pivot if pivot in middles else middles[0]
    first, second = Direction(direction.source, middle), Direction(middle, direction.target)
    return Route(routes[first].encoder, routes[second].decoder)


def own_names(model: nn.Module) -> dict[str, str]:
    """The tensors of the plain checkpoint of a model, before anything is added to it; see `Added.dense`."""
    from neuronspec.training.checkpoint import model_tensors

    return {name: name for name in model_tensors(model)}


def _context(added: Added, routes: Mapping[Direction, Route]) -> InDirection:
    """The context of a direction; outside of it the model computes as the baseline."""
    current: list[Route | None] = [None]

    @contextmanager
    def in_direction(asked: Direction | Sequence[Direction]) -> Iterator[None]:
        if not isinstance(asked, Direction):
            raise TrainingError("this arm computes one direction per batch: set continuation.mix_directions to false")
        if asked not in routes:
            raise DirectionError(f"the arm was not made for {asked}; it has {', '.join(map(str, sorted(routes)))}")
        current.append(routes[asked])
        added.use(current[-1])
        try:
            yield
        finally:
            current.pop()
            added.use(current[-1])

    return in_direction


def _fill(parameters: Mapping[str, nn.Parameter], tensors: Mapping[str, torch.Tensor], where: str) -> None:
    wrong = [
        name
        for name in sorted({*parameters, *tensors})
        if name not in parameters or name not in tensors or parameters[name].shape != tensors[name].shape
    ]
    if wrong:
        raise ModelError(
            f"{where} doesn't fit the model beside it: {wrong[0]} is missing, not expected, or has another shape. "
            "Train the arm again"
        )
    for name, parameter in parameters.items():
        parameter.data.copy_(tensors[name])
