"""Harm files at random: what reads them gives the right result, a clear error or a listed reject.

    python tests/fuzz.py --cases 200                    so many of each kind, from a random seed on
    python tests/fuzz.py --kinds mp4 --seed 7 --cases 1           a case that failed, again

Videos, folders of images, lists of labels, tables, shards, features, checkpoints, states of
trainings and files of studies are flipped, cut, swapped, extended and emptied. Each case is read in
a process of its own, with a limit of time and of memory. Formats without checksums cannot tell all
harm from content: then another result of the right form is right, too.
"""

import argparse
import hashlib
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from numbered import encode, field_coded, numbered
from PIL import Image
from small_run import small_run

import dfer.clips.video
from dfer.clips.media import ClipError
from dfer.clips.shard import REJECTS_SCHEMA, read_shard
from dfer.clips.store import ClipStore, ShardWriter
from dfer.clips.video import Frames
from dfer.datasets import layouts
from dfer.datasets.consistency import check
from dfer.datasets.release import CLIP_COLUMNS
from dfer.errors import UserError
from dfer.faces.similarity import transforms
from dfer.files import write_parquet, write_text
from dfer.models.checkpoint import load_run, save_run
from dfer.models.sealed import save_sealed
from dfer.prepare import splits
from dfer.prepare.align import LANDMARKS_SCHEMA
from dfer.prepare.extract import read_landmarks
from dfer.prepare.manifest import FOLD_SCHEMA, MANIFEST_SCHEMA
from dfer.settings import RunSettings
from dfer.training.loop import HISTORY
from dfer.training.state import read_state, write_state
from dfer.training.test_set import tested_clips
from dfer.training.text import read_features
from dfer.training.train import read_clips
from dfer.tuning.best import report, table
from dfer.tuning.replay import replay
from dfer.tuning.study import Study, Trial, read_trials, write_trial
from dfer.tuning.suggest import read_asked
from dfer.tuning.trial import trained_already

SECONDS = 60  # for one file, on a busy machine
MEMORY = 4 << 30  # bytes that reading may take, as addresses, above what the process has
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1)
CLASSES = {"happy": "happiness", "sad": "sadness"}

Result = Iterator[bytes]


@dataclass(frozen=True)
class Kind:
    """Files of one kind.

    Attributes:
        make: writes whole files into a folder.
        read: reads them, as the project does, and yields what it got.
        harm: pattern of the files that are harmed.
        named: which files a message may name, by their path; None: the harmed one.
        exact: whether its checksums tell harm from content, so that no other result is right.
    """

    make: Callable[[Path], None]
    read: Callable[[Path], Result]
    harm: str = "*"
    named: Callable[[Path], list[str]] | None = None
    exact: bool = False


# ── Videos and images ───────────────────────────────────────────────────────────────────────────


def _video(suffix: str, codec: str, **options) -> Kind:
    def make(folder: Path) -> None:
        frames = [numbered(number) for number in range(12)]
        encode(folder / f"clip.{suffix}", frames, codec=codec, **options)

    return Kind(make, lambda folder: _frames(folder / f"clip.{suffix}"))


def _frames(path: Path, media: str = "video") -> Result:
    dfer.clips.video.TIME_LIMIT = 10.0
    frames, count = Frames(path, media), 0
    for frame in frames:
        assert frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3 and frame.size
        yield repr(frame.shape).encode() + frame.tobytes()
        count += 1
    assert count and frames.lost >= 0 and isinstance(frames.described(), str)
    yield str(frames.lost).encode()


def _make_fields(folder: Path) -> None:
    field_coded(folder / "clip.ts", 8)


