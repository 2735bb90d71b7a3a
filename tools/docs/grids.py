"""Tables of the generated pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from neuronspec.core.table import Table


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table, and an empty one."""
    lines = [f"| {' | '.join(row)} |" for row in (heads, *rows)]
    return [lines[0], "|---" * len(heads) + "|", *lines[1:], ""]


def titled(table: Table) -> list[str]:
    """The title of a table, the table, and its note."""
    note = [table.note.replace("*", r"\*"), ""] if table.note else []  # it may begin with a mark
    return [f"{table.title}:", "", *grid(table.columns, table.rows), *note]
