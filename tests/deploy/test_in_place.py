"""Files that are filled in place: what changes in them, and that a killed process leaves them as they were."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import polib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.marking import Marking

from neuronspec.core.direction import Direction
from neuronspec.deploy.documents.document import Options, translate_document

EN_DE = Direction("en", "de")
HEADER = (
    'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
    '"Plural-Forms: nplurals=2; plural=n != 1;\\n"\n\n'
)  # fmt: skip
XLIFF = (
    '<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2"><file source-language="en" target-language="de"><body>'
    '<trans-unit id="1"><source>one</source></trans-unit>'
    '<trans-unit id="2"><source>two</source><target>zwei</target></trans-unit></body></file></xliff>'
)
TMX = (
    '<tmx version="1.4"><header srclang="en"/><body><tu><tuv xml:lang="en"><seg>one</seg></tuv></tu>'
    '<tu><tuv xml:lang="en"><seg>two</seg></tuv><tuv xml:lang="de"><seg>zwei</seg></tuv></tu></body></tmx>'
)
FILES = {
    "a.po": HEADER + 'msgid "one"\nmsgstr ""\n\nmsgid "two"\nmsgstr "zwei"\n',
    "a.xlf": XLIFF,
    "a.tmx": TMX,
}

KILLED = """
import os, signal, sys
from pathlib import Path
from neuronspec.core.direction import Direction
from neuronspec.deploy.documents.document import translate_document

def die(*_): os.kill(os.getpid(), signal.SIGKILL)

class Translating:
    n_best = 1
    def __call__(self, texts, direction):
        if moment == "translating":
            die()
        return [text.upper() for text in texts]

for file in sys.argv[1:]:
    moment = Path(file).parent.name
    process = os.fork()
    if process == 0:
        if moment == "renaming":
            Path.replace = die
        translate_document(Translating(), Direction("en", "de"), file, Path(file))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
"""


def test_a_killed_process_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    files = [tmp_path / name / moment / name for name in FILES for moment in ("translating", "renaming")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text(FILES[file.name])
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, files)], capture_output=True, text=True, check=True
    )
    assert killed.stdout.split() == [str(-signal.SIGKILL.value)] * 6
    for file in files:
        assert file.read_text() == FILES[file.name]
        translate_document(Marking(), EN_DE, str(file), file)  # type: ignore[arg-type]
        after = file.read_text()
        assert "¡one" in after and "zwei" in after and "¡two" not in after
        assert [path.name for path in file.parent.iterdir()] == [file.name], "what the killed process left is gone"


@pytest.mark.parametrize("name", FILES)
def test_an_error_leaves_the_file_as_it_was(tmp_path: Path, name: str) -> None:
    class Failing(Marking):
        def __call__(self, texts: list[str], direction: str) -> list[str]:
            raise MemoryError

    (tmp_path / name).write_text(FILES[name])
    with pytest.raises(MemoryError):
        translate_document(Failing(), EN_DE, str(tmp_path / name), tmp_path / name)  # type: ignore[arg-type]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: FILES[name]}


ENTRIES = st.lists(
    st.tuples(
        st.booleans(), st.sampled_from(["", "fertig"]), st.sampled_from([None, ("", ""), ("eins", ""), ("a", "b")])
    ),
    min_size=1,
    max_size=6,
)


@given(ENTRIES, st.booleans())
def test_only_empty_entries_change_and_fuzzy_ones_if_asked(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[bool, str, tuple[str, str] | None]], fuzzy: bool
) -> None:
    catalog = polib.POFile()
    catalog.metadata = {"Content-Type": "text/plain; charset=UTF-8", "Plural-Forms": "nplurals=2; plural=n != 1;"}
    for number, (is_fuzzy, text, forms) in enumerate(entries):
        entry = polib.POEntry(msgid=f"text {number}", msgstr=text, flags=["fuzzy"] if is_fuzzy else [])
        if forms is not None:
            entry.msgid_plural, entry.msgstr_plural = f"texts {number}", dict(enumerate(forms))
        catalog.append(entry)
    file = tmp_path_factory.mktemp("in-place") / "a.po"
    catalog.save(str(file))
    translate_document(Marking(), EN_DE, str(file), file, Options(fuzzy=fuzzy))  # type: ignore[arg-type]
    for before, after in zip(catalog, polib.pofile(str(file)), strict=True):
        again = fuzzy and "fuzzy" in before.flags
        old = before.msgstr_plural or {0: before.msgstr}
        new = after.msgstr_plural or {0: after.msgstr}
        assert all(new[form] == text if text and not again else new[form].startswith("¡") for form, text in old.items())
        assert ("fuzzy" in after.flags) == ("fuzzy" in before.flags or "" in old.values())
