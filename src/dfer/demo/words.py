"""What words mean to the demo's small CLIP: zero-shot recognition, retrieval, and which are near.

    python -m dfer.demo.words --backbone '{"model": "config/backbone/demo.json", "weights": …}'
        --splits results/demo/splits/1.parquet --store results/demo/store/*.arrow
        --stills-splits results/demo-stills/splits/1.parquet
        --stills-store results/demo-stills/store/*.arrow --captions captions.csv
        --out-measures measures.parquet --out-cosines cosines.parquet

No model is trained here. A clip is the mean of its frames' features and is taken for the class
whose text is nearest. The measures are tidy: of (the demo's clips, or the held-out people's
stills), measure, texts, value in %, chance in %, and how many images or clips. The cosines are two
maps of the classes: between the features of their words, and between the face units that the
renderer draws them with.
"""

import argparse
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from dfer.clips.augment import resize
from dfer.clips.loader import EvaluationClips, evaluation_batches
from dfer.clips.store import ClipStore
from dfer.demo.dataset import CLASSES
from dfer.demo.expressions import PATTERNS, sided
from dfer.demo.pretrain import read_stills
from dfer.demo.vocabulary import (
    DESCRIPTORS,
    EXPRESSIONS,
    UNSEEN,
    UNSEEN_DESCRIPTORS,
    asserted,
    expression,
)
from dfer.errors import stage
from dfer.files import read_parquet, write_parquet
from dfer.models.backbone import load_backbone, normaliser, pixel_statistics
from dfer.settings import BackboneSettings
from dfer.training.metrics import confusion, uar

FRAMES = 8  # of a clip
BATCH = 32  # clips
AMONG = 64  # captions that one is found among, or as many as there are

# Name → a text a class, in class order.
TEXTS = {
    "class words": [EXPRESSIONS[label][0] for label in CLASSES],
    "class words, other phrasing": [UNSEEN[f"called.{label}"] for label in CLASSES],
    "descriptors": [DESCRIPTORS[label] for label in CLASSES],
    "descriptors, other phrasing": [UNSEEN_DESCRIPTORS[label] for label in CLASSES],
}


@torch.inference_mode()
def text_features(clip: open_clip.CLIP, texts: Sequence[str]) -> Tensor:
    """(texts, D) of unit length."""
    tokens = SimpleTokenizer(context_length=clip.context_length)(list(texts))
    return F.normalize(clip.encode_text(tokens), dim=-1)


@torch.inference_mode()
def features_of_clips(clip: open_clip.CLIP, data: EvaluationClips, normalise) -> Tensor:
    """(clips, D) of unit length: means over the frames."""
    found = [
        clip.encode_image(normalise(frames).flatten(0, 1)).unflatten(0, (len(frames), -1)).mean(1)
        for frames, _ in evaluation_batches(data, BATCH, workers=0)
    ]
    return F.normalize(torch.cat(found), dim=-1)


def zero_shot(images: Tensor, texts: Tensor, labels: Sequence[int]) -> float:
    """UAR in % of the nearest text as prediction."""
    found = (images @ texts.t()).argmax(1).numpy()
    return uar(confusion(np.array(labels), found, len(texts)))


def retrieval(
    images: Tensor, texts: Tensor, true: np.ndarray, among: int, seed: int
) -> tuple[float, float, float]:
    """How often the nearest of `among` is right, in %: captions of images, the reverse, chance.

    Args:
        images, texts: (n, D) of unit length, one caption an image.
        true: (n, n) bool, whether a caption (column) is true of an image (row): any such is right.
    """
    order = np.random.default_rng(seed).permutation(len(images))
    groups = [order[i : i + among] for i in range(0, len(order) - among + 1, among)]
    cosines = (images @ texts.t()).numpy()
    captions, pictures, chance = [], [], []
    for group in groups:
        near, right = cosines[np.ix_(group, group)], true[np.ix_(group, group)]
        rows = np.arange(len(group))
        captions.append(right[rows, near.argmax(1)].mean())
        pictures.append(right[near.argmax(0), rows].mean())
        chance.append(right.mean())
    return tuple(100 * float(np.mean(values)) for values in (captions, pictures, chance))


