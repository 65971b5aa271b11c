"""Render the embedded demo: video clips, stills of other people, and their labels.

    python -m dfer.demo.render clips --face-model results/demo/face_model.whl --identities 0 1 2 3
        --out-dir results/demo/release/clips
    python -m dfer.demo.render stills --face-model … --identities 0 1 2 3
        --out-dir results/demo-stills/release/stills
    python -m dfer.demo.render labels --kind clips --people 20 --folds 5
        --out results/demo/release/labels.csv

`clips` writes OUT_DIR/s00-s03/s03-happy-1.mp4, `stills` writes OUT_DIR/t00-t03/t03-happy/1.jpg …;
`labels` names them relative to the folder above OUT_DIR. A file's content depends on the seed,
person, class and take alone, not on what else a call renders.
"""

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dfer.demo.dataset import CLASSES, KINDS, TAKES, Kind, Rendering, clips_of
from dfer.errors import UserError, stage
from dfer.files import atomic, write_text

if TYPE_CHECKING:  # compiled; labels are written without it
    from dfer.demo.renderer import Head, Renderer

FPS = 25
CRF = 16  # H.264 constant rate factor
JPEG_QUALITY = 95
COLUMNS = ("clip", "path", "label", "subject", "fold")
SMALLEST = 64  # pixels of a frame's side


def render_clips(
    camera: "Renderer",
    people: Iterator[tuple[int, "Head"]],
    takes: dict[str, int],
    *,
    frames: int,
    seed: int,
    out_dir: Path,
) -> None:
    """Write all clips of `people` (number, head), each of `frames` frames."""
    from dfer.demo.draws import random_numbers

    for identity, head in people:
        for clip in clips_of("clips", identity, takes, folds=1):
            rng = random_numbers("clips", seed, clip, clip.take)
            shown = clip_frames(camera, head, clip.label, frames, rng)
            write_video(shown, out_dir / Path(clip.path).relative_to("clips"))


def render_stills(
    camera: "Renderer",
    people: Iterator[tuple[int, "Head"]],
    classes: Sequence[str],
    *,
    stills: int,
    seed: int,
    out_dir: Path,
) -> None:
    """Write `stills` images of each class of `people` (number, head)."""
    from dfer.demo.draws import random_numbers

    for identity, head in people:
        for clip in clips_of("stills", identity, dict.fromkeys(classes, stills), folds=1):
            folder = out_dir / Path(clip.path).relative_to("stills")
            for number in range(1, stills + 1):
                rng = random_numbers("stills", seed, clip, number)
                write_jpeg(still(camera, head, clip.label, rng), folder / f"{number}.jpg")


def studio(
    wheel: Path, kind: Kind, identities: Sequence[int], *, size: int, seed: int
) -> tuple["Renderer", Iterator[tuple[int, "Head"]]]:
    """A renderer of square frames of `size` pixels, and some people (number, head) to render.

    Raises:
        UserError: frames of this size cannot be encoded, or see `face_model.load`.
    """
    import cv2
    from tqdm import tqdm

    from dfer.demo import face_model, paint
    from dfer.demo.identities import identity as draw
    from dfer.demo.renderer import Renderer, build_head

    cv2.setNumThreads(1)
    if size < SMALLEST or size % 2:
        raise UserError(f"--size {size}: give an even number of pixels from {SMALLEST} on.")
    model = face_model.load(wheel)
    atlas = paint.unroll(model)
    shown = tqdm(identities, desc=f"render {kind}", unit="person")
    people = ((i, build_head(model, atlas, draw(model, seed, kind, i))) for i in shown)
    return Renderer(model, size), people


