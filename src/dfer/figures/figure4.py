"""Fig. 4: where the model looks, without and with text, in the frames of chosen clips.

python -m dfer.figures.figure4 --examples examples.parquet --maps maps.*.parquet
    --dataset … --runs … --out results/figures/demo/figure4
"""

import argparse

import cv2
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import simplejpeg

from dfer.errors import UserError, stage
from dfer.figures import style
from dfer.figures.style import Shown

SIDE = 112  # pixels of a frame as drawn


def heat(maps: pd.DataFrame, key: str, clip: str) -> tuple[np.ndarray, str]:
    """Maps (T, SIDE, SIDE) of a clip by a run, 1 where it is hottest, and the run's prediction."""
    rows = maps[(maps.run == key) & (maps["clip"] == clip)].sort_values("frame")
    cells = np.stack(rows["map"])
    grid = round(cells.shape[1] ** 0.5)
    large = np.stack([cv2.resize(cell.reshape(grid, grid), (SIDE, SIDE)) for cell in cells])
    return large / max(large.max(), np.finfo(np.float32).tiny), rows.prediction.iloc[0]


def overlay(frame: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A frame (SIDE, SIDE, 3) in grey under its heat (SIDE, SIDE), both in 0 … 1."""
    grey = np.repeat(frame.mean(axis=-1, keepdims=True), 3, axis=-1)
    colour = matplotlib.colormaps["inferno"](heat)[..., :3]
    weight = 0.75 * np.sqrt(heat)[..., None]
    return grey * (1 - weight) + colour * weight


def draw(examples: pd.DataFrame, maps: pd.DataFrame, shown: Shown) -> plt.Figure:
    """Three rows a clip: its frames, then a row of heat maps a variant, with its prediction."""
    frames = len(examples.frames.iloc[0])
    lines = 1 + len(shown.runs)
    width = max(1.1 + 0.74 * frames, 5.3)  # the heading's, where there are few frames
    figure = plt.figure(figsize=(width, (0.74 * lines + 0.08) * len(examples) + 0.7))
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    outer = figure.add_gridspec(len(examples), 1)
    for number, example in enumerate(examples.to_dict("records")):
        grid = outer[number].subgridspec(lines, frames, wspace=0, hspace=0)
        images = [
            cv2.resize(
                simplejpeg.decode_jpeg(jpeg, "RGB"), (SIDE, SIDE), interpolation=cv2.INTER_AREA
            )
            / 255
            for jpeg in example["frames"]
        ]
        rows = [(example["label"], style.INK, images)]
        for (name, key), colour in zip(shown.runs.items(), style.VARIANTS, strict=False):
            hot, prediction = heat(maps, key, example["clip"])
            if len(hot) != frames:
                raise UserError(
                    f"{key} sees {len(hot)} frames of a clip and the figure has {frames}: compare "
                    "variants of equal model.frames."
                )
            pictures = [overlay(image, h) for image, h in zip(images, hot, strict=True)]
            mark = "✓" if prediction == example["label"] else "✗"
            rows.append((f"{name}:\n{prediction} {mark}", colour, pictures))
        for line, (title, colour, pictures) in enumerate(rows):
            for column, picture in enumerate(pictures):
                axis = figure.add_subplot(grid[line, column])
                axis.imshow(picture)
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(False)
                if column == 0:
                    weight = "bold" if line == 0 else "normal"
                    axis.set_ylabel(
                        title, rotation=0, ha="right", va="center", color=colour, weight=weight
                    )
    style.heading(
        figure,
        "Where the model looks",
        shown,
        "relevance of each patch for the class that the model predicts (Chefer et al. 2021), "
        "1 = hottest of the clip",
        style.choice(examples),
    )
    return figure


def main(args: argparse.Namespace) -> None:
    """Draw and save."""
    examples, maps = style.read_all([args.examples]), style.read_all(args.maps)
    style.save(draw(examples, maps, style.shown_of(args)), args.out)


if __name__ == "__main__":
    parser = style.parser(__doc__.splitlines()[0])
    parser.add_argument("--examples", required=True, help="as dfer.analysis.examples writes them")
    parser.add_argument(
        "--maps", nargs="+", required=True, help="as dfer.analysis.maps writes them"
    )
    stage(main, parser)
