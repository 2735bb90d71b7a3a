"""The paths of files: `/translate_file`, and where the translation is fetched."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, Response

from neuronspec.core.direction import Direction
from neuronspec.deploy.documents.document import Options
from neuronspec.deploy.server.bodies import MULTIPART, checked, values_of
from neuronspec.deploy.server.keys import Keys
from neuronspec.deploy.server.routes import REFUSALS, characters_of, left
from neuronspec.deploy.server.schemas import FileRequest, Refused, TranslatedFile
from neuronspec.deploy.server.service import AUTO, Service
from neuronspec.deploy.server.uploads import Documents, check, translated_name

DOWNLOAD = "/download_file/"

_SCHEMA = FileRequest.model_json_schema()
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            MULTIPART: {
                "schema": _SCHEMA
                | {
                    "properties": {"file": {"type": "string", "format": "binary"}} | _SCHEMA["properties"],
                    "required": ["file", *_SCHEMA["required"]],
                }
            }
        },
    }
}


def add_file_routes(app: FastAPI, service: Service, documents: Documents, keys: Keys | None) -> None:
    """`/translate_file` and `/download_file`."""

    @app.post("/translate_file", responses=REFUSALS, openapi_extra=_BODY)
    async def translate_file(request: Request) -> TranslatedFile:
        """Translate a file in its format; the answer says where the translation is fetched."""
        values, files = await values_of(request)
        wanted = checked(values, FileRequest)
        characters_of(keys, wanted.api_key)
        file = files.get("file")
        if file is None:
            raise Refused(400, f"file is missing: send it as a part of {MULTIPART} that has a file name")
        check(file)
        options = Options(column=wanted.column or None)
        target = service.spellings.resolve(wanted.target)
        if wanted.source.lower() == AUTO:
            source = await documents.source(file, target, options, lambda: left(request))
        else:
            source = service.spellings.resolve(wanted.source)
        content = file.content
        if source != target:
            direction: Direction = service.direction(source, target)
            content = await documents.translate(file, direction, options, lambda: left(request))
        name = translated_name(file.name, service.spellings.shown(target))
        token = app.state.downloads.add(name, content)
        return TranslatedFile(translatedFileUrl=str(request.url_for("download_file", token=token)))

    @app.get(DOWNLOAD + "{token}", response_class=FileResponse, responses={404: REFUSALS[400]})
    async def download_file(token: str) -> Response:
        """Fetch a translated file."""
        found = app.state.downloads.get(token)
        if found is None:
            raise Refused(404, "there is no such file, or not any more: translate it again")
        return FileResponse(found[0], filename=found[1], media_type="application/octet-stream")
