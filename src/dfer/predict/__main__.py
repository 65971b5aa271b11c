"""One's own videos → which expression a trained run sees in them, window by window.

    python -m dfer.predict --run results/demo/runs/<settings>/fold1-seed0 clip.mp4 holiday/ \
        --out predictions.parquet --overlay overlays/ --strip strips/

A video of up to `--window` seconds is classified as one, a longer one in windows of that length,
one every `--stride` seconds. Each window goes the way of a test clip: the same tracker (the largest
face, then the one nearest to it), the same alignment and JPEG coding, T frames from the middles of
T segments; so its logits are those that `dfer.training.evaluate` would give for it. The probabilities are
their softmax, which nobody has calibrated. Set `--landmarks` to those of the run's dataset; a run
that was trained on a release's own face crops expects faces that are cut like those.

Input: video files; folders of videos; folders of images, each one clip without times and so one
window. What a folder counts as is decided by what is in it (`dfer.predict.footage.find_clips`).

- `--out`: file, window (from 0), start_s, end_s (seconds from the first frame), label, face_share
  (of the window's frames), `probability_<class>` a class. Beside it `<out>.rejects.parquet` has all
  that could not be used: file, window, start_s, end_s, reason; window is null for a whole file.
- `--overlay`: each video again, with the face's box, the top class over time, and the patches that
  speak for that class (`dfer.analysis.relevance.relevance`). Without sound.
- `--strip`: a PNG a window: its T frames with the same heat map, and all probabilities.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from dfer.analysis.relevance import relevance, upsample
from dfer.clips.loader import EvaluationClips, evaluation_batches
from dfer.clips.sampling import sample_frames
from dfer.clips.store import ClipStore, ShardWriter
from dfer.clips.video import ClipError, Frames
from dfer.errors import UserError, stage
from dfer.faces.settings import LandmarkSettings, parse
from dfer.faces.similarity import warp
from dfer.faces.track import Backend, track
from dfer.files import write_parquet
from dfer.models.checkpoint import TrainedRun, load_run
from dfer.models.backbone import normaliser
from dfer.predict.footage import (
    Clip,
    Footage,
    Prediction,
    Window,
    cut_windows,
    find_clips,
    frame_times,
)
from dfer.predict.overlay import annotated
from dfer.predict.pictures import write_png, write_video
from dfer.predict.strip import strip
from dfer.prepare.align import open_backend
from dfer.prepare.extract import transforms
from dfer.training import inference
from dfer.training.device import pick_device

FACE = 224  # pixels a side of the store's faces, as the workflow extracts them
SYNTHETIC = ("demo",)  # datasets of rendered faces
RUNS = "results/*/runs/*/*/checkpoint.safetensors"
IMAGES_A_SECOND = 25  # of the overlay of a folder of images
TOP = 3  # classes in the print-out

WHERE = [
    ("file", pa.string()),
    ("window", pa.int32()),
    ("start_s", pa.float64()),
    ("end_s", pa.float64()),
]
REJECTS = pa.schema([*WHERE, ("reason", pa.string())])


def find_checkpoint(path: Path) -> Path:
    """The checkpoint in a run's folder.

    Raises:
        UserError: there is none; the message lists the runs below `results/`.
    """
    checkpoint = path / "checkpoint.safetensors"
    if checkpoint.is_file():
        return checkpoint
    runs = sorted(str(file.parent) for file in Path().glob(RUNS))
    listed = "\n  ".join(["Trained runs here:", *runs]) if runs else "Train one first."
    raise UserError(f"{path}: no trained run (checkpoint.safetensors) in this folder. {listed}")


def follow(clip: Clip, backend: Backend, every: int) -> Footage:
    """Follow the face of a clip from its first frame to its last.

    Raises:
        ClipError: the clip cannot be decoded, or has no face at all.
    """
    frames = Frames(clip.path, clip.media)
    faces = track(frames, backend, every)
    if all(face.found == "missing" for face in faces):
        raise ClipError(f"no face found in any of the {len(faces)} frames.")
    times = frame_times(clip.path, len(faces)) if clip.media == "video" else None
    return Footage(clip, faces, times, frames.lost)


def windows_of(footage: Footage, seconds: float, stride: float) -> list[Window]:
    """The windows of a clip; a folder of images is one, whatever its length."""
    if footage.times is None:
        return [Window(0, 0, len(footage.faces), float("nan"), float("nan"))]
    return cut_windows(footage.times, seconds, stride)


def face_share(footage: Footage, window: Window) -> float:
    """The share of a window's frames that show a face."""
    faces = footage.faces[window.start : window.stop]
    return sum(face.found != "missing" for face in faces) / len(faces)