def cosines(vectors: np.ndarray, name: str) -> pd.DataFrame:
    """A map of the classes: the cosine of each pair of rows of `vectors`."""
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
    table = units @ units.T
    pairs = product(enumerate(CLASSES), repeat=2)
    rows = [(name, one, other, float(table[i, j])) for (i, one), (j, other) in pairs]
    return pd.DataFrame(rows, columns=["map", "one", "other", "cosine"])


def patterns() -> np.ndarray:
    """(classes, units): the face units of each class, the mean over its patterns."""
    means = [
        pd.DataFrame([sided(p) for p in PATTERNS[label]]).fillna(0.0).mean() for label in CLASSES
    ]
    return pd.DataFrame(means).fillna(0.0).sort_index(axis=1).to_numpy()


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--backbone", required=True, help="JSON: model and weights of a CLIP")
    add("--splits", required=True, help="clips of a fold (dfer.prepare.splits)")
    add("--store", nargs="+", required=True, help="shards of the clip store")
    add("--stills-splits", required=True, help="people that the CLIP has seen, and held-out ones")
    add("--stills-store", nargs="+", required=True, help="shards of the stills' store")
    add("--captions", type=Path, required=True, help="what is true of each still")
    add("--seed", type=int, required=True, help="seed of all that is drawn")
    add("--out-measures", required=True, help="output (what the words are worth)")
    add("--out-cosines", required=True, help="output (maps of the classes)")
    return top


def main(args: argparse.Namespace) -> None:
    """Measure and write."""
    torch.set_num_threads(1)  # the number of threads would be in the last bits
    backbone = BackboneSettings(**json.loads(args.backbone))
    clip = load_backbone(backbone.model, backbone.weights)
    normalise = normaliser(pixel_statistics(backbone), torch.device("cpu"))
    size = clip.visual.image_size[0]

    splits = read_parquet(args.splits, ["clip", "label"])
    labels = [CLASSES.index(label) for label in splits.label]
    data = EvaluationClips(
        ClipStore(args.store), splits["clip"].tolist(), labels, frames=FRAMES, size=size
    )
    clips = features_of_clips(clip, data, normalise)

    splits = read_parquet(args.stills_splits, ["clip", "split"])
    held_out = splits["clip"][splits.split == "test"].tolist()
    shown = read_stills(ClipStore(args.stills_store), held_out, args.captions, size)
    stills = torch.from_numpy(resize(shown.pixels, size)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        stills = F.normalize(clip.encode_image(normalise(stills)), dim=-1)
    classes = [CLASSES.index(expression(facts)) for facts in shown.facts]

    rows = []
    for name, texts in TEXTS.items():
        features, chance = text_features(clip, texts), 100 / len(CLASSES)
        for of, images, known in (("clips", clips, labels), ("stills", stills, classes)):
            value = zero_shot(images, features, known)
            rows.append((of, "zero-shot UAR", name, value, chance, len(images)))
    said = list(map(asserted, shown.captions))
    true = np.array([[facts >= says for says in said] for facts in shown.facts])
    among = min(AMONG, len(stills))
    *shares, chance = retrieval(stills, text_features(clip, shown.captions), true, among, args.seed)
    for name, value in zip(("caption of a still", "still of a caption"), shares, strict=True):
        rows.append(("stills", f"{name}, among {among}", "captions", value, chance, len(stills)))
    names = ["of", "measure", "texts", "value", "chance", "count"]
    measures = pd.DataFrame(rows, columns=names)
    write_parquet(measures, args.out_measures)
    words = text_features(clip, TEXTS["class words"]).numpy().astype(np.float64)
    maps = [cosines(words, "class words"), cosines(patterns(), "face units")]
    write_parquet(pd.concat(maps, ignore_index=True), args.out_cosines)
    print(measures.to_string(index=False, float_format=lambda value: f"{value:.1f}"))


if __name__ == "__main__":
    stage(main, parser())
