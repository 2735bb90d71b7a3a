"""What clients send and get, in the manner of LibreTranslate."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from neuronspec.core.errors import DirectionError
from neuronspec.core.json_files import parse_json
from neuronspec.core.languages import choose_language
from neuronspec.core.wording import first_mistake

Model = TypeVar("Model", bound=BaseModel)
Language = Annotated[str, Field(min_length=1, max_length=40)]


class Refused(Exception):
    """A request that isn't answered: status and message."""

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after


class TranslateRequest(BaseModel):
    """A text, or several, to translate."""

    model_config = ConfigDict(extra="ignore")
    q: str | list[str] = Field(description="text, or a list of texts; line breaks stay where they are")
    source: Language = Field(description="language of the text, or `auto`")
    target: Language = Field(description="language to translate to")
    format: Literal["text"] = Field("text", description="only plain text is translated")
    alternatives: int = Field(0, ge=0, le=4, description="further translations of each text, best first")
    api_key: str | None = Field(None, description="ignored: the server has no keys")


class Served(BaseModel):
    """Which model served a request."""

    direction: str
    neurons: int | None = Field(None, description="feed-forward neurons that computed it")
    dense_neurons: int | None = Field(None, description="of the dense model")
    composed: tuple[str, str] | None = Field(None, description="directions whose neurons a zero-shot direction has")


class Detected(BaseModel):
    """The language of a text."""

    confidence: float = Field(description="0 to 100")
    language: str


class TranslateResponse(BaseModel):
    """Translations, and what served them."""

    translatedText: str | list[str]
    alternatives: list[str] | list[list[str]] | None = None
    detectedLanguage: Detected | list[Detected] | None = None
    model: Served


class DetectRequest(BaseModel):
    """A text whose language is to be detected."""

    model_config = ConfigDict(extra="ignore")
    q: str = Field(min_length=1, description="text")
    api_key: str | None = Field(None, description="ignored")


class SupportedLanguage(BaseModel):
    """A language that can be translated from, and those it can be translated to."""

    code: str
    name: str
    targets: list[str]


class Health(BaseModel):
    """The server is up and has a model."""

    status: Literal["ok"] = "ok"


class Error(BaseModel):
    """Why a request was refused."""

    error: str


async def parsed(request: Request, model: type[Model]) -> Model:
    """The body of a request, JSON or a form, as LibreTranslate's clients send either.

    Raises:
        Refused: it is neither, or a field is wrong.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    values: Any
    try:
        if kind == "application/x-www-form-urlencoded":
            values = dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict"))
        elif kind in ("application/json", ""):
            values = parse_json(body, object)
        else:
            raise Refused(415, f"content type {kind!r}: send application/json or application/x-www-form-urlencoded")
    except ValueError as error:
        wanted = "a form" if kind == "application/x-www-form-urlencoded" else "JSON"
        raise Refused(400, f"the body isn't valid ({error}): send {wanted} in UTF-8") from None
    try:
        found = model.model_validate(values)
    except ValidationError as error:
        raise Refused(400, first_mistake(error)) from None
    check_text(found.model_dump_json)
    return found


def check_text(dump: Any) -> None:
    """Refuse what isn't text: half of a surrogate pair.

    Raises:
        Refused: it isn't.
    """
    try:
        dump()
    except (UnicodeEncodeError, ValueError):
        raise Refused(400, "the text has half of a surrogate pair, which is no character") from None


def resolve(code: str, known: list[str]) -> str:
    """The model's code of a language that a client may spell in another way (`pt-BR`, `deu_Latn`).

    Raises:
        Refused: the model doesn't have it, or it may mean several.
    """
    try:
        return choose_language(code, known, "this server has")
    except DirectionError as error:
        raise Refused(400, str(error)) from None


def body_schema(model: type[BaseModel]) -> dict[str, Any]:
    """For OpenAPI, of a body that `parsed` reads."""
    schema = model.model_json_schema()
    kinds = ("application/json",)
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}}
