"""Run the notebooks of `examples/`, or those that are named, and keep what they show; `make notebooks`.

What goes to standard error, as progress does, isn't kept.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def executed(path: Path, **changes: str) -> nbformat.NotebookNode:
    """A notebook with new outputs.

    Args:
        path: of the notebook.
        changes: by name, what is assigned to it in place of what the notebook says, such as `UPDATES="10"`.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        lines = (changed(line, changes) for line in cell.source.split("\n"))
        cell.source = "\n".join(lines) if cell.cell_type == "code" else cell.source
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=1800, startup_timeout=300, resources=resources).execute()
    for cell in notebook.cells:
        cell.metadata.clear()
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def changed(line: str, changes: dict[str, str]) -> str:
    """A line of code, with another value if it assigns one of some names."""
    name, assigns, _ = line.partition(" = ")
    return f"{name} = {changes[name]}" if assigns and name in changes else line


def main(names: list[str]) -> None:
    """Those that are named, or all."""
    for path in map(Path, names) if names else sorted(EXAMPLES.glob("*.ipynb")):
        nbformat.write(executed(path), path)
        print(path.name)


if __name__ == "__main__":
    main(sys.argv[1:])
