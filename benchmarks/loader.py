"""Clips a second from one thread, beside the usual practice and a published loader.

Ours reads the packed store: with all of its augmentation where the CPU augments, and as far as a
worker goes where a GPU does (its part is timed apart, here on the CPU). The usual practice is
written below: one JPEG file a frame, PIL, torchvision. `--peer` is a checkout of DFER-CLIP
(github.com/zengqunzhao/DFER-CLIP), whose loader and augmentation (crop, flip, brightness) are run
as they are. All read the same JPEG bytes, in this process, in batches.

    python benchmarks/loader.py --peer ../DFER-CLIP
"""

import argparse
import importlib
import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import torch
from measuring import Measured, by_turns, ratio, report, seconds
from PIL import Image
from skimage import data
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from dfer.clips import augment
from dfer.clips.augment import Maps
from dfer.clips.loader import (
    DecodedBatches,
    EpochBatches,
    EvaluationClips,
    TrainClips,
    evaluation_batches,
    train_batches,
)
from dfer.clips.sampling import sample_frames
from dfer.clips.store import FACE_SIZE, ClipStore, ShardWriter
from dfer.settings import AugmentSettings

CLIPS, LENGTH = 32, 32  # clips, and frames of each
CPU = torch.device("cpu")


def faces(number: int) -> list[np.ndarray]:
    """The frames of a clip: a face that moves a pixel a frame, each clip elsewhere."""
    picture = data.astronaut()
    return [
        cv2.resize(
            picture[number % 8 : 220, 90 + number + k : 310 + number + k],
            (FACE_SIZE, FACE_SIZE),
            interpolation=cv2.INTER_AREA,
        )
        for k in range(LENGTH)
    ]


def write_clips(folder: Path) -> tuple[ClipStore, Path]:
    """A store of clips, and the same JPEGs as files with a list of them, as DFER-CLIP wants it."""
    with ShardWriter(folder / "store.arrow") as writer:
        for number in range(CLIPS):
            writer.add(f"{number:03d}", faces(number))
    shard = pa.ipc.open_file(pa.memory_map(str(folder / "store.arrow"))).read_all()
    lines = []
    for clip, frames in zip(shard["clip"].to_pylist(), shard["frames"].to_pylist(), strict=True):
        (folder / clip).mkdir()
        for number, jpeg in enumerate(frames):
            (folder / clip / f"{number:05d}.jpg").write_bytes(jpeg)
        lines.append(f"{folder / clip} {len(frames)} 1")
    (folder / "clips.txt").write_text("\n".join(lines))
    return ClipStore([folder / "store.arrow"]), folder / "clips.txt"


class UsualClips(Dataset):
    """Clips as most codes of the field read them."""

    def __init__(self, folder: Path, clips: list[str], frames: int, *, training: bool) -> None:
        self.folders, self.frames, self.training = (
            [folder / clip for clip in clips],
            frames,
            training,
        )
        jitter = [
            v2.RandomResizedCrop(FACE_SIZE),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.5),
        ]
        change = jitter if training else [v2.Resize((FACE_SIZE, FACE_SIZE))]
        self.transform = v2.Compose([v2.ToImage(), *change, v2.ToDtype(torch.float32, scale=True)])

    def __len__(self) -> int:
        return len(self.folders)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        files = sorted(os.listdir(self.folders[index]))
        rng = np.random.default_rng() if self.training else None
        chosen = sample_frames(len(files), self.frames, rng)
        images = [Image.open(self.folders[index] / files[k]).convert("RGB") for k in chosen]
        return torch.stack(self.transform(images)), 1


def peers_loaders(checkout: Path, clips: Path, frames: int) -> tuple[Dataset, Dataset]:
    """DFER-CLIP's training and test clips, with its settings for DFEW."""
    sys.path.insert(0, str(checkout))
    module = importlib.import_module("dataloader.video_dataloader")
    with redirect_stdout(sys.stderr):
        settings = Namespace(dataset="DFEW")
        return (
            module.train_data_loader(str(clips), frames, 1, FACE_SIZE, settings),
            module.test_data_loader(str(clips), frames, 1, FACE_SIZE),
        )


def rate(batches: Callable[[], Iterable]) -> float:
    """Clips a second of one pass."""

    def work() -> None:
        for _ in batches():
            pass

    return CLIPS / seconds(work)