def clip_frames(
    camera: "Renderer", head: "Head", label: str, frames: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """The frames of a clip, each (size, size, 3) uint8 RGB."""
    from dfer.demo.draws import draw_clip

    surroundings, moves = draw_clip(rng, label, frames, camera.size)
    return [camera.frame(head, weights, pose, surroundings, rng) for weights, pose in moves]


def still(camera: "Renderer", head: "Head", label: str, rng: np.random.Generator) -> np.ndarray:
    """One image at an expression's apex, (size, size, 3) uint8 RGB."""
    from dfer.demo.draws import draw_still

    surroundings, weights, pose = draw_still(rng, label, camera.size)
    return camera.frame(head, weights, pose, surroundings, rng)


def write_video(frames: list[np.ndarray], path: Path) -> None:
    """Encode (h, w, 3) uint8 RGB frames as H.264 in MP4; equal frames give equal bytes."""
    import av

    height, width = frames[0].shape[:2]
    with atomic(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(CRF), "preset": "superfast", "threads": "1"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_jpeg(image: np.ndarray, path: Path) -> None:
    """Write an (h, w, 3) uint8 RGB image."""
    import simplejpeg

    data = simplejpeg.encode_jpeg(
        np.ascontiguousarray(image), quality=JPEG_QUALITY, colorsubsampling="444"
    )
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def write_labels(kind: Kind, people: int, folds: int, takes: dict[str, int], out: Path) -> None:
    """Write a release's labels.csv without rendering anything.

    Raises:
        UserError: more folds than people.
    """
    if folds > people:
        raise UserError(
            f"--folds {folds}: more folds than the {people} people, so some would be empty. Give "
            "fewer folds or more people."
        )
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for identity in range(people):
        for clip in clips_of(kind, identity, takes, folds):
            table.writerow([getattr(clip, column) for column in COLUMNS])
    write_text(text.getvalue(), out)


def main(args: argparse.Namespace) -> None:
    """Render clips or stills, or write their labels."""
    takes = dict(args.takes)
    if args.stage == "labels":
        write_labels(args.kind, args.people, args.folds, takes, args.out)
        return
    camera, people = studio(
        args.face_model, args.stage, args.identities, size=args.size, seed=args.seed
    )
    common = {"seed": args.seed, "out_dir": args.out_dir}
    if args.stage == "clips":
        render_clips(camera, people, takes, frames=args.frames, **common)
    else:
        render_stills(camera, people, list(takes), stills=args.stills, **common)


def _take(text: str) -> tuple[str, int]:
    label, _, count = text.partition("=")
    if label not in CLASSES or not count.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not like happy=3 ({', '.join(CLASSES)})")
    return label, int(count)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    stages = top.add_subparsers(dest="stage", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--takes",
        nargs="+",
        type=_take,
        default=list(TAKES.items()),
        metavar="CLASS=N",
        help="classes and clips of each a person (stills: the classes only); default: "
        + " ".join(f"{label}={count}" for label, count in TAKES.items()),
    )
    for kind in KINDS:
        one = stages.add_parser(kind, parents=[shared], help=f"render the {kind} of some people")
        add = one.add_argument
        add("--face-model", type=Path, required=True, help="the face model's wheel")
        add("--identities", type=int, nargs="+", required=True, help="numbers of people, from 0 on")
        add("--seed", type=int, default=Rendering.seed, help="seed of all that is drawn")
        add("--size", type=int, default=Rendering.size, help="side of written images, in pixels")
        add("--out-dir", type=Path, required=True, help="folder of the outputs")
        if kind == "clips":
            add("--frames", type=int, default=Rendering.frames, help="frames of a clip")
        else:
            add("--stills", type=int, default=Rendering.stills, help="images of a person and class")

    add = stages.add_parser("labels", parents=[shared], help="write labels.csv").add_argument
    add("--kind", choices=list(KINDS), required=True, help="what the release consists of")
    add("--people", type=int, default=Rendering.people, help="number of people of the release")
    add("--folds", type=int, default=Rendering.folds, help="person i is tested in i mod folds + 1")
    add("--out", type=Path, required=True, help="output (the label file)")
    return top


if __name__ == "__main__":
    sys.stderr.reconfigure(line_buffering=True)
    stage(main, parser())
