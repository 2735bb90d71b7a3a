"""What the tutorials tell a reader to do works, from their first command to their last: on tiny models and texts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neuronspec.cli.app import app
from tests.helpers.fake_hub import in_the_cache
from tests.helpers.miniature import sentences
from tests.helpers.pages import SHELLS, Block, blocks, own_arguments
from tests.helpers.prompted_checkpoints import llama

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
LANGUAGES = ("en", "de", "fr", "ru")
SMALL = """
tokenizer: {vocabulary: 200}
model:
  preset: tiny
  d_model: 16
  encoder_ffn_dim: 24
  decoder_ffn_dim: 24
  encoder_attention_heads: 2
  decoder_attention_heads: 2
training: {updates: 4, batch_tokens: 128, warmup: 1, validate_every: 4, save_every: 4, validation_sentences: 4}
continuation: {updates: 4, batch_tokens: 128, warmup: 1, validate_every: 4, save_every: 4, validation_sentences: 4}
evaluation: {beam: 1, max_sentences: 4, max_new_tokens: 6, scores: {resamples: 20, trials: 20}}
analysis: {sentences: 1}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def texts(rows: int = 120) -> dict[str, list[str]]:
    return {code: sentences(code, rows, seed=1) for code in LANGUAGES}


def small(recipe: str) -> str:
    """A recipe with the sizes of a test: its name and text, and nothing else of it."""
    return recipe[: recipe.index("tokenizer:")] + SMALL


def call(arguments: list[str]) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, (arguments, done.output, done.exception)
    return done.output


def follow(page: str, after: dict[str, Callable[[], None]]) -> list[str]:
    """Run the blocks of a page; what a call of a command prints, in their order.

    Args:
        page: its name.
        after: what the test does after a command, by its first words.
    """
    printed, names = [], {"__name__": "tutorial"}
    for block in blocks(TUTORIALS / f"{page}.md"):
        if block.not_run is not None:
            continue
        if block.kind == "python":
            exec(compile(block.text, page, "exec"), names)
        for command in block.commands:
            arguments = own_arguments(command)
            if arguments is None:
                assert command[0] in ("pip", "echo") or "." in command[0], command
                continue
            printed.append(call(arguments))
            for words, then in after.items():
                if arguments[: len(words.split())] == words.split():
                    then()
    return printed


def yaml_of(page: str) -> str:
    (found,) = [block.text for block in blocks(TUTORIALS / f"{page}.md") if block.kind == "yaml"]
    return found


def demo_in_small(*languages: str) -> None:
    """In place of the recipe that `init demo` wrote: some of its languages."""
    table = zip(*(texts()[code] for code in ("en", *languages)), strict=True)
    lines = ["\t".join(("en", *languages)), *("\t".join(row) for row in table)]
    Path("text.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    source = "{reader: tsv, path: text.tsv}"
    recipe = f"name: demo\ncorpus:\n  train: {source}\n  languages: [{', '.join(languages)}]\n"
    recipe += "  valid_share: 0.1\n  test_share: 0.1\n"
    Path("demo.yaml").write_text(recipe + SMALL, encoding="utf-8")


def test_every_tutorial_is_followed_or_says_why_not() -> None:
    followed = {"your-corpus", "adaptation", "deploy-and-serve", "analyse-an-llm", "nllb"}  # nllb: tests/runs
    assert {path.stem for path in TUTORIALS.glob("*.md")} == followed
    assert all(len(block.not_run) > 10 for page in TUTORIALS.glob("*.md") for block in blocks(page) if block.not_run)


def test_commands_are_read_as_a_shell_reads_them() -> None:
    text = "echo 'a b' > x.txt\npip install 'neuronspec[report]'\n"
    text += "neuronspec run r.yaml \\\n  --set 'a=[b, c]' | head -1  # all\n"
    block = Block("sh", text, None)
    assert block.kind in SHELLS
    assert block.commands == [
        ["echo", "a b"], ["x.txt"], ["pip", "install", "neuronspec[report]"],
        ["neuronspec", "run", "r.yaml", "--set", "a=[b, c]"], ["head", "-1"],
    ]  # fmt: skip
    assert [own_arguments(command) for command in block.commands][3] == ["run", "r.yaml", "--set", "a=[b, c]"]
    assert own_arguments(["torchrun", "-m", "neuronspec", "run", "x", "$TEXT"]) == ["run", "x"]


@pytest.mark.slow
def test_your_corpus(here: Path) -> None:
    (here / "text").mkdir()
    for other in ("de", "fr"):
        for code in ("en", other):
            (here / "text" / f"en-{other}.{code}").write_text("\n".join(texts()[code]) + "\n", encoding="utf-8")
    (here / "mine.yaml").write_text(
        small(yaml_of("your-corpus").replace("share: 0.02", "share: 0.1")), encoding="utf-8"
    )
    *_, dropped, trained = follow("your-corpus", {})
    assert "report" in trained and (here / "runs/mine/report/index.html").is_file()
    assert "dropped" in dropped.lower() or "nothing" in dropped.lower()


@pytest.mark.slow
def test_adaptation(here: Path) -> None:
    sweep = yaml_of("adaptation").replace("continuation.updates: 60", "continuation.updates: 2")
    sweep = re.sub("^  slow: .*\n", "", sweep, flags=re.MULTILINE)
    (here / "forget-less.yaml").write_text(sweep.replace("max_sentences: 60", "max_sentences: 3"), encoding="utf-8")
    _, _, adapted, swept = follow("adaptation", {"init demo": lambda: demo_in_small("de", "ru")})
    assert "adapted" in adapted
    assert "equal forgetting" in swept or "others lose" in swept
    assert (here / "sweeps/forget-less/frontier.svg").is_file()


@pytest.mark.slow
def test_deploy_and_serve(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo_in_small("de", "fr")
    call(["run", "demo.yaml", "--out", "runs/demo"])
    (here / "text.en").write_text("Save the changes\n", encoding="utf-8")
    follow("deploy-and-serve", {})
    assert (here / "text.fr").read_text(encoding="utf-8").count("\n") == 1
    assert "en-de" in capsys.readouterr().out


@pytest.mark.slow
def test_analyse_an_llm(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"en": "english", "de": "german", "fr": "french"}
    lines = {code: text for code, text in texts().items() if code in names}
    for code, name in names.items():
        (here / f"{name}.txt").write_text("\n".join(lines[code]) + "\n", encoding="utf-8")
    made = llama(here / "made", [line for text in lines.values() for line in text])
    in_the_cache(here / "hub", monkeypatch, "HuggingFaceTB/SmolLM2-135M", made)
    follow("analyse-an-llm", {})
    assert (here / "analysis/report/index.html").is_file()
    printed = capsys.readouterr().out
    assert "of all neurons are its own" in printed and printed.count("without the neurons of German") == 3
