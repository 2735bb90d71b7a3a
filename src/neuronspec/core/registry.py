"""One kind of registry: names that recipes, commands and plug-ins use, and the objects that they stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import InitErrorDetails, PydanticCustomError, SchemaValidator, ValidationError, core_schema

from neuronspec.core.errors import RecipeError, nearest

T = TypeVar("T")
Entry = TypeVar("Entry")


class Registry(Generic[T]):
    """Objects by name. What is given as `"module:object"` is imported when it is first asked for.

    A registry imports nothing by itself, so that recipes can be checked without torch.

    Args:
        kind: what an entry is, in the singular, for messages: `"reader"`.
        entries: the built-in ones.

    Examples:
        >>> shapes = Registry[type]("shape", {"fraction": "fractions:Fraction"})
        >>> shapes.get("fraction").__name__
        'Fraction'
        >>> shapes.get("fractoin")
        Traceback (most recent call last):
        ...
        neuronspec.core.errors.RecipeError: unknown shape 'fractoin'; did you mean 'fraction'? Valid: fraction
    """

    def __init__(self, kind: str, entries: Mapping[str, T | str]) -> None:
        self.kind = kind
        self._entries: dict[str, T | str] = dict(entries)

    @property
    def names(self) -> list[str]:
        """All names, the built-in ones first."""
        return list(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: str) -> T:
        """The object of a name.

        Raises:
            RecipeError: there is no such name; the message has the nearest one and all that are valid.
        """
        entry = self._entries[self.check(name)]
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            entry = self._entries[name] = getattr(import_module(module), attribute)
        return entry

    def check(self, name: str) -> str:
        """The name, if there is such an entry; nothing is imported.

        Raises:
            RecipeError: as `get`.
        """
        if name not in self._entries:
            raise RecipeError(f"unknown {self.kind} {name!r}; {nearest(str(name), self._entries)}")
        return name

    def register(self, name: str, entry: T | str | None = None) -> Callable[[Entry], Entry]:
        """Add an entry, directly or as a decorator.

        Args:
            name: as recipes will write it.
            entry: the object, or where it is as `"module:object"`; without it, the result decorates the object.

        Returns:
            A decorator that registers what it decorates and returns it unchanged.

        Raises:
            RecipeError: the name is taken by another object.
        """

        def add(found: Entry) -> Entry:
            self._add(name, found)
            return found

        if entry is not None:
            self._add(name, entry)
        return add

    def register_subclass(self, name: str, entry: Any, base: type) -> Callable[[Entry], Entry]:
        """As `register`, for classes that must be subclasses of `base`.

        Raises:
            RecipeError: the entry is none; or as `register`.
        """

        def add(found: Entry) -> Entry:
            if not (isinstance(found, type) and issubclass(found, base)):
                raise RecipeError(f"{self.kind} {name!r} must be a subclass of {base.__name__}, not {found!r}")
            return self.register(name)(found)

        if entry is not None:
            add(entry)
        return add

    def _add(self, name: str, entry: Any) -> None:
        if self._entries.get(name, entry) is not entry:
            raise RecipeError(f"{self.kind} {name!r} is registered already; give yours another name")
        self._entries[name] = entry

    def remove(self, name: str) -> None:
        """Take an entry out again, as tests do."""
        del self._entries[self.check(name)]


@dataclass(frozen=True, slots=True)
class OneOf:
    """Marks a setting whose values are the names of a registry: `criterion: Annotated[str, OneOf(CRITERIA)]`.

    Names are compared when a recipe is read, so entries of plug-ins count. The generated reference lists the built-in
    ones.
    """

    registry: Registry[Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(schema) | {"enum": self.registry.names}

    def _check(self, name: str) -> str:
        if name not in self.registry:
            raise _unknown(self.registry, name)
        return name


@dataclass(frozen=True, slots=True)
class ByName:
    """Marks a setting that is a section of its own, whose class one of its keys names.

    With `train: Annotated[Source, ByName(READERS, "reader")]`, `{reader: tsv, path: text.tsv}` is read as the section
    that the registry has under `tsv`.

    Args:
        registry: of sections.
        key: that holds the name.
        optional: whether there may be no section.
        many: whether there may be a list of sections.
    """

    registry: Registry[Any]
    key: str
    optional: bool = False
    many: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(self._read_all if self.many else self._read)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "object", "$comment": "section"}

    def section(self, value: Any) -> type[BaseModel] | None:
        """The class of the section that `value` is written as; None if it doesn't say."""
        name = value.get(self.key) if isinstance(value, Mapping) else None
        return self.registry.get(name) if isinstance(name, str) and name in self.registry else None

    def _read_all(self, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, list):
            return self._read(value, info)
        item = core_schema.with_info_plain_validator_function(replace(self, optional=False)._read)
        return SchemaValidator(core_schema.list_schema(item, min_length=1)).validate_python(value, context=info.context)

    def _read(self, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, BaseModel) or (value is None and self.optional):
            return value
        if not isinstance(value, Mapping):
            raise PydanticCustomError(
                "section", "a section such as {example}", {"example": f"{{{self.key}: {self.registry.names[0]}, ...}}"}
            )
        section = self.section(value)
        if section is None:
            problem = _unknown(self.registry, value[self.key]) if self.key in value else _nameless(self.registry)
            details = InitErrorDetails(type=problem, loc=(self.key,), input=value.get(self.key))
            raise ValidationError.from_exception_data(self.registry.kind, [details])
        return section.model_validate(dict(value), context=info.context)


def _unknown(registry: Registry[Any], name: object) -> PydanticCustomError:
    return PydanticCustomError("unknown_name", "{hint}", {"hint": nearest(str(name), registry)})


def _nameless(registry: Registry[Any]) -> PydanticCustomError:
    return PydanticCustomError("missing_name", "it is one of {names}", {"names": ", ".join(registry)})
