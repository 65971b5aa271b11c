"""A folder of images as a clip: which files are frames, in which order, and their pixels."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath

import numpy as np
from PIL import Image, ImageOps

from dfer.clips.media import IMAGE_SUFFIXES

LOSSLESS = (".png", ".bmp")
SIGN = re.compile(r"-(?=[0-9])")
WHOLE = r"[0-9]+"
DECIMAL = r"(?<![0-9.])[0-9]+\.[0-9]+(?!\.?[0-9])"  # 0.25, but not a date with two points


def frame_names(names: Iterable[str]) -> tuple[list[str], str]:
    """The names in a folder that are frames of its clip, in the order of time.

    Hidden files and what is no image, by its suffix, are left out. A frame that is there in
    several formats (0001.jpg and 0001.png) is taken once: in the format that most frames have,
    and of two as common in the one that loses nothing.

    Returns:
        the names, and a note on what was left out of them; empty if nothing was.
    """
    images = [name for name in names if _suffix(name) in IMAGE_SUFFIXES and name[0] != "."]
    common = Counter(map(_suffix, images))

    def rank(name: str) -> tuple[bool, int, bool, int, str]:
        suffix = _suffix(name)
        place = IMAGE_SUFFIXES.index(suffix)
        return -common[suffix], suffix not in LOSSLESS, place, name

    taken: dict[str, str] = {}
    for name in sorted(images, key=rank):
        taken.setdefault(PurePath(name).stem, name)
    note = ""
    if len(taken) < len(images):
        left = Counter(map(_suffix, set(images) - set(taken.values())))
        counted = ", ".join(f"{count} × {suffix}" for suffix, count in sorted(left.items()))
        note = f"frames are there in several formats and taken once: without {counted}"
    return natural_order(taken.values()), note


def natural_order(names: Iterable[str]) -> list[str]:
    """Sort names by the numbers in them: 2.jpg before 10.jpg, -1.jpg before 0.jpg.

    All names together tell what a point and a hyphen between or before digits mean:

    - a point is that of a decimal (t0.25 before t0.5), unless some name ends in a number such as
      10, 20 or 100 after its point, where others have fewer digits: so people count (1.2, 1.10),
      and nobody writes 0.5 and 0.10 for times;
    - a hyphen is a minus at the start of a name, and where another name has the same text without
      a hyphen (t-1, t0, t1); else it parts words (clip-1, clip-2).
    """
    names = list(names)
    stems = [_stem(name) for name in names]
    fractions = [number.partition(".")[2] for stem in stems for number in re.findall(DECIMAL, stem)]
    counted = len({len(digits) for digits in fractions}) > 1 and any(
        re.fullmatch("[1-9][0-9]*0", digits) for digits in fractions
    )
    starts = {stem[: match.start()].lower() for stem in stems for match in re.finditer(WHOLE, stem)}
    return sorted(
        names, key=lambda name: natural_key(name, not counted, lambda text: text in starts)
    )


def natural_key(
    name: str, decimals: bool = True, is_number: Callable[[str], bool] = lambda text: False
) -> tuple[list[float | str], str]:
    """Sort key under which numbers in a name count as numbers.

    Args:
        decimals: whether 0.25 is one number, or 0 and 25.
        is_number: whether what follows this text, the lower-cased start of the name before a
            hyphen and digits, is a number in another name: then the hyphen is a minus.
    """
    stem, suffix = _stem(name), name[len(_stem(name)) :]
    number = f"({DECIMAL}|{WHOLE})" if decimals else f"({WHOLE})"
    parts: list[float | str] = re.split(number, stem)  # text and numbers take turns
    before = ""
    for i in range(0, len(parts) - 1, 2):
        text, digits = parts[i], parts[i + 1]
        start = (before + text)[:-1].lower()
        minus = text.endswith("-") and (start == "" or is_number(start))
        # An int, as far as it is one: a float has no room for the digits of a long time stamp.
        size = float(digits) if "." in digits else int(digits)
        parts[i], parts[i + 1] = text.removesuffix("-") if minus else text, -size if minus else size
        before += text + digits
    parts[-1] += suffix
    return [part.lower() if isinstance(part, str) else part for part in parts], name


def read_image(path: Path) -> np.ndarray:
    """Decode an image: uint8 RGB (H, W, 3), upright. Half an image is an `OSError`.

    Grey images of 16 bits (modes I;16 and I) are scaled to 8; those of floating-point numbers (F)
    are taken for 0 … 1 if none is larger, else for 0 … 255.
    """
    with Image.open(path) as image:
        if image.mode == "F" or image.mode[0] == "I":
            values = np.asarray(ImageOps.exif_transpose(image)).astype(np.float64)
            if image.mode == "F":
                grey = values * 255 if np.nanmax(values) <= 1 else values
            else:
                grey = values / 257
            grey = np.nan_to_num(grey, nan=0.0).round().clip(0, 255).astype(np.uint8)
            return np.repeat(grey[..., None], 3, axis=2)
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))


def _suffix(name: str) -> str:
    return PurePath(name).suffix.lower()


def _stem(name: str) -> str:
    """A name without its suffix, which has a letter (t0.25 has none)."""
    path = PurePath(name)
    return path.stem if re.search("[^0-9.]", path.suffix) else name
