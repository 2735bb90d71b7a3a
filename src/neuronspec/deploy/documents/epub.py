"""Books (`.epub`): each page as `.html`, the table of contents, title and language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from neuronspec.core.direction import Direction
from neuronspec.core.languages import match_language
from neuronspec.deploy.documents.archive import rewrite_members
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.html_file import rewrite_page
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.spans import Rewriter, Span
from neuronspec.deploy.documents.xml_paragraphs import rewrite_paragraphs
from neuronspec.deploy.documents.xml_source import Document, Element, xml_text
from neuronspec.deploy.translator import Translator

PAGES = (".xhtml", ".html", ".htm")
CONTENTS, PACKAGE = ".ncx", ".opf"


def translate_epub(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Translate the pages of a book, its table of contents, title and description; it then names the target's language.

    Raises:
        CorpusError: it isn't a book, encrypted, or damaged; or a page is in another language.
    """
    rewriter = Rewriter(translator, direction, source.name)

    def rewrite(name: str, raw: bytes) -> bytes:
        if name.lower().endswith(PAGES):
            return rewrite_page(rewriter, direction, name, raw)
        is_contents = name.lower().endswith(CONTENTS)
        names = {"text"} if is_contents else {"title", "description"}
        raw = rewrite_paragraphs(rewriter, name, raw, names, (), _spans)
        return raw if is_contents else _renamed(name, raw, direction)

    rewrite_members(source, stream, lambda name: name.lower().endswith((*PAGES, CONTENTS, PACKAGE)), rewrite)
    rewriter.report()


def _spans(document: Document, element: Element) -> Iterator[Span]:
    if not element.children and element.close < element.end:
        yield Span(element.inside, element.close, element.text, xml_text)


def _renamed(name: str, raw: bytes, direction: Direction) -> bytes:
    document = Document(name, raw)
    waiting = [document.root]
    while waiting:
        element = waiting.pop()
        waiting += element.children
        if element.name == "language" and match_language(element.text.strip(), [direction.source]) is not None:
            document.replace(element.inside, element.close, direction.target.replace("_", "-"))
    return document.encoded()


EPUB = Format(translate_epub, own_marks=True)