def reason_against(share: float, least: float) -> str:
    """Why a window that shows a face in this share of its frames is not used; empty if it is."""
    if share == 0:
        return "no face found in any of its frames."
    if share < least:
        return f"a face in only {share:.1%} of its frames, less than min_face_share {least:g}."
    return ""


def chosen_frames(window: Window, count: int) -> np.ndarray:
    """The frames (T,) of the clip that the model sees of a window: the middles of T segments."""
    return window.start + sample_frames(window.stop - window.start, count, None)


def cut_faces(
    footage: Footage, windows: Sequence[Window], count: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Read the clip again and cut out the aligned faces that the model sees.

    A frame without a face is aligned by the nearest frame of its window that has one. No more is
    kept than the faces of windows that are not complete yet.

    Args:
        windows: each with a face somewhere.
        count: T.

    Yields:
        a window's number, and its faces, uint8 RGB (T, FACE, FACE, 3).

    Raises:
        ClipError: the clip has fewer frames than it had when its face was followed.
    """
    wanted: dict[int, list[tuple[int, np.ndarray]]] = defaultdict(list)
    for window in windows:
        points = [face.points for face in footage.faces[window.start : window.stop]]
        matrices = transforms(points, FACE)
        for frame in chosen_frames(window, count).tolist():
            wanted[frame].append((window.number, matrices[frame - window.start]))
    cut: dict[int, list[np.ndarray]] = defaultdict(list)
    for number, frame in enumerate(Frames(footage.clip.path, footage.clip.media)):
        for window, matrix in wanted.pop(number, ()):
            cut[window].append(warp(frame, matrix, FACE))
            if len(cut[window]) == count:
                yield window, np.stack(cut.pop(window))
    if wanted:
        raise ClipError(f"{footage.clip.path.name} has lost frames while it was read.")


def classify(trained: TrainedRun, data: EvaluationClips) -> np.ndarray:
    """Probabilities float64 (windows, classes); no window changes another's numbers."""
    logits = inference.predict(trained.model, data, trained.settings, batch=1, workers=0)
    return logits.double().softmax(dim=1).numpy()


def heat_maps(trained: TrainedRun, data: EvaluationClips, labels: np.ndarray) -> list[np.ndarray]:
    """`relevance` of each window for its label, float32 (T, g, g)."""
    device = next(trained.model.parameters()).device
    normalise = normaliser(trained.settings.backbone, device)
    maps = []
    for (frames, _), label in zip(evaluation_batches(data, 1, 0), labels, strict=True):
        clips = normalise(frames)
        maps.append(relevance(trained.model, clips, torch.tensor([label]))[0].cpu().numpy())
    return maps


def predict(
    trained: TrainedRun,
    footage: Footage,
    windows: Sequence[Window],
    strips: Path | None,
    maps: bool,
) -> list[Prediction]:
    """Classify windows of a clip.

    Args:
        trained: its model on the device to use.
        windows: each with a face somewhere.
        strips: path of the strips to draw, but for `-<window>.png`; None: draw none.
        maps: whether to make heat maps, which strips need.

    Raises:
        ClipError: the clip cannot be read again.
    """
    if not windows:
        return []
    count = trained.settings.model.frames
    with tempfile.TemporaryDirectory() as folder:
        shard = Path(folder) / "faces.arrow"
        with ShardWriter(shard) as writer:
            for number, faces in cut_faces(footage, windows, count):
                writer.add(str(number), faces)
        data = EvaluationClips(
            ClipStore([shard]),
            [str(window.number) for window in windows],
            [0] * len(windows),  # there are no labels
            frames=count,
            size=trained.model.image.config.image_size,
        )
        probabilities = classify(trained, data)
        none = [None] * len(windows)
        heat = heat_maps(trained, data, probabilities.argmax(1)) if maps else none
        predictions = [
            Prediction(window, chosen_frames(window, count), *seen)
            for window, *seen in zip(windows, probabilities, heat, strict=True)
        ]
        for prediction in predictions if strips is not None else ():
            number = prediction.window.number
            faces = data.store.frames(str(number), range(count))
            path = strips.with_name(f"{strips.name}-{number:03}.png")
            draw_strip(path, footage, prediction, faces, trained.classes)
    return predictions


def draw_strip(
    path: Path, footage: Footage, seen: Prediction, faces: np.ndarray, classes: Sequence[str]
) -> None:
    """Write the picture of one window."""
    if footage.times is None:
        captions = [f"image {number + 1}" for number in seen.chosen]
    else:
        captions = [f"{footage.times[number]:.2f} s" for number in seen.chosen]
    heat = upsample(torch.from_numpy(seen.maps), FACE).numpy()
    title = f"{footage.clip.path.name}   {seen.window.text()}   {seen.text(classes, 1)}"
    write_png(path, strip(faces, heat, captions, seen.probabilities, classes, title))


def draw_overlay(
    path: Path, footage: Footage, predictions: Sequence[Prediction], classes: Sequence[str]
) -> None:
    """Write the video with what was seen in it."""
    times = footage.times
    if times is None:
        times = np.arange(len(footage.faces) + 1) / IMAGES_A_SECOND
    write_video(path, annotated(footage, predictions, classes, times), times)


def output_names(clips: Sequence[Clip]) -> list[str]:
    """A file name without suffix for each clip: its own, numbered where it is taken."""
    names: list[str] = []
    for clip in clips:
        path = clip.path.resolve()
        own = name = path.stem if clip.media == "video" else path.name
        number = 1
        while name in names:
            number += 1
            name = f"{own}-{number}"
        names.append(name)
    return names


def described(footage: Footage) -> str:
    """Length of a clip and what was found in it, for the print-out."""
    frames = len(footage.faces)
    found = sum(face.found != "missing" for face in footage.faces)
    length = f"{frames} images" if footage.times is None else f"{footage.times[-1]:.2f} s"
    lost = f"; {footage.lost} more do not decode" if footage.lost else ""
    return f"{length}, a face in {found} of {frames} frames{lost}"


def counted(number: int, thing: str) -> str:
    """A number of things, for the print-out."""
    return f"{number} {thing}{'s' * (number != 1)}"


def write_tables(
    out: Path, rows: list[tuple], rejects: list[tuple], classes: Sequence[str]
) -> None:
    """Write the predictions, and beside them what could not be used."""
    probabilities = [(f"probability_{name}", pa.float64()) for name in classes]
    found = [("label", pa.string()), ("face_share", pa.float64())]
    schema = pa.schema([*WHERE, *found, *probabilities])
    write_parquet(pd.DataFrame(rows, columns=schema.names), out, schema)
    table = pd.DataFrame(rejects, columns=REJECTS.names).astype({"window": "Int32"})
    write_parquet(table, out.with_suffix(".rejects.parquet"), REJECTS)


def work(
    clips: Sequence[Clip],
    trained: TrainedRun,
    landmarks: LandmarkSettings,
    args: argparse.Namespace,
) -> tuple[list[tuple], list[tuple]]:
    """Predict one clip after the other and say so: rows of the two tables that `--out` writes."""
    backend = open_backend(landmarks)
    stride = args.stride or args.window
    rows, rejects = [], []
    for clip, name in zip(clips, output_names(clips), strict=True):
        file = str(clip.path)
        print(f"\n{file}: ", end="", flush=True)
        try:
            footage = follow(clip, backend, landmarks.every)
            windows = windows_of(footage, args.window, stride)
            shares = [face_share(footage, window) for window in windows]
            against = [reason_against(share, landmarks.min_face_share) for share in shares]
            predictions = predict(
                trained,
                footage,
                [window for window, reason in zip(windows, against, strict=True) if not reason],
                strips=args.strip and args.strip / name,
                maps=bool(args.overlay or args.strip),
            )
            if args.overlay:
                draw_overlay(args.overlay / f"{name}.mp4", footage, predictions, trained.classes)
        except ClipError as error:
            rejects.append((file, None, None, None, str(error)))
            print(f"not used: {error}")
            continue
        print(described(footage))
        left = iter(predictions)
        for window, share, reason in zip(windows, shares, against, strict=True):
            where = (file, window.number, window.start_s, window.end_s)
            if reason:
                rejects.append((*where, reason))
                line = f"not used: {reason}"
            else:
                seen = next(left)
                rows.append((*where, trained.classes[seen.label], share, *seen.probabilities))
                line = seen.text(trained.classes, TOP)
            print(f"  {window.text():>20}   {line}")
    return rows, rejects


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("clips", nargs="+", type=Path, help="videos, folders of videos, folders of images")
    add("--run", required=True, type=Path, help="folder of a trained run")
    add("--landmarks", default='{"backend": "dlib"}', help="JSON: settings of dfer.faces.settings")
    add("--window", type=float, default=4.0, help="seconds that are classified as one")
    add("--stride", type=float, help="seconds between windows; left out: as long as a window")
    add("--threads", type=int, default=1)
    add("--out", type=Path, help="output: table of predictions")
    add("--overlay", type=Path, help="output: folder of videos with what was seen in them")
    add("--strip", type=Path, help="output: folder of pictures, one a window")
    return top


def main(args: argparse.Namespace) -> None:
    """Predict, print and write; fail only where nothing can be predicted at all.

    Raises:
        UserError: a wrong argument, no such run or file, or no window could be predicted.
    """
    cv2.setNumThreads(1)
    if args.window <= 0 or not (args.stride is None or 0 < args.stride <= args.window):
        raise UserError(
            f"--window {args.window:g} --stride {args.stride}: give seconds above 0, and a stride "
            "no longer than a window, so that every frame is in one."
        )
    landmarks = parse(args.landmarks)
    clips, aside = find_clips(args.clips)
    checkpoint = find_checkpoint(args.run)
    device = pick_device(args.threads)
    trained = load_run(checkpoint)
    trained.model.to(device)

    print(
        f"{trained.settings.key}, trained on {trained.dataset}, fold {trained.fold}, "
        f"seed {trained.seed}: {', '.join(trained.classes)}"
    )
    if trained.dataset in SYNTHETIC:
        print("It was trained on rendered faces: what it says of real ones means nothing.")
    for path, reason in aside:
        print(f"\n{path}: not used: {reason}")
    rows, rejects = work(clips, trained, landmarks, args)
    rejects = [(str(path), None, None, None, reason) for path, reason in aside] + rejects
    if args.out:
        write_tables(args.out, rows, rejects, trained.classes)

    whole = sum(window is None for _, window, *_ in rejects)
    predicted = len({file for file, *_ in rows})
    print(
        f"\nPredicted: {counted(len(rows), 'window')} of {counted(predicted, 'clip')}. "
        f"Not used: {counted(whole, 'file')}, {counted(len(rejects) - whole, 'window')}."
    )
    if not rows:
        file, *_, reason = rejects[0]
        more = f" (and {len(rejects) - 1} more, see above)" if len(rejects) > 1 else ""
        raise UserError(f"nothing could be predicted. {file}: {reason}{more}")


if __name__ == "__main__":
    stage(main, parser())
