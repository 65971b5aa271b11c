"""A picture of a rendered release: some of its people, their expressions, and one clip over time.

python -m dfer.demo.contact_sheet --root results/demo/release --out sheet.png
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from dfer.demo.dataset import CLASSES
from dfer.errors import UserError, stage
from dfer.files import atomic

PEOPLE = 5  # rows
CELL = 160  # pixels of a picture's side
HEAD = 26  # pixels of a caption's height
MARGIN = 96  # pixels for the names at the left
INK, PAPER = (40, 40, 40), 250


def draw(release: Path, out: Path, people: int = PEOPLE) -> None:
    """Write a PNG: rows of people, columns of classes at their apex, then one clip over time.

    Args:
        release: its folder, with labels.csv.
        people: how many are shown, if there are as many.

    Raises:
        UserError: the release has no labels.csv, or a clip cannot be read.
    """
    clips: dict[str, dict[str, str]] = defaultdict(dict)
    try:
        with open(release / "labels.csv", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                clips[row["subject"]].setdefault(row["label"], row["path"])
    except FileNotFoundError:
        raise UserError(
            f"{release}/labels.csv: no such file. Write it: `python -m dfer.demo.render labels`."
        ) from None
    shown = [sorted(clips)[i] for i in _spread(len(clips), min(people, len(clips)))]
    columns = [label for label in CLASSES if any(label in clips[name] for name in shown)]

    rows = [_caption(columns)]
    for name in shown:
        cells = []
        for label in columns:
            path = clips[name].get(label)
            cells.append(_apex(_read(release / path)) if path else _blank())
        rows.append(_row(name, cells))
    label = "surprise" if "surprise" in columns else columns[0]
    frames = _read(release / clips[shown[0]][label])
    times = np.linspace(0, len(frames) - 1, len(columns)).round().astype(int)
    rows.append(_caption([f"frame {time + 1}" for time in times]))
    rows.append(_row(label, [_cell(frames[time]) for time in times]))
    sheet = np.concatenate(rows)
    with atomic(out) as temporary:
        temporary.write_bytes(cv2.imencode(".png", sheet[:, :, ::-1])[1].tobytes())


def _spread(count: int, picked: int) -> list[int]:
    """`picked` of `count` indices, far apart, even and odd in turn (women and men)."""
    return [min(count - 1, i * count // picked // 2 * 2 + i % 2) for i in range(picked)]


def _read(path: Path) -> np.ndarray:
    """Frames (n, h, w, 3) uint8 RGB of a video, or of a folder of numbered images."""
    if path.is_dir():
        images = sorted(path.iterdir(), key=lambda image: int(image.stem))
        return np.stack([cv2.imread(str(image))[:, :, ::-1] for image in images])
    import av

    try:
        with av.open(str(path)) as container:
            return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}). Render it again.") from error


def _apex(frames: np.ndarray) -> np.ndarray:
    """The frame a bit after the middle, where every class is near its apex."""
    return _cell(frames[len(frames) * 9 // 16])


def _cell(frame: np.ndarray) -> np.ndarray:
    return cv2.resize(frame, (CELL, CELL), interpolation=cv2.INTER_AREA)


def _blank() -> np.ndarray:
    return np.full((CELL, CELL, 3), PAPER, np.uint8)


def _row(name: str, cells: list[np.ndarray]) -> np.ndarray:
    left = np.full((CELL, MARGIN, 3), PAPER, np.uint8)
    _write(left, name, MARGIN // 2, CELL // 2)
    return np.concatenate([left, *cells], axis=1)


def _caption(words: list[str]) -> np.ndarray:
    band = np.full((HEAD, MARGIN + CELL * len(words), 3), PAPER, np.uint8)
    for column, word in enumerate(words):
        _write(band, word, MARGIN + CELL * column + CELL // 2, HEAD // 2)
    return band


def _write(image: np.ndarray, text: str, x: int, y: int) -> None:
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.5
    (width, height), _ = cv2.getTextSize(text, font, scale, 1)
    place = (x - width // 2, y + height // 2)
    cv2.putText(image, text, place, font, scale, INK, 1, cv2.LINE_AA)


def main(args: argparse.Namespace) -> None:
    """Draw the picture."""
    draw(args.root, args.out)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("--root", type=Path, required=True, help="folder of the release")
    top.add_argument("--out", type=Path, required=True, help="output (a PNG)")
    return top


if __name__ == "__main__":
    stage(main, parser())
