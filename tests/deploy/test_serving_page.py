"""docs/serving.md for those who run the server for others: its Dockerfile, unit and options are ones that work."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer
from tests.helpers.running_server import ask

from neuronspec.cli.app import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serving.md").read_text("utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def instructions(name: str) -> list[str]:
    """The arguments of all instructions of a name."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return [line.split(maxsplit=1)[1] for line in joined.splitlines() if line.startswith(f"{name} ")]


def program(name: str) -> str | None:
    """A program beside this Python, or anywhere."""
    return shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


def test_the_dockerfile_has_nothing_to_complain_of() -> None:
    hadolint = program("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install 'neuronspec[dev]')")
    done = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_the_dockerfile_installs_is_there() -> None:
    torch, own = (re.sub(r" && .*", "", run) for run in instructions("RUN"))
    assert torch.split()[-1] in (ROOT / "constraints.txt").read_text().splitlines(), "the version that is tested"
    path, extras = re.search(r"'(/\w+)\[(.*)\]'$", own).groups()  # type: ignore[union-attr]
    assert path == "/neuronspec" and "--constraint /neuronspec/constraints.txt" in own
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.split(",")) <= set(known)
    assert instructions("USER") != ["root"] and instructions("USER")


def test_what_the_dockerfile_copies_makes_the_whole_package(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling is not installed (pip install 'neuronspec[dev]')")
    let_through = (ROOT / ".dockerignore").read_text().splitlines()
    assert let_through[0] == "*"
    for line in instructions("COPY"):
        *sources, target = line.split()
        folder = tmp_path / target.lstrip("/")
        for name in sources:
            assert f"!{name}" in let_through
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder)
    code = "import hatchling.build; print(hatchling.build.build_wheel('.'))"
    home = tmp_path / "neuronspec"
    done = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = home.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if not name.split("/")[0].endswith(".dist-info")}
    source = ROOT / "src"
    files = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files |= {  # pyproject.toml puts the recipes into the package
        f"neuronspec/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "recipes").rglob("*") if path.is_file()
    }
    assert packed == files and "neuronspec/deploy/server/style.css" in files


@contextmanager
def started(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`neuronspec ...` at a free port, which stands for 8000."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "neuronspec", *(port if each == "8000" else each for each in arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"})
    try:
        assert process.stderr is not None
        assert f":{port}/" in process.stderr.readline()
        yield port, process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.cli
def test_the_container_serves_and_is_healthy(exported: Path) -> None:
    (line,), (health,) = instructions("ENTRYPOINT"), instructions("HEALTHCHECK")
    check = json.loads(health[health.index("[") :])
    name, *arguments = json.loads(line)
    assert name == "neuronspec" and arguments[:2] == ["serve", "/model"]
    assert instructions("EXPOSE") == [arguments[arguments.index("--port") + 1]]
    arguments[1] = str(exported)
    arguments += ["--threads", "1", "--allow-host", "mt.example.org"]
    with started(*arguments) as (port, process):
        command = [sys.executable, *(each.replace("8000", port) for each in check[1:])]
        assert check[0] == "python" and subprocess.run(command, timeout=60, check=False).returncode == 0
        body = {"q": "w1 w2", "source": "en", "target": "de"}
        answer = ask(f"http://127.0.0.1:{port}/translate", body, Host="mt.example.org")
        assert answer.json["translatedText"] == "w2 w1"
        process.terminate()
        assert process.wait(30) == 130
    down = subprocess.run(command, timeout=60, capture_output=True, check=False)
    assert down.returncode != 0


@pytest.mark.cli
def test_no_text_is_logged(exported: Path) -> None:
    with started("serve", str(exported), "--port", "8000", "--threads", "1") as (port, process):
        url = f"http://127.0.0.1:{port}"
        pair = {"source": "en", "target": "de"}
        form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="secret.po"\r\n\r\nsecret\r\n--x--\r\n'
        answers = [
            ask(f"{url}/translate", pair | {"q": "secret"}),
            ask(f"{url}/translate?q=secret&source=en&target=de", b"", ""),
            ask(f"{url}/translate", pair | {"q": "<b>secret</b>", "format": "html", "api_key": "secret"}),
            ask(f"{url}/translate", b'{"q": "secret'),
            ask(f"{url}/detect", {"q": "secret"}),
            ask(f"{url}/translate_file?source=en&target=de", form, "multipart/form-data; boundary=x"),
            ask(f"{url}/secret", Host="localhost", Referer="http://secret/"),
        ]
        assert [answer.status for answer in answers] == [200, 200, 200, 400, 200, 400, 404]
        process.terminate()
        assert process.wait(30) == 130 and process.stderr is not None
        logged = process.stderr.read()
    assert "secret" not in logged and "Traceback" not in logged


def test_the_options_of_the_page_exist() -> None:
    command = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    used = set(re.findall(r"neuronspec serve [^`\n]*", PAGE))
    named = {option for line in used for option in re.findall(r"--[a-z-]+", line)}
    told = set(re.findall(r"`(--[a-z-]+)", PAGE)) - {"--quantization", "--env"}
    assert len(used) >= 2 and len(told) > 8
    assert named | told <= known


def test_the_unit_is_one(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    (unit,) = re.findall(r"```ini\n(.*?)```", PAGE, flags=re.DOTALL)
    (line,) = re.findall(r"ExecStart=(.*)", unit)
    file = tmp_path / "neuronspec.service"
    file.write_text(unit.replace(line.split()[0], sys.executable), "utf-8")
    command = ["systemd-analyze", "verify", "--man=no", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    about_it = [each for each in done.stderr.splitlines() if file.name in each]
    assert about_it == []
