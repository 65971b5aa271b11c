"""Render the embedded demo: video clips, stills of other people, and their labels.

    python -m dfer.demo.render clips --face-model results/demo/face_model.whl --identities 0 1 2 3
        --seed 0 --out-dir results/demo/release/clips
    python -m dfer.demo.render stills --face-model … --identities 0 1 2 3 --seed 0
        --out-dir results/demo-stills/release/stills
    python -m dfer.demo.render labels --kind clips --subjects 20 --folds 5
        --out results/demo/release/labels.csv

`clips` writes OUT_DIR/s03/s03-happy-1.mp4, `stills` writes OUT_DIR/t03/t03-happy/1.jpg …; `labels`
names them relative to the folder above OUT_DIR. A file's content depends on the seed, person, class
and take alone, not on what else a call renders.
"""

import argparse
import csv
import io
import sys
from pathlib import Path

import numpy as np

from dfer.demo.dataset import CLASSES, KINDS, TAKES, Clip, clips_of
from dfer.errors import UserError, stage
from dfer.files import atomic, write_text

FPS = 25
CRF = 16  # H.264 constant rate factor
JPEG_QUALITY = 95
COLUMNS = ("clip", "path", "label", "subject", "fold")
SMALLEST = 64


def render(args: argparse.Namespace) -> None:
    """Render all clips, or all stills, of some people."""
    import cv2
    from tqdm import tqdm

    from dfer.demo import face_model, identities, paint, renderer

    cv2.setNumThreads(1)
    if args.size < SMALLEST or args.size % 2:
        raise UserError(f"--size {args.size}: give an even number of pixels from {SMALLEST} on.")
    model = face_model.load(args.face_model)
    atlas = paint.unroll(model)
    camera = renderer.Renderer(model, args.size)
    takes = args.takes if args.kind == "clips" else dict.fromkeys(args.takes, args.stills)
    for identity in tqdm(args.identities, desc=f"render {args.kind}", unit="person"):
        who = identities.identity(model, args.seed, args.kind, identity)
        head = renderer.build_head(model, atlas, who)
        for clip in clips_of(args.kind, identity, takes, folds=1):
            out = args.out_dir / Path(clip.path).relative_to(args.kind)
            if args.kind == "clips":
                write_video(_clip_frames(camera, head, clip, args), out)
            else:
                for number in range(1, args.stills + 1):
                    write_jpeg(_still(camera, head, clip, number, args), out / f"{number}.jpg")


def _address(clip: Clip, take: int, args: argparse.Namespace) -> np.random.Generator:
    """The random numbers of one take, by what it is and not by when it is rendered."""
    label = CLASSES.index(clip.label)
    return np.random.default_rng([args.seed, KINDS[args.kind], clip.identity, 2, label, take])


def _clip_frames(camera, head, clip: Clip, args: argparse.Namespace) -> list[np.ndarray]:
    from dfer.demo.expressions import course
    from dfer.demo.scene import poses, scene

    rng = _address(clip, clip.take, args)
    where = scene(rng, args.size)
    moves = zip(course(rng, clip.label, args.frames), poses(rng, args.frames), strict=True)
    return [camera.frame(head, weights, pose, where, rng) for weights, pose in moves]


def _still(camera, head, clip: Clip, number: int, args: argparse.Namespace) -> np.ndarray:
    from dfer.demo.expressions import apex
    from dfer.demo.scene import scene, still_pose

    rng = _address(clip, number, args)
    where = scene(rng, args.size)
    return camera.frame(head, apex(rng, clip.label), still_pose(rng), where, rng)


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


def labels(args: argparse.Namespace) -> None:
    """Write a release's labels.csv without rendering anything."""
    if args.folds > args.subjects:
        raise UserError(
            f"--folds {args.folds}: more folds than the {args.subjects} subjects, so some would be "
            "empty. Give fewer folds or more subjects."
        )
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for identity in range(args.subjects):
        for clip in clips_of(args.kind, identity, args.takes, args.folds):
            table.writerow([getattr(clip, column) for column in COLUMNS])
    write_text(text.getvalue(), args.out)


def _takes(text: str) -> tuple[str, int]:
    label, _, count = text.partition("=")
    if label not in CLASSES or not count.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not like happy=3 ({', '.join(CLASSES)})")
    return label, int(count)


class _Takes(argparse.Action):
    """Collects `happy=3 sad=1` as a dict."""

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, dict(values))


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    stages = top.add_subparsers(dest="stage", required=True)
    takes = argparse.ArgumentParser(add_help=False)
    takes.add_argument(
        "--takes",
        nargs="+",
        type=_takes,
        action=_Takes,
        default=TAKES,
        metavar="CLASS=N",
        help="classes and clips of each a person (stills: the classes only); default: "
        + " ".join(f"{label}={count}" for label, count in TAKES.items()),
    )
    for kind in KINDS:
        stage = stages.add_parser(kind, parents=[takes], help=f"render the {kind} of some people")
        stage.set_defaults(main=render, kind=kind)
        stage.add_argument("--face-model", type=Path, required=True, help="the face model's wheel")
        stage.add_argument("--identities", type=int, nargs="+", required=True, help="0, 1, …")
        stage.add_argument("--seed", type=int, default=0)
        stage.add_argument("--size", type=int, default=256, help="pixels of a frame's side")
        stage.add_argument("--out-dir", type=Path, required=True)
    stages.choices["clips"].add_argument("--frames", type=int, default=16, help="of a clip")
    stages.choices["stills"].add_argument("--stills", type=int, default=16, help="of a class")

    stage = stages.add_parser("labels", parents=[takes], help="write labels.csv")
    stage.set_defaults(main=labels)
    stage.add_argument("--kind", choices=KINDS, default="clips")
    stage.add_argument("--subjects", type=int, default=20, help="people 0 … N - 1 are in it")
    stage.add_argument("--folds", type=int, default=5, help="person i is tested in i mod folds + 1")
    stage.add_argument("--out", type=Path, required=True)
    return top


if __name__ == "__main__":
    sys.stderr.reconfigure(line_buffering=True)
    stage(lambda args: args.main(args), parser())
