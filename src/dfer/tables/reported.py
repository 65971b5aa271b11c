"""What papers print: config/reported.csv, one number a line, and the variant of ours that it is of.

The file says which tables there are, which variants stand in each, and whether it prints FLOPs;
the rules and the tables ask here.
"""

import csv
from pathlib import Path
from typing import NamedTuple

PAPER = "Zhang et al., IJCB 2024"


class Cell(NamedTuple):
    """A number of a paper's table, as printed."""

    table: int
    row: int  # from 1
    method: str
    variant: str  # ours of that row; empty if there is none
    venue: str
    backbone: str
    dataset: str  # title; empty for FLOPs
    metric: str  # UAR, WAR or FLOPs
    value: str  # empty in a line that gives a variant of ours a row, or its measured numbers a note
    difference: str  # from the table's Baseline, in points, as printed in brackets; or empty
    note: str

    @property
    def place(self) -> str:
        """Where the number stands in the paper."""
        return f"Table {self.table}, row {self.row}"


def read(path: Path | str) -> list[Cell]:
    """All numbers, in the order of the file."""
    with open(path, newline="", encoding="utf-8") as file:
        return [
            Cell(**line | {"table": int(line["table"]), "row": int(line["row"])})
            for line in csv.DictReader(file)
        ]


def variants(cells: list[Cell]) -> dict[int, list[str]]:
    """Table → its variants, each once, in the order of the rows."""
    names: dict[int, dict[str, None]] = {}
    for cell in cells:
        of_table = names.setdefault(cell.table, {})
        if cell.variant:
            of_table[cell.variant] = None
    return {table: list(of_table) for table, of_table in sorted(names.items())}


def of_the_paper(cells: list[Cell]) -> set[int]:
    """The tables of which a number is printed; others are ours alone."""
    return {cell.table for cell in cells if cell.value}


def with_flops(cells: list[Cell]) -> set[int]:
    """The tables that print FLOPs."""
    return {cell.table for cell in cells if cell.metric == "FLOPs"}
