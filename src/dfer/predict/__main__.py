"""One's own videos → the expressions that a trained run finds in them, window by window.

    python -m dfer.predict --run results/demo/runs/<settings>/fold1-seed0 clip.mp4 holiday/
        --out predictions.csv --out-overlays overlays/ --out-strips strips/

A video of up to `--window` seconds is classified as one, a longer one in windows of that length,
one every `--stride` seconds. Each window goes the way of a test clip: the same tracker (the largest
face, then the one nearest to it) with the run's own landmark settings, the same alignment and JPEG
coding, T frames from the middles of T segments; so its logits are those of
`dfer.training.evaluate`. The probabilities are their softmax, which nobody has calibrated.

`--run` is the folder of a run, what `dfer export` made of it (a folder or a zip), or its name on
Hugging Face's hub, user/name. `--onnx` takes the same, as far as it has a model.onnx: then ONNX
Runtime computes, and torch need not be installed. It has no heat maps.

Input: video files; folders of videos; folders of images, each one clip without times and so one
window. The content of a folder decides (`dfer.predict.footage.find_clips`).

- `--out` (Parquet, CSV or JSON, by its suffix): file, window (from 0), start_s, end_s (seconds from
  the first frame), label, face_share (of the window's frames), `probability_<class>` a class.
  Beside it `<out>.rejects.<suffix>` has all that could not be used: file, window, start_s, end_s,
  reason; window is null for a whole file. `--out -`: the table of predictions as CSV on stdout,
  and all that is said on stderr.
- `--out-overlays`: each video again, with the face's box, the top class over time, and the patches
  that speak for that class (`dfer.analysis.relevance.relevance`). Without sound.
- `--out-strips`: a PNG a window: its T frames with the same heat map, and all probabilities.

While it works, a line on stderr says every few seconds how far it is. A file that cannot be used
ends nothing; what was found is written also where the run ends early. A name that is not UTF-8 is
written with its bytes: caf\\xe9.mp4.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import cv2

from dfer.arguments import positive
from dfer.clips.media import refused
from dfer.clips.progress import Progress
from dfer.errors import UserError, stage
from dfer.files import NAME_MAX, check_writable, printable
from dfer.predict.clip import Wanted, predict_clip
from dfer.predict.footage import Clip, find_clips
from dfer.predict.run import check_run, landmark_settings, open_faces, open_run
from dfer.predict.tables import PIPE, as_csv, check_suffix, rejects_path, write_tables


def usable(paths: Iterable[Path]) -> tuple[list[Clip], list[tuple[Path, str]]]:
    """As `find_clips`; what the file system refuses is one of those that are not used.

    Raises:
        UserError: as `find_clips`.
    """
    clips: dict[Clip, None] = {}
    unused: list[tuple[Path, str]] = []
    for path in paths:
        try:
            found, aside = find_clips([path])
        except OSError as error:
            unused.append((path, str(refused(path, error))))
        else:
            clips.update(dict.fromkeys(found))
            unused += aside
    return list(clips), unused


def output_names(clips: Sequence[Clip]) -> list[str]:
    """A file name without suffix for each clip: its own, numbered where it is taken.

    It is cut where a window's number and a suffix behind it would make it too long.
    """
    names: list[str] = []
    for clip in clips:
        path = clip.path.resolve()
        own = path.stem if clip.media == "video" else path.name
        while len(os.fsencode(own)) > NAME_MAX - len("-999-999999.png"):
            own = own[:-1]
        name, number = own, 1
        while name in names:
            number += 1
            name = f"{own}-{number}"
        names.append(name)
    return names


def check_outputs(
    wanted: Wanted, out: Path | None, clips: Sequence[Clip], names: Sequence[str]
) -> None:
    """Find out before the work whether its results can be written, and over no clip.

    Raises:
        UserError: one cannot be.
    """
    wanted.check_apart(clips, names)
    outputs = [] if out in (None, PIPE) else [out, rejects_path(out)]
    for folder, suffix in ((wanted.overlays, ".mp4"), (wanted.strips, "-000.png")):
        if folder is not None:
            outputs += [folder / f"{name}{suffix}" for name in names[:1]]
    for path in outputs:
        check_writable(path)
    if out is not None:
        check_suffix(out)


def counted(number: int, thing: str) -> str:
    """A number of things, for the print-out."""
    return f"{number} {thing}{'s' * (number != 1)}"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("clips", nargs="+", type=Path, help="videos, folders of videos, folders of images")
    run = top.add_mutually_exclusive_group(required=True)
    run.add_argument(
        "--run", help="a trained run: its folder, a folder or zip of `dfer export`, or user/name"
    )
    run.add_argument("--onnx", help="the same with a model.onnx, or that file; needs no torch")
    add(
        "--landmark-settings",
        help="JSON: backend and how it follows a face; left out: as for the run's dataset",
    )
    add("--window", type=float, default=4.0, help="seconds that are classified as one")
    add("--stride", type=float, help="seconds between windows; left out: as long as a window")
    add("--threads", type=positive, default=1, help="threads to compute with")
    add("--out", type=Path, help="output (a row a window: .parquet, .csv, .json; -: CSV on stdout)")
    add("--out-overlays", type=Path, help="output (folder, an annotated video a clip)")
    add("--out-strips", type=Path, help="output (folder, a picture a window)")
    return top


def main(args: argparse.Namespace) -> None:
    """Predict, print and write; fail only where nothing can be predicted at all.

    Raises:
        UserError: a wrong argument, no such run or file, or no window could be predicted.
    """
    stdout = sys.stdout
    with redirect_stdout(sys.stderr if args.out == PIPE else stdout):
        cv2.setNumThreads(1)
        stride = args.window if args.stride is None else args.stride
        if not 0 < stride <= args.window:
            raise UserError(
                f"--window {args.window:g} --stride {stride:g}: give seconds above 0, and a stride "
                "no longer than a window, so that every frame is in one."
            )
        clips, unused = usable(args.clips)
        names = output_names(clips)
        wanted = Wanted(args.window, stride, args.out_overlays, args.out_strips)
        check_outputs(wanted, args.out, clips, names)
        source = args.run or args.onnx
        run = open_run(source, onnx=args.onnx is not None, threads=args.threads)
        check_run(run, source, wanted)

        print(
            f"{run.settings.key}, trained on {run.dataset}, fold {run.fold}, "
            f"seed {run.seed}: {', '.join(run.classes)}"
        )
        if run.synthetic:
            print("It was trained on rendered faces: what it says of real ones means nothing.")
        landmarks = landmark_settings(run, args.landmark_settings)
        backend = open_faces(landmarks)
        for path, reason in unused:
            print(printable(f"\n{path}: not used: {reason}"), flush=True)
        rows: list[tuple] = []
        rejects: list[tuple] = [(str(path), None, None, None, reason) for path, reason in unused]
        passes = 4 if wanted.overlays else 3  # follow, cut out, classify, draw
        progress = Progress("predict", len(clips), passes)
        try:
            for clip, name in zip(clips, names, strict=True):
                outcome = predict_clip(run, clip, name, backend, landmarks, wanted, progress)
                print(
                    printable("\n".join([f"\n{clip.path}: {outcome.lines[0]}", *outcome.lines[1:]]))
                )
                rows += outcome.rows
                rejects += outcome.rejects
                progress.done()
        finally:  # a full disk, or Ctrl-C, loses nothing that was found
            if args.out == PIPE:
                stdout.write(as_csv(rows, run.classes))
            elif args.out:
                write_tables(args.out, rows, rejects, run.classes)

        files = sum(window is None for _, window, *_ in rejects)
        predicted = len({file for file, *_ in rows})
        print(
            f"\nPredicted: {counted(len(rows), 'window')} of {counted(predicted, 'clip')}. "
            f"Not used: {counted(files, 'file')}, {counted(len(rejects) - files, 'window')}."
        )
        if not rows:
            file, *_, reason = rejects[0]
            more = f" (and {len(rejects) - 1} more, see above)" if len(rejects) > 1 else ""
            raise UserError(printable(f"nothing could be predicted. {file}: {reason}{more}"))


if __name__ == "__main__":
    stage(main, parser())
