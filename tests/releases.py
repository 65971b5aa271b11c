"""Synthetic dataset releases in the layouts of the real ones.

Lists are random but for the official counts of each fold and class, which `official.json` states;
no real clip has its real label, and every image is noise.
"""

import os
from pathlib import Path

import cv2
import numpy as np
import yaml
from checkout import Checkout

from dfer.check.official import list_hash, load_facts

Lists = dict[tuple[int, str], list[tuple[str, str]]]  # (fold, split) → (clip, label)

CODES = {"happy": 1, "sad": 2, "neutral": 3, "angry": 4, "surprise": 5, "disgust": 6, "fear": 7}
DFEW_CLIPS = 16372  # on disk; the lists have those with a single label
SCENES = ("Action", "Crime", "DailyLife", "School", "War")


def write_jpeg(path: Path, width: int = 224, height: int = 224, seed: int = 0) -> Path:
    """A JPEG of smooth noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([seed]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC))
    return path


def random_lists(dataset: str, seed: int = 0, share: int = 1) -> Lists:
    """Lists with the official counts of every fold, part and class (or 1/`share` of them)."""
    facts, rng = load_facts(dataset), np.random.default_rng([seed])
    folds = {int(fold): parts for fold, parts in facts["folds"].items()}
    tests: Lists = {}
    labels = facts["classes"]
    sizes = {
        (fold, label): max(1, parts["test"]["per_class"][i] // share)
        for fold, parts in folds.items()
        for i, label in enumerate(labels)
    }
    if dataset == "ferv39k":
        trains = {label: max(1, n // share) for label, n in _train_counts(folds[1], labels)}
        clips = {label: trains[label] + sizes[1, label] for label in labels}
        named = {
            label: [
                f"{SCENES[i % len(SCENES)]}/{label.title()}/{i // len(SCENES):04d}"
                for i in rng.permutation(n)
            ]
            for label, n in clips.items()
        }
        cut = {label: sizes[1, label] for label in labels}
        return {
            (1, "train"): [(c, label) for label in labels for c in named[label][cut[label] :]],
            (1, "test"): [(c, label) for label in labels for c in named[label][: cut[label]]],
        }
    numbers = iter(rng.permutation(20000)[: sum(sizes.values())] + 1)
    for (fold, label), n in sizes.items():
        tests.setdefault((fold, "test"), []).extend(
            (f"{next(numbers):05d}", label) for _ in range(n)
        )
    trains = {
        (fold, "train"): [row for (k, _), rows in tests.items() if k != fold for row in rows]
        for fold in folds
    }
    return trains | tests


def _train_counts(parts: dict, labels: list[str]) -> list[tuple[str, int]]:
    return list(zip(labels, parts["train"]["per_class"], strict=True))


def facts_of(lists: Lists, classes: list[str], frames: int) -> dict:
    """Facts in the form of `official.json`, true of `lists`; `frames` images a clip."""
    folds: dict[str, dict] = {}
    for (fold, split), rows in sorted(lists.items()):
        clips, labels = zip(*rows, strict=True)
        folds.setdefault(str(fold), {})[split] = {
            "clips": len(rows),
            "per_class": [labels.count(label) for label in classes],
            "frames": frames * len(rows),
            "sha256": list_hash(clips, labels),
        }
    return {"classes": classes, "folds": folds}


def clips_of(lists: Lists) -> list[str]:
    """All ids in the lists, sorted."""
    return sorted({clip for rows in lists.values() for clip, _ in rows})


def fill(folder: Path, clips: list[str], images: list[str], image: Path) -> None:
    """A folder for each clip, with hard links to one image under the given names."""
    for clip in clips:
        target = folder / clip
        target.mkdir(parents=True, exist_ok=True)
        for name in images:
            os.link(image, target / name)


def empty_videos(folder: Path, clips: list[str]) -> None:
    """An empty file `<clip>.mp4` for each clip."""
    folder.mkdir(parents=True, exist_ok=True)
    for clip in clips:
        (folder / f"{clip}.mp4").touch()


def write_dfew_lists(
    root: Path, lists: Lists, folder: str = "{split}(single-labeled)", base: int = 1
) -> None:
    """EmoLabel_DataSplit with its labels from `base` on."""
    for (fold, split), rows in lists.items():
        path = root / "EmoLabel_DataSplit" / folder.format(split=split) / f"set_{fold}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{clip},{CODES[label] - 1 + base}" for clip, label in rows]
        path.write_text("\n".join(["video_name,label", *lines]) + "\n")


def write_ferv39k_lists(root: Path, lists: Lists) -> None:
    """4_setups/All_scenes, without header."""
    for (_, split), rows in lists.items():
        path = root / "4_setups/All_scenes" / f"{split}_All.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{clip} {label.title()}\n" for clip, label in rows))


def write_mafw_lists(root: Path, lists: Lists, folder: str = "Train & Test Set") -> None:
    """The single-label lists without captions."""
    for (fold, split), rows in lists.items():
        path = root / folder / "single/no_caption" / f"set_{fold}" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{clip}.mp4 {label}\n" for clip, label in rows))


def paper_tree(folder: Path) -> Checkout:
    """A checkout whose paper.yaml points to releases of the official size, of empty files."""
    tree = Checkout(folder, config=None)
    roots = {name: tree.folder / "data" / name for name in ("dfew", "ferv39k", "mafw")}
    dfew, ferv39k, mafw = (random_lists(name) for name in roots)
    write_dfew_lists(roots["dfew"], dfew)
    listed = clips_of(dfew)
    others = sorted({f"{number:05d}" for number in range(1, 20001)} - set(listed))
    everything = listed + others[: DFEW_CLIPS - len(listed)]
    fill(roots["dfew"] / "Clip/clip_224x224", everything, [], tree.folder)
    write_ferv39k_lists(roots["ferv39k"], ferv39k)
    fill(roots["ferv39k"] / "2_ClipsforFaceCrop", clips_of(ferv39k), [], tree.folder)
    write_mafw_lists(roots["mafw"], mafw)
    empty_videos(roots["mafw"] / "data/clips", clips_of(mafw))
    path = tree.folder / "config/paper.yaml"
    config = yaml.safe_load(path.read_text())
    for name, root in roots.items():
        config["datasets"][name]["root"] = str(root)
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return tree