def _make_images(folder: Path) -> None:
    for number in range(8):
        suffix = ("jpg", "png", "bmp", "webp")[number // 2]
        (folder / "clip").mkdir(exist_ok=True)
        Image.fromarray(numbered(number)).save(folder / f"clip/{number}.{suffix}")


def _read_images(folder: Path) -> Result:
    # One of 8 is more than may be lost: then the folder is named.
    yield from _frames(folder / "clip", "frames")


# ── Lists of labels ─────────────────────────────────────────────────────────────────────────────

LISTED = [(f"{number:05d}", ("happy", "sad")[number % 2]) for number in range(1, 21)]


def _make_csv(folder: Path) -> None:
    lines = [f"c{clip},v/{clip}.mp4,{label},{int(clip) // 2 % 2 + 1},s" for clip, label in LISTED]
    write_text("\n".join(["clip,path,label,fold,subject", *lines]), folder / "labels.csv")


def _make_dfew(folder: Path) -> None:
    (folder / "Clip/original").mkdir(parents=True)
    codes = {"happy": 1, "sad": 2}
    for split, rows in (("train", LISTED[:12]), ("test", LISTED[12:])):
        lines = [f"{clip},{codes[label]}" for clip, label in rows]
        place = folder / f"EmoLabel_DataSplit/{split}(single-labeled)/set_1.csv"
        write_text("\n".join(["video_name,label", *lines]), place)


def _make_ferv39k(folder: Path) -> None:
    (folder / "2_ClipsforFaceCrop/Action").mkdir(parents=True)
    for split, rows in (("train", LISTED[:12]), ("test", LISTED[12:])):
        lines = [f"Action/{label.title()}/{clip} {label.title()}" for clip, label in rows]
        write_text("\n".join(lines), folder / f"4_setups/All_scenes/{split}_All.csv")


def _make_mafw(folder: Path) -> None:
    (folder / "data/clips").mkdir(parents=True)
    words = {"happy": "happiness", "sad": "sadness"}
    for split, rows in (("train", LISTED[:12]), ("test", LISTED[12:])):
        lines = [f"{clip}.mp4 {words[label]}" for clip, label in rows]
        place = folder / f"Train & Test Set/single/no_caption/set_1/{split}.txt"
        write_text("\n".join(lines), place)


def _lists(layout: str, source: str, make: Callable[[Path], None], words: list[str]) -> Kind:
    def read(folder: Path) -> Result:
        release = layouts.read(layout, folder, source)
        try:
            check(release.clips, release.folds, dict.fromkeys(words) | {w: w for w in words})
        except UserError as error:
            raise UserError(f"{folder}: {error}") from None
        for path in release.clips.path:
            inside = os.path.normpath(folder / path)
            assert inside.startswith(f"{folder}/") and "\0" not in path
        write_parquet(
            release.clips.sort_values("clip"), folder / "manifest.parquet", MANIFEST_SCHEMA
        )
        yield (folder / "manifest.parquet").read_bytes()
        yield release.folds.to_csv().encode()

    return Kind(make, read, named=lambda path: [path.name, "case"])


# ── Tables ──────────────────────────────────────────────────────────────────────────────────────


def _make_shard_list(folder: Path) -> None:
    rows = [(f"c{clip}", f"v/{clip}.mp4", "video", label, None) for clip, label in LISTED]
    table = pd.DataFrame(rows, columns=CLIP_COLUMNS)
    write_parquet(table, folder / "0.parquet", MANIFEST_SCHEMA)


def _read_shard_list(folder: Path) -> Result:
    for clip, path, media in read_shard(folder / "0.parquet", folder).itertuples(index=False):
        assert os.path.normpath(folder / path).startswith(f"{folder}/") and "\0" not in path
        yield f"{clip} {path} {media}".encode()


def _make_fold(folder: Path) -> None:
    rows = [
        (f"c{clip}", "train" if number < 16 else "test", label, None)
        for number, (clip, label) in enumerate(LISTED)
    ]
    write_parquet(pd.DataFrame(rows, columns=FOLD_SCHEMA.names), folder / "1.parquet", FOLD_SCHEMA)
    rejects = pd.DataFrame(
        [("c00001", "v/00001.mp4", "align", "no face")], columns=REJECTS_SCHEMA.names
    )
    write_parquet(rejects, folder / "0.rejects.parquet", REJECTS_SCHEMA)


def _read_fold(folder: Path) -> Result:
    arguments = ["--rejects", str(folder / "0.rejects.parquet"), "--out", str(folder / "rejects")]
    splits.main(splits.parser().parse_args(["rejects", *arguments]))
    arguments = ["--fold-list", str(folder / "1.parquet"), "--rejects", str(folder / "rejects")]
    arguments += ["--fold", "1", "--out", str(folder / "out")]
    splits.main(splits.parser().parse_args(["fold", *arguments]))
    yield (folder / "out").read_bytes()


def _make_splits(folder: Path) -> None:
    rows = [
        (1, "train" if number < 16 else "test", f"c{clip}", label, None, number < 4)
        for number, (clip, label) in enumerate(LISTED)
    ]
    table = pd.DataFrame(rows, columns=splits.SPLITS.names)
    write_parquet(table, folder / "1.parquet", splits.SPLITS)


def _read_splits(folder: Path) -> Result:
    path, store = folder / "1.parquet", ClipStore([])
    values = {"backbone": {"model": str(TINY), "weights": None}, "train": {"checkpoint": "val"}}
    settings = RunSettings.from_dict(values)
    given = {"classes": list(CLASSES), "fold": 1, "seed": 0}
    data, monitor = read_clips(path, store, settings, **given)
    tested = tested_clips(small_run(), path, [])
    for clips in (data, monitor, tested):
        assert all(isinstance(label, int) for label in clips.labels)
        yield repr((clips.clips, clips.labels)).encode()


def _make_landmarks(folder: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        (f"c{clip}", frame, 0, 0, 9, 9, 0.5, rng.random(136) if frame else None, "detected", "PyAV")
        for clip, _ in LISTED
        for frame in range(4)
    ]
    table = pd.DataFrame(rows, columns=LANDMARKS_SCHEMA.names)
    write_parquet(table, folder / "0.parquet", LANDMARKS_SCHEMA)


def _read_landmarks(folder: Path) -> Result:
    for clip, points in read_landmarks(folder / "0.parquet").items():
        matrices = transforms(points, 224)
        yield clip.encode() + matrices.tobytes()


def _make_predictions(folder: Path) -> None:
    rows = [
        ("mine", "full.0", "", "last", fold, 0, f"c{clip}", label, "happy", 0.1 * fold, -0.3)
        for fold in (1, 2)
        for clip, label in LISTED
    ]
    names = ["dataset", "run", "protocol", "checkpoint", "fold", "seed"]
    names += ["clip", "label", "prediction"]
    table = pd.DataFrame(rows, columns=[*names, "logit_happy", "logit_sad"])
    write_parquet(table, folder / "predictions.parquet")


def _read_predictions(folder: Path) -> Result:
    from dfer.tables import summary

    arguments = ["--predictions", str(folder / "predictions.parquet"), "--out", str(folder / "out")]
    summary.main(summary.parser().parse_args(arguments))
    yield (folder / "out").read_bytes()


# ── Shards, features, checkpoints, states ───────────────────────────────────────────────────────


def _make_store(folder: Path) -> None:
    with ShardWriter(folder / "0.arrow") as writer:
        for number in range(6):
            writer.add(f"c{number}", [numbered(number + i)[:64, :64] for i in range(4)])


def _read_store(folder: Path) -> Result:
    store = ClipStore([folder / "0.arrow"])
    for clip in store.clips:
        frames = store.frames(clip, range(store.length(clip)))
        assert frames.dtype == np.uint8 and frames.ndim == 4 and frames.shape[3] == 3
        yield clip.encode() + frames.tobytes()


def _make_text(folder: Path) -> None:
    torch.manual_seed(0)
    save_sealed({}, {"features": torch.randn(2, 32)}, folder / "text.safetensors")


def _read_text(folder: Path) -> Result:
    features = read_features(folder / "text.safetensors", 2)
    assert features.dtype == torch.float32 and features.ndim == 2
    yield features.numpy().tobytes()


def _make_checkpoint(folder: Path) -> None:
    save_run(small_run(), folder / "checkpoint.safetensors")


def _read_checkpoint(folder: Path) -> Result:
    run = load_run(folder / "checkpoint.safetensors")
    for name, values in run.model.state_dict().items():
        yield name.encode() + values.numpy().tobytes()
    yield repr((run.settings, run.classes, run.words, run.fold, run.seed)).encode()
    size, frames = run.image_size, run.settings.model.frames
    with torch.inference_mode():
        logits = run.model(run.normalise(torch.zeros(1, frames, 3, size, size, dtype=torch.uint8)))
    assert logits.shape == (1, len(run.classes))


def _make_state(folder: Path) -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(8, 4)
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 8)).sum().backward()
    optimiser.step()
    row = {"epoch": 1, "split": "val", "loss": 1.0, "uar": 50.0, "war": 50.0, "lr": 1e-3}
    write_state(
        folder / "state.pt",
        fingerprint="f",
        epoch=1,
        model=model.state_dict(),
        optimiser=optimiser.state_dict(),
        history=[row],
        best={"war": 50.0, "epoch": 1, "model": model.state_dict()},
    )


