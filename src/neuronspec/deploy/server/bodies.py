"""Reading requests: JSON, forms of either kind, query strings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder

from neuronspec.core.json_files import parse_json
from neuronspec.core.wording import first_mistake
from neuronspec.deploy.server.schemas import Refused

Model = TypeVar("Model", bound=BaseModel)

JSON, FORM, MULTIPART = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"
PARTS = 1000
"""Parts of a multipart body at most."""

_MANY = "q"
"""The field that may be given several times: a batch of texts."""


class Upload(NamedTuple):
    """A file in a multipart form."""

    name: str
    content: bytes


async def parsed(request: Request, model: type[Model]) -> Model:
    """What a request asks for, in its body or in its query string, as LibreTranslate's clients send either.

    Raises:
        Refused: the body is of another type or can't be read, or a field is wrong.
    """
    values, _ = await values_of(request)
    return checked(values, model)


async def values_of(request: Request) -> tuple[Any, dict[str, Upload]]:
    """The values of a request, and the files among them by field. Those of a form come before those of the query.

    Raises:
        Refused: the body is of another type, or can't be read.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    kind, body = kind.lower(), await request.body()
    files: dict[str, Upload] = {}
    try:
        query = _together(_pairs(request.scope["query_string"]))
        if kind == FORM:
            values: Any = query | _together(_pairs(body))
        elif kind == MULTIPART:
            fields, files = _multipart(body, options.get("boundary", ""))
            values = query | _together(fields)
        elif kind not in (JSON, ""):
            raise Refused(415, f"content type {kind!r}: send {JSON}, {FORM} or {MULTIPART}")
        else:
            values = query if query and not body.strip() else parse_json(body, object)
    except ValueError as error:
        wanted = "a form" if kind in (FORM, MULTIPART) else "JSON"
        raise Refused(400, f"the body isn't valid ({error}): send {wanted} in UTF-8") from None
    return values, files


def checked(values: Any, model: type[Model]) -> Model:
    """Values as a request.

    Raises:
        Refused: a field is missing or wrong, or half of a surrogate pair stands for a character.
    """
    try:
        found = model.model_validate(values)
    except ValidationError as error:
        raise Refused(400, first_mistake(error)) from None
    try:
        found.model_dump_json()
    except (UnicodeEncodeError, ValueError):
        raise Refused(400, "the text has half of a surrogate pair, which is no character") from None
    return found


def body_schema(model: type[BaseModel]) -> dict[str, Any]:
    """For OpenAPI, of a body that `parsed` reads."""
    return {"requestBody": {"required": True, "content": {JSON: {"schema": model.model_json_schema()}}}}


def _pairs(text: bytes) -> list[tuple[str, str]]:
    return parse_qsl(text.decode("utf-8"), keep_blank_values=True, errors="strict")


def _together(fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """By name, the last value; of texts that are given several times, all."""
    values: dict[str, Any] = {}
    for name, value in fields:
        several = name == _MANY and name in values
        values[name] = [*_listed(values[name]), value] if several else value
    return values


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _multipart(body: bytes, boundary: str) -> tuple[list[tuple[str, str]], dict[str, Upload]]:
    if not boundary:
        raise ValueError("its content type names no boundary")
    decoder = MultipartDecoder(boundary.encode("latin-1"), max_parts=PARTS)
    decoder.receive_data(body)
    decoder.receive_data(None)
    fields: list[tuple[str, str]] = []
    files: dict[str, Upload] = {}
    part: Field | File | None = None
    content = b""
    try:
        while not isinstance(event := decoder.next_event(), Epilogue):
            if isinstance(event, Field | File):
                part, content = event, b""
            elif isinstance(event, Data) and part is not None:
                content += event.data
                if event.more_data:
                    continue
                if isinstance(part, File):
                    files[part.name] = Upload(part.filename, content)
                else:
                    fields.append((part.name, content.decode("utf-8")))
    except RequestEntityTooLarge:
        raise ValueError(f"more than {PARTS} parts") from None
    return fields, files
