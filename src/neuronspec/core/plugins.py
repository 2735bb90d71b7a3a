"""Plug-ins: modules of a user's own that register readers, criteria, arms or metrics when they are imported.

A recipe names them (`plugins: [my_module]`). Importing a module runs its code, so that happens only where the user
gives the recipe. A run folder may come from somebody else: the plug-ins that its recipe names are imported only if the
user allows them (`--allow-plugins`), or has given a recipe that names them to the same process.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ValidationError, ValidationInfo

from neuronspec.core.errors import RecipeError
from neuronspec.core.written import Document

ALLOWED = "NEURONSPEC_ALLOWED_PLUGINS"
"""The environment variable that tells child processes which plug-ins are allowed; `*` allows all."""

_imported: dict[str, ModuleType] = {}


def allow_plugins(names: Iterable[str] = ("*",)) -> None:
    """Allow plug-ins, all without names, in this process and those that it starts."""
    os.environ[ALLOWED] = os.pathsep.join(sorted({*_allowed(), *names}))


def _allowed() -> set[str]:
    return {name for name in os.environ.get(ALLOWED, "").split(os.pathsep) if name}


def resolve_plugin(name: str, info: ValidationInfo) -> str:
    """The path of `NAME.py` or `NAME/__init__.py` beside the recipe, if there is one; else the name itself."""
    folder = (info.context or {}).get("folder")
    if folder is None:
        return name
    found = (Path(folder) / f"{name}.py", Path(folder) / name / "__init__.py")
    return next((str(path.resolve()) for path in found if path.is_file()), name)


def load_plugins(names: Iterable[str]) -> None:
    """Import plug-ins, each once in a process; they are allowed from now on.

    Args:
        names: of modules that Python finds, or paths of files or packages.

    Raises:
        RecipeError: there is no such module, or its code fails.
    """
    names = list(names)
    allow_plugins(names)
    for name in names:
        if name not in _imported:
            _imported[name] = _import(name)


def load_plugins_of_run(names: Iterable[str], folder: Path) -> None:
    """Import the plug-ins that the recipe of a run folder names, if they are allowed.

    Raises:
        RecipeError: they aren't allowed; the message names them. Or as `load_plugins`.
    """
    unknown = [name for name in names if not {"*", name} & _allowed()]
    if unknown:
        raise RecipeError(
            f"{folder} was made with plug-ins, which are code that would run now: {', '.join(unknown)}; "
            "if you trust them, repeat the command with --allow-plugins"
        )
    load_plugins(names)


def plugin_stamp(name: str) -> str:
    """What shows whether the code of a plug-in has changed: a hash of its files."""
    path = Path(name)
    if not path.exists():
        spec = importlib.util.find_spec(name)
        path = Path(spec.origin) if spec and spec.origin else path
    if path.name == "__init__.py":
        path = path.parent
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return hashlib.sha256(b"\n".join(file.read_bytes() for file in files if file.is_file())).hexdigest()[:16]


def _import(name: str) -> ModuleType:
    path = Path(name)
    if not path.is_absolute() and not all(part.isidentifier() for part in name.split(".")):
        raise RecipeError(f"plugins: {name!r} is no module; write a name such as my_module for my_module.py")
    if path.is_absolute() and not path.is_file():
        raise RecipeError(f"plugins: {name} is gone")
    try:
        with redirect_stdout(sys.stderr):  # standard output is for results
            return _from_file(path) if path.is_absolute() else importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            raise RecipeError(
                f"plugins: there is no module {name!r}, neither beside the recipe ({name}.py) nor installed"
            ) from None
        raise RecipeError(f"plugins: {name} needs the module {error.name!r}, which is not installed") from None
    except RecipeError as error:
        raise RecipeError(f"plugins: {name}: {error}") from None
    except (Exception, SystemExit) as error:
        raise RecipeError(f"plugins: {name} failed while it was imported: {type(error).__name__}: {error}") from error


def _from_file(path: Path) -> ModuleType:
    own = path.parent.name if path.name == "__init__.py" else path.stem
    spec = importlib.util.spec_from_file_location(own, path)
    if spec is None or spec.loader is None:
        raise RecipeError("it is not a Python file")
    if own in sys.modules:
        raise RecipeError(f"there is another module named {own!r}; rename it")
    module = importlib.util.module_from_spec(spec)
    sys.modules[own] = module  # so that classes of the plug-in can be sent to worker processes
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[own]
        raise
    return module


class _Plugins(BaseModel):
    """The one key of a recipe that is needed before the others can be checked."""

    plugins: list[Annotated[str, AfterValidator(resolve_plugin)]] = []


def plugins_of(document: Document, context: dict[str, Any]) -> list[str]:
    """The plug-ins that a recipe names; none where the key is mistaken, which is reported with the other mistakes."""
    try:
        return _Plugins.model_validate(document.values, context=context).plugins
    except ValidationError:
        return []


def plugin_mistakes(document: Document, names: Iterable[str]) -> Iterator[str]:
    """Import plug-ins; what is wrong with those that can't be. What they register is unknown, then."""
    for name in names:
        try:
            load_plugins([name])
        except RecipeError as error:
            yield f"{document.place(('plugins',))}: {error}; without it the names that it registers are unknown"