def _read_state(folder: Path) -> Result:
    """A state that cannot be read is no error: the training starts anew."""
    state = read_state(folder / "state.pt", "f", "case")
    if state is None:
        raise UserError("state.pt: the training starts anew")
    model = torch.nn.Linear(8, 4)
    optimiser = torch.optim.AdamW(model.parameters())
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    model.load_state_dict(state["best"]["model"])
    yield repr((state["epoch"], state["history"], state["best"]["war"])).encode()


# ── Studies ─────────────────────────────────────────────────────────────────────────────────────

STUDY = Study(
    name="lr",
    dataset="mine",
    fold=1,
    seed=0,
    width=1,
    objectives=("uar",),
    space={"train.lr": {"name": "FloatDistribution", "low": 1e-4, "high": 1e-2, "log": True}},
    sampler={"name": "TPESampler"},
    pruner={"name": "NopPruner"},
    settings=json.loads(json.dumps(asdict(RunSettings()))),
)


def _make_trials(folder: Path) -> None:
    for number in range(3):
        parameters = {"train.lr": 1e-3 * (number + 1)}
        trial = Trial(number, parameters, "COMPLETE", [50.0 + number], [40.0, 50.0], {}, "")
        write_trial(trial, STUDY, folder / f"{number}.0.json")


