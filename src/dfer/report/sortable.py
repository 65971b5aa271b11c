"""A wide table in HTML: its heads and first column stay in view, and its columns can be sorted by.

Without a script it is the same table; `table.js` adds the buttons that sort it.
"""

from html import escape
from pathlib import Path

STYLE = Path(__file__).with_name("table.css")
SCRIPT = Path(__file__).with_name("table.js")


def head() -> str:
    """What the head of a page with such tables has."""
    style, script = (file.read_text(encoding="utf-8") for file in (STYLE, SCRIPT))
    return f"\n<style>\n{style}</style>\n<script>\n{script}</script>\n"


def table(label: str, heads: list[str], rows: list[str] | dict[str, str], order: str) -> str:
    """A table that scrolls in a frame of its own.

    Args:
        label: what it is called by those who do not see it.
        heads: HTML of its rows of heads.
        rows: HTML of its other rows; or id → HTML, for links to them.
        order: what the button is called that restores their order.
    """
    if isinstance(rows, dict):
        body = [f'<tr id="{name}">{row}</tr>' for name, row in rows.items()]
    else:
        body = [f"<tr>{row}</tr>" for row in rows]
    return "\n".join(
        [
            f'<div class="wide" role="region" aria-label="{escape(label)}" tabindex="0">',
            f'<table data-order="{escape(order)}">',
            "<thead>",
            *(f"<tr>{row}</tr>" for row in heads),
            "</thead>",
            "<tbody>",
            *body,
            "</tbody>",
            "</table>",
            "</div>",
        ]
    )


def column(text: str, position: int, kind: str, rows: int = 1) -> str:
    """The head of a column that can be sorted by.

    Args:
        text: plain text.
        position: of its cells in a row, from 0.
        kind: classes; with `number` among them it is sorted by numbers, else by words.
        rows: how many rows of heads it spans.
    """
    span = f' rowspan="{rows}"' * (rows > 1)
    return f'<th scope="col" class="{kind}" data-column="{position}"{span}>{escape(text)}</th>'


def columns(names: dict[str, str]) -> str:
    """One row of heads: text → kind."""
    return "".join(column(text, k, kind) for k, (text, kind) in enumerate(names.items()))


def group(text: str, width: int, kind: str) -> str:
    """A head above several columns."""
    if not text:
        return f'<td class="{kind}" colspan="{width}"></td>'
    return f'<th scope="colgroup" class="{kind}" colspan="{width}">{escape(text)}</th>'


def name(text: str) -> str:
    """The first cell of a row, which says whose it is; plain text."""
    return f'<th scope="row" class="name">{escape(text)}</th>'


def words(text: str, kind: str = "") -> str:
    """A cell of plain text."""
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"


def number(shown: str, value: float | None, kind: str = "") -> str:
    """A cell of a number: HTML, and what it is sorted by; None stands last."""
    by = "" if value is None else f' data-value="{float(value)!r}"'
    return f'<td class="{f"number {kind}".strip()}"{by}>{shown}</td>'
