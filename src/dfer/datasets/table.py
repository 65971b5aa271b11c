"""Layout `csv`: a release that one table describes, `labels.csv` in its root.

Columns: `clip` (id), `path` (of a video or of a folder of images, relative to the root), `label`,
`fold` (1, 2, …), and optionally `subject` and `split`. Other columns are ignored.

Without `split` it is cross-validation: fold k tests on the clips whose `fold` is k and trains on
all others. With `split` ("train" or "test") each row places a clip in one fold, so a clip may have
one row a fold; `fold` may then be left out, which means one official split, fold 1.
"""

import csv
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from dfer.clips.media import VIDEO_SUFFIXES, Media
from dfer.datasets.folders import Folders, check_inside
from dfer.datasets.release import CLIP_COLUMNS, FOLD_COLUMNS, Release, Source
from dfer.errors import UserError

SOURCES: tuple[Source, ...] = ("video", "crops")
TABLE = "labels.csv"
REMEDY = "clip,path,label,fold and, if there are any, subject,split"


class Row(NamedTuple):
    """One line of the table, stripped; `place` names file and line for messages."""

    place: str
    clip: str
    path: str
    label: str
    subject: str | None
    fold: int
    split: str | None


def label_files(root: Path) -> list[Path]:
    """The table that `read` opens, if it is there."""
    return [path for path in (root / TABLE,) if path.is_file()]


def read(root: Path, source: Source) -> Release:
    """Read the release at `root`.

    Args:
        source: changes nothing here: the table's paths say what the clips are.

    Raises:
        UserError: no table, a missing column, an empty cell, a fold that is no positive integer,
            a split that is neither "train" nor "test", a path that leaves the root, or a clip with
            two rows for a fold or with rows that disagree.
    """
    folders = Folders(root)
    rows = _rows(root / TABLE)
    first: dict[str, Row] = {}
    placed: dict[tuple[str, int], Row] = {}
    for row in rows:
        known = first.setdefault(row.clip, row)
        # Without `split` a clip has one row; with it, one row a fold.
        twin = placed.setdefault((row.clip, row.fold if row.split else 0), row)
        if twin is not row:
            raise UserError(
                f"{row.place}: clip {row.clip!r} was already listed in line "
                f"{twin.place.rpartition(' ')[2]}. Keep one of the two rows."
            )
        if known[2:5] != row[2:5]:
            raise UserError(
                f"{row.place}: clip {row.clip!r} has another path, label or subject in line "
                f"{known.place.rpartition(' ')[2]}. Make the rows of a clip agree."
            )
    first = {clip: row._replace(path=folders.spelt(row.path)) for clip, row in first.items()}
    media = {clip: folders.media(row.path) for clip, row in first.items()}
    missing = sorted(clip for clip, kind in media.items() if kind is None)
    clips = pd.DataFrame(
        [
            (clip, row.path, media[clip] or _expected(row.path), row.label, row.subject)
            for clip, row in first.items()
        ],
        columns=CLIP_COLUMNS,
    )
    return Release(clips, _folds(rows), missing)


def _rows(path: Path) -> list[Row]:
    """The rows of the table, each checked by itself."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            header = [name.strip() for name in next(lines, [])]
            _check_header(header, path)
            rows = [
                _row(header, cells, f"{path}: line {lines.line_num}")
                for cells in lines
                if any(cell.strip() for cell in cells)
            ]
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file. Describe the release in it: one line a clip, columns {REMEDY}."
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV file in UTF-8 ({error}). Save it as one.") from None
    if not rows:
        raise UserError(f"{path}: no clips. Add one line a clip, columns {REMEDY}.")
    return rows


def _check_header(header: list[str], path: Path) -> None:
    for name in ("clip", "path", "label", "fold"):
        if name not in header and not (name == "fold" and "split" in header):
            raise UserError(
                f"{path}: no column {name!r} (columns are: {', '.join(header) or 'none'}). "
                f"The first line must name the columns: {REMEDY}."
            )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UserError(f"{path}: two columns are called {twice[0]!r}. Rename or delete one.")


def _row(header: list[str], cells: list[str], place: str) -> Row:
    if len(cells) != len(header):
        raise UserError(
            f"{place}: {len(cells)} cells, but the first line names {len(header)} columns. "
            "Quote a cell that has a comma in it."
        )
    row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
    for name in ("clip", "path", "label", "fold", "split"):
        if row.get(name) == "":
            raise UserError(f"{place}: the cell of column {name!r} is empty. Fill it in.")
    fold, split = row.get("fold", "1"), row.get("split")
    if not (fold.isascii() and fold.isdigit() and len(fold) < 10 and int(fold) > 0):
        raise UserError(f"{place}: fold {fold!r} is not a whole number from 1 on, of nine digits.")
    if split not in (None, "train", "test"):
        raise UserError(f"{place}: split {split!r} is neither 'train' nor 'test'.")
    path = check_inside(row["path"], place)
    return Row(place, row["clip"], path, row["label"], row.get("subject") or None, int(fold), split)


def _expected(path: str) -> Media:
    """Media of a clip that is not there, by its name."""
    return "video" if path.lower().endswith(VIDEO_SUFFIXES) else "frames"


def _folds(rows: list[Row]) -> pd.DataFrame:
    if rows[0].split:
        places = [(row.clip, row.fold, row.split) for row in rows]
    else:
        places = [
            (row.clip, fold, "test" if row.fold == fold else "train")
            for fold in sorted({row.fold for row in rows})
            for row in rows
        ]
    return pd.DataFrame(places, columns=FOLD_COLUMNS)
