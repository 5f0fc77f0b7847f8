"""Tables that fit the terminal: the less important columns are left out before anything is wrapped or cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

Row = TypeVar("Row")

GAP = 2
"""Spaces between columns."""

MIN_NAME_WIDTH = 8
"""A column of names is cut down to this before numbers are."""

ALWAYS = 0
"""Rank of the columns that are never left out."""


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """A column of a table.

    Attributes:
        title: its head.
        cell: the text of a row's cell; inert already.
        rank: the column with the highest rank is left out first, of equal ones the rightmost.
        is_name: cut with an ellipsis when there is no room for it, and left-aligned.
        is_left: left-aligned; numbers are not.
        style: rich style of a row's cell.
    """

    title: str
    cell: Callable[[Row], str]
    rank: int = ALWAYS
    is_name: bool = False
    is_left: bool = False
    style: Callable[[Row], str] = lambda _row: ""


def plain_table(*titles: str) -> Table:
    """Return an empty table that looks like the others, for cells that may be wrapped."""
    return Table(*titles, box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")


def table(console: Console, columns: Sequence[Column[Row]], rows: Sequence[Row]) -> Table:
    """Return a table of `rows` with as many of `columns` as fit the console."""
    names = [column for column in columns if column.is_name]
    natural = {id(column): _natural_width(column, rows) for column in columns}
    modest = natural | {id(name): min(natural[id(name)], _modest_width(console.width, len(names))) for name in names}
    shown = _fitting(columns, modest, console.width)
    widths = _cut_names(shown, natural, console.width)
    made = plain_table()
    for column in shown:
        made.add_column(
            column.title,
            justify="left" if column.is_name or column.is_left else "right",
            no_wrap=True,
            overflow="ellipsis",
            width=widths[id(column)],
        )
    for row in rows:
        made.add_row(*(Text(column.cell(row), style=column.style(row)) for column in shown))
    return made


def _natural_width(column: Column[Row], rows: Sequence[Row]) -> int:
    return max(cell_len(column.title), *(cell_len(column.cell(row)) for row in rows), 0)


def _modest_width(room: int, names: int) -> int:
    """Return what a name may take before numbers have to go: half of the room for all names together."""
    return max(MIN_NAME_WIDTH, room // 2 // max(1, names) - GAP)


def _cut_names(columns: Sequence[Column[Row]], natural: dict[int, int], room: int) -> dict[int, int]:
    """Return the widths of `columns`, taking what is missing from the widest names."""
    widths = dict(natural)
    names = [id(column) for column in columns if column.is_name]
    missing = _total(columns, widths) - room
    while missing > 0 and names:
        widest = max(names, key=widths.__getitem__)
        if widths[widest] <= MIN_NAME_WIDTH:
            break
        widths[widest] -= 1
        missing -= 1
    return widths


def _fitting(columns: Sequence[Column[Row]], widths: dict[int, int], room: int) -> list[Column[Row]]:
    """Return the columns that are left when the least important are taken out until the rest fits."""
    shown = list(columns)
    while _total(shown, widths) > room:
        least = max(reversed(shown), key=lambda column: column.rank)
        if least.rank == ALWAYS:
            break
        shown.remove(least)
    return shown


def _total(columns: Sequence[Column[Row]], widths: dict[int, int]) -> int:
    return sum(widths[id(column)] for column in columns) + GAP * (len(columns) - 1)