def _read_trials(folder: Path) -> Result:
    trials = read_trials(sorted(folder.glob("*.json")), STUDY)
    replay(STUDY, trials).ask()
    rows = table(trials, STUDY)
    write_parquet(rows.to_pandas(), folder / "trials.parquet", rows.schema)
    yield yaml.safe_dump(report(trials, STUDY)).encode()


def _make_asked(folder: Path) -> None:
    record = {"study": STUDY.to_dict(), "asked": [{"train.lr": 1e-3}]}
    write_text(json.dumps(record, indent=1), folder / "1.json")


def _read_asked(folder: Path) -> Result:
    (parameters,) = read_asked(folder / "1.json", STUDY)
    yield STUDY.trial_settings(parameters).to_json().encode()


def _make_record(folder: Path) -> None:
    record = {"dataset": "mine", "fold": 1, "environment": {"device": "CPU", "host": "a"}}
    write_text(json.dumps(record), folder / "run.json")
    rows = [(1, "val", 1.0, 50.0, 50.0, 1e-3, True)]
    table = pd.DataFrame(rows, columns=HISTORY.names)
    write_parquet(table, folder / "history.parquet", HISTORY)


def _read_record(folder: Path) -> Result:
    """A run that cannot be read is no error: the trial is trained."""
    history = trained_already(folder, {"dataset": "mine", "fold": 1}, {"device": "CPU"})
    if history is None:
        raise UserError("run.json, history.parquet: the trial is trained")
    yield repr([[row[name] for name in HISTORY.names] for row in history]).encode()


def _make_best(folder: Path) -> None:
    trial = Trial(0, {"train.lr": 1e-3}, "COMPLETE", [50.0], [40.0, 50.0], {}, "")
    write_text(yaml.safe_dump(report([trial], STUDY)), folder / "best.yaml")


def _read_best(folder: Path) -> Result:
    from dfer.tuning.study import tuned_settings

    yield tuned_settings(RunSettings(), folder / "best.yaml").to_json().encode()


TINY = Path(__file__).parents[1] / "config/backbone/tiny.json"
KINDS = {
    "mp4": _video("mp4", "libx264", crf="30"),
    "mov": _video("mov", "mpeg4"),
    "mkv": _video("mkv", "libx264", crf="30"),
    "vp8": _video("webm", "libvpx", b="100k"),
    "vp9": _video("webm", "libvpx-vp9", b="100k"),
    "avi": _video("avi", "mpeg4"),
    "mjpeg": _video("avi", "mjpeg", pixels="yuvj420p"),
    "ts": _video("ts", "libx264", crf="30", sound=0.5),
    "mpg": _video("mpg", "mpeg2video"),
    "flv": _video("flv", "flv1"),
    "wmv": _video("wmv", "wmv2"),
    "fields": Kind(_make_fields, lambda folder: _frames(folder / "clip.ts"), "clip.ts"),
    "images": Kind(_make_images, _read_images, "clip/*", lambda path: ["clip"]),
    "csv": _lists("csv", "video", _make_csv, ["happy", "sad"]),
    "dfew": _lists("dfew", "video", _make_dfew, ["happy", "sad"]),
    "ferv39k": _lists("ferv39k", "crops", _make_ferv39k, ["happy", "sad"]),
    "mafw": _lists("mafw", "video", _make_mafw, ["happiness", "sadness"]),
    "shard_list": Kind(_make_shard_list, _read_shard_list, exact=True),
    "fold": Kind(_make_fold, _read_fold, exact=True),
    "splits": Kind(_make_splits, _read_splits, exact=True),
    "landmarks": Kind(_make_landmarks, _read_landmarks, exact=True),
    "predictions": Kind(_make_predictions, _read_predictions, exact=True),
    "store": Kind(_make_store, _read_store, exact=True),
    "text": Kind(_make_text, _read_text, exact=True),
    "checkpoint": Kind(_make_checkpoint, _read_checkpoint, exact=True),
    "state": Kind(_make_state, _read_state, exact=True),
    "trials": Kind(_make_trials, _read_trials),
    "asked": Kind(_make_asked, _read_asked),
    "record": Kind(_make_record, _read_record),
    "best": Kind(_make_best, _read_best),
}