def main(args: argparse.Namespace) -> None:
    """Measure, print and write the table."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        store, files = write_clips(Path(folder))
        size = sum(file.stat().st_size for file in Path(folder).glob("*/*.jpg"))
        print(
            f"loader: {size / CLIPS / LENGTH / 1e3:.1f} kB a frame of {FACE_SIZE}² px", flush=True
        )
        measured = measure(args, store, Path(folder), files)
    report("loader", measured, args.out, threads=1)


def measure(
    args: argparse.Namespace, store: ClipStore, folder: Path, files: Path
) -> list[Measured]:
    """All cases and their ratios."""
    frames, batch, ids = args.frames, args.batch, store.clips
    options = {"frames": frames, "size": FACE_SIZE}
    settings = AugmentSettings()
    ours = TrainClips(store, ids, [1] * CLIPS, augment=settings, seed=0, **options)
    tested = EvaluationClips(store, ids, [1] * CLIPS, **options)
    order = EpochBatches(CLIPS, batch, first=0, last=1, seed=0)
    usual = partial(UsualClips, folder, ids, frames)
    by_file = partial(DataLoader, batch_size=batch)

    def decoding() -> Iterable:
        return (store.frames(clip, range(0, LENGTH, LENGTH // frames)) for clip in ids)

    rates = {
        "training, augmented on the CPU": lambda: train_batches(ours, order, CPU),
        "training, decoded for a GPU": lambda: DataLoader(
            DecodedBatches(ours), sampler=order, batch_size=None
        ),
        "decoding alone": decoding,
        "test": lambda: evaluation_batches(tested, batch, 0),
        "usual practice, training": lambda: by_file(usual(training=True), shuffle=True),
        "usual practice, test": lambda: by_file(usual(training=False)),
    }
    if args.peer:
        training, test = peers_loaders(args.peer, files, frames)
        rates["DFER-CLIP, training"] = lambda: by_file(training, shuffle=True)
        rates["DFER-CLIP, test"] = lambda: by_file(test)
    cases = {name: partial(rate, batches) for name, batches in rates.items()}
    cases |= parts(ours)
    values = by_turns(cases, args.rounds)

    under = {"frames": frames, "batch": batch}
    rows = [Measured(name, "clips/s", values[name], **under) for name in rates]
    rows += [
        Measured(name, "ms/clip", values[name], **under) for name in values if name not in rates
    ]
    for other in ["usual practice", *["DFER-CLIP"] * bool(args.peer)]:
        for case in list(rates)[:2]:
            times = ratio(values[case], values[f"{other}, training"])
            rows.append(Measured(f"{case} / {other}", "×", times, **under))
        times = ratio(values["test"], values[f"{other}, test"])
        rows.append(Measured(f"test / {other}", "×", times, **under))
    return rows


def parts(clips: TrainClips) -> dict[str, Callable[[], float]]:
    """What a clip's way consists of, in ms: each alone, over all clips."""
    addresses = [(0, index) for index in range(CLIPS)]
    decoded = [clips.decode(address) for address in addresses]
    out = np.empty((clips.frames, 3, clips.size, clips.size), np.uint8)
    first = DecodedBatches(clips)[addresses[:8]]

    def each(work: Callable[[np.ndarray, Maps], object]) -> Callable[[], float]:
        def all_of_them() -> None:
            for frames, maps in decoded:
                work(frames, maps)

        return lambda: 1e3 * seconds(all_of_them) / CLIPS

    def drawing(frames: np.ndarray, _: Maps) -> None:
        augment.draw(clips.augment, *frames.shape[1:3], np.random.default_rng([0, 1, 2, 3, 4]))

    def resizing(frames: np.ndarray, maps: Maps) -> None:
        (left, right), (top, bottom) = np.sort(maps.plane).astype(int)
        augment.resize(frames[:, top:bottom, left:right], clips.size)

    def augmenting(device: torch.device) -> float:
        frames, maps = first[0].to(device), Maps(*(part.to(device) for part in first[1]))
        wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
        wait()

        def work() -> None:
            augment.augment_on_device(frames, maps, clips.size)
            wait()

        return 1e3 * seconds(work) / len(frames)

    devices = [CPU, *[torch.device("cuda")] * torch.cuda.is_available()]
    return {
        "part: decode and draw": lambda: (
            1e3 * seconds(lambda: [clips.decode(address) for address in addresses]) / CLIPS
        ),
        "part: draw": each(drawing),
        "part: augment on the CPU": each(lambda frames, maps: augment.augment(frames, maps, out)),
        "part: of which crop and resize": each(resizing),
    } | {
        f"part: augment as a GPU does, on {device}": partial(augmenting, device)
        for device in devices
    }


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--peer", type=Path, help="a checkout of DFER-CLIP; none: it is left out")
    add("--frames", type=int, default=8, help="T")
    add("--batch", type=int, default=8, help="clips of a batch")
    add("--rounds", type=int, default=7, help="how often each case is measured")
    add("--out", type=Path, default=Path("results/benchmarks/loader.parquet"), help="the table")
    return top


if __name__ == "__main__":
    main(parser().parse_args())
