"""What clients send and get, in the manner of LibreTranslate."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Language = Annotated[str, Field(min_length=1, max_length=40)]


class Refused(Exception):
    """A request that isn't answered: status and message."""

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after


def _text_by_default(value: Any) -> Any:
    return "text" if value is None or value == "" else value


def _none_by_default(value: Any) -> Any:
    return 0 if value is None or value == "" else value


class WithKey(BaseModel):
    """A request that may need an API key."""

    model_config = ConfigDict(extra="ignore")
    api_key: str | None = Field(None, description="needed where the server was started with `--keys`")


class TranslateRequest(WithKey):
    """A text, or several, to translate."""

    q: str | list[str] = Field(description="text, or a list of texts; line breaks stay where they are")
    source: Language = Field(description="language of the text, or `auto`")
    target: Language = Field(description="language to translate to")
    format: Annotated[Literal["text", "html"], BeforeValidator(_text_by_default)] = Field(
        "text", description="`html`: tags are kept around the words that they belong to, without alternatives"
    )
    alternatives: Annotated[int, BeforeValidator(_none_by_default)] = Field(
        0, description="further translations of each text, best first; as many as there are where more are asked for"
    )


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
    """Translations, and what served them; for a list of texts in several languages, by text."""

    translatedText: str | list[str]
    alternatives: list[str] | list[list[str]] | None = None
    detectedLanguage: Detected | list[Detected] | None = None
    model: Served | list[Served]


class DetectRequest(WithKey):
    """A text, or several, whose language is to be detected."""

    q: Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=1)] = Field(
        description="text, or a list of texts"
    )


class SuggestRequest(WithKey):
    """A better translation of a text."""

    q: Annotated[str, Field(min_length=1)] = Field(description="the text")
    s: Annotated[str, Field(min_length=1)] = Field(description="the translation that is suggested")
    source: Language = Field(description="language of the text")
    target: Language = Field(description="language of the translation")


class Suggested(BaseModel):
    """The suggestion was kept."""

    success: Literal[True] = True


class FileRequest(WithKey):
    """A file to translate, beside the file itself."""

    source: Language = Field(description="language of the file, or `auto`")
    target: Language = Field(description="language to translate to")
    column: str | None = Field(None, description="of a table of several columns: which one, by number or name")


class TranslatedFile(BaseModel):
    """Where the translated file is fetched; for a while."""

    translatedFileUrl: str


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


class LanguageName(BaseModel):
    """A language by code and English name."""

    code: str
    name: str


class FrontendSettings(BaseModel):
    """What a user interface of LibreTranslate needs to know."""

    charLimit: int = Field(description="most characters of a request")
    frontendTimeout: int = Field(description="milliseconds to wait for more input before translating")
    apiKeys: bool = False
    keyRequired: bool = False
    suggestions: bool = False
    filesTranslation: bool = True
    supportedFilesFormat: list[str] = Field(description="endings of files that are translated")
    language: dict[Literal["source", "target"], LanguageName] = Field(description="what the page starts with")
    model: str = Field(description="name of the folder that is served")