# ── Harm ────────────────────────────────────────────────────────────────────────────────────────


def harmed(data: bytes, draw: random.Random) -> tuple[bytes, str]:
    """The bytes with some harm, and its name."""
    if not data:
        return draw.randbytes(8), "extended"
    name = draw.choice(list(HARM))
    return HARM[name](bytearray(data), draw), name


def _place(data: bytes, draw: random.Random) -> int:
    """A place in the file; headers and footers more often than their share."""
    size = len(data)
    near = draw.randrange(min(size, 512))
    return draw.choice((draw.randrange(size), draw.randrange(size), near, size - 1 - near))


def _flipped(data: bytearray, draw: random.Random) -> bytes:
    for _ in range(draw.choice((1, 1, 1, 2, 8, 64))):
        data[_place(data, draw)] ^= 1 << draw.randrange(8)
    return bytes(data)


def _spread(data: bytearray, draw: random.Random) -> bytes:
    for at in draw.sample(range(len(data)), max(1, len(data) // 200)):
        data[at] = draw.randrange(256)
    return bytes(data)


def _extreme(data: bytearray, draw: random.Random) -> bytes:
    width, at = draw.choice((1, 2, 4, 8)), _place(data, draw)
    value = draw.choice(EXTREMES) & (1 << 8 * width) - 1
    data[at : at + width] = value.to_bytes(width, draw.choice(("little", "big")))
    return bytes(data)


def _cut(data: bytearray, draw: random.Random) -> bytes:
    return bytes(data[: _place(data, draw)])


def _beheaded(data: bytearray, draw: random.Random) -> bytes:
    return bytes(data[_place(data, draw) :])


def _without(data: bytearray, draw: random.Random) -> bytes:
    at = _place(data, draw)
    del data[at : at + draw.choice((1, 2, 16, 256, len(data) // 4 + 1))]
    return bytes(data)


def _swapped(data: bytearray, draw: random.Random) -> bytes:
    size = draw.choice((1, 8, 64, len(data) // 8 + 1))
    one, other = sorted((_place(data, draw), _place(data, draw)))
    size = min(size, other - one)
    head, tail = data[one : one + size], data[other : other + size]
    data[other : other + size], data[one : one + size] = head, tail
    return bytes(data)


def _zeroed(data: bytearray, draw: random.Random) -> bytes:
    at, size = _place(data, draw), draw.choice((4, 64, len(data) // 8 + 1))
    data[at : at + size] = bytes(min(size, len(data) - at))
    return bytes(data)


def _extended(data: bytearray, draw: random.Random) -> bytes:
    more = (bytes(100), draw.randbytes(100), bytes(data), bytes(data[-64:]), b"9" * 5000)
    return bytes(data) + draw.choice(more)


def _inserted(data: bytearray, draw: random.Random) -> bytes:
    at = _place(data, draw)
    more = (draw.randbytes(4), b"\0", b"9" * 5000, b"x" * 300, b"../", b'"', b"\n", b"{", b"\xff")
    data[at:at] = draw.choice(more)
    return bytes(data)


def _doubled(data: bytearray, draw: random.Random) -> bytes:
    at, size = _place(data, draw), draw.choice((8, 64, len(data) // 4 + 1))
    data[at:at] = data[at : at + size]
    return bytes(data)


def _emptied(data: bytearray, draw: random.Random) -> bytes:
    return b""


def _random(data: bytearray, draw: random.Random) -> bytes:
    return draw.randbytes(min(len(data), 4096))


HARM: dict[str, Callable[[bytearray, random.Random], bytes]] = {
    "flipped": _flipped,
    "flipped here and there": _spread,
    "an extreme number": _extreme,
    "cut": _cut,
    "beheaded": _beheaded,
    "a part left out": _without,
    "swapped": _swapped,
    "zeroed": _zeroed,
    "extended": _extended,
    "inserted": _inserted,
    "doubled": _doubled,
    "emptied": _emptied,
    "random": _random,
}


# ── Cases ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Outcome:
    """What reading gave: "result" (text: its digest), "error" (its message), or a failure."""

    state: str
    text: str


def isolated(work: Callable[[], str], seconds: float = SECONDS) -> Outcome:
    """Call `work` in a process of its own, with limits; it returns a text or raises."""
    ours, theirs = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(ours)
        _child(work, theirs)
    os.close(theirs)
    text, until = b"", time.monotonic() + seconds
    with os.fdopen(ours, "rb", buffering=0) as pipe:
        while select.select([pipe], [], [], max(0, until - time.monotonic()))[0]:
            part = pipe.read(1 << 16)
            if not part:
                break
            text += part
    hung = time.monotonic() >= until
    if hung:
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    with_children(process)
    if hung:
        return Outcome("hang", f"no end in {seconds} s")
    state, _, message = text.decode(errors="replace").partition("\n")
    if status or not state:
        return Outcome("crash", f"status {status}")
    return Outcome(state, message)


def with_children(process: int) -> None:
    """End what a case has left running: it had a session of its own."""
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def _child(work: Callable[[], str], pipe: int) -> None:
    """Work, write what came of it, and end without any clean-up of the parent's."""
    try:
        os.setsid()
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            text = f"result\n{work()}"
        except (UserError, ClipError) as error:
            text = f"error\n{error}"
        except BaseException:
            text = f"traceback\n{traceback.format_exc()[-3000:]}"
        data = text.encode(errors="replace")
        while data:
            data = data[os.write(pipe, data) :]
    finally:
        os._exit(0)


def digest(parts: Result) -> str:
    """A digest of what was read."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()


class Fuzz:
    """Cases of one kind; all that is random comes from the kind's name and a case's seed."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.kind, self.whole = name, KINDS[name], folder / name
        self.whole.mkdir()
        made = isolated(lambda: self.kind.make(self.whole) or "")
        assert made.state == "result", f"{name}: {made}"
        self.case = folder / f"of {name}" / "case"
        self.files = sorted(p for p in self.whole.rglob(self.kind.harm) if p.is_file())
        self.right = self.read()
        assert self.right.state == "result", f"{name}, unharmed: {self.right}"
        assert self.read() == self.right, f"{name}, unharmed: two results"

    def read(self, file: Path | None = None, data: bytes = b"") -> Outcome:
        """Read the files, one of them with other bytes, in a process of its own."""
        shutil.rmtree(self.case, ignore_errors=True)
        shutil.copytree(self.whole, self.case)
        if file is not None:
            (self.case / file.relative_to(self.whole)).write_bytes(data)
        return isolated(lambda: digest(self.kind.read(self.case)))

    def attempt(self, seed: int) -> str:
        """One case: what it came to. Fails with all that is needed to repeat it."""
        draw = random.Random(f"{self.name} {seed}")
        file = draw.choice(self.files)
        data, harm = harmed(file.read_bytes(), draw)
        outcome = self.read(file, data)
        names = self.kind.named(file) if self.kind.named else [file.name]
        if outcome.state == "error" and any(name in outcome.text for name in names):
            return "a clear error"
        if outcome == self.right:
            return "the same"
        if outcome.state == "result" and not self.kind.exact:
            return "another result"
        if outcome.state == "error":
            outcome = Outcome("an error that names no file", outcome.text)
        if outcome.state == "result":
            outcome = Outcome("another result in spite of checksums", "")
        raise Failed(
            f"{outcome.state}: {file.relative_to(self.whole)} {harm}, again with\n"
            f"  python tests/fuzz.py --kinds {self.name} --seed {seed} --cases 1\n{outcome.text}"
        )


class Failed(AssertionError):
    """A case that came to what no case may come to."""


def main(args: argparse.Namespace) -> None:
    """Try all kinds, print what came of them; exit status 1 if a case failed."""
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in args.kinds:
            fuzz, counts = Fuzz(name, Path(folder)), Counter()
            for seed in range(args.seed, args.seed + args.cases):
                try:
                    counts[fuzz.attempt(seed)] += 1
                except Failed as failure:
                    counts["failed"] += 1
                    print(failure, flush=True)
            failures += counts["failed"]
            print(
                f"{name}: " + ", ".join(f"{n} × {what}" for what, n in sorted(counts.items())),
                flush=True,
            )
    if failures:
        sys.exit(f"{failures} cases failed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=200, help="of each kind")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    main(parser.parse_args())
