"""Shared by the tests: one thread, and a tiny clip store that is cheap to train on."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy or torch read it; inherited by every stage

import numpy as np
import pandas as pd
import pytest

from dfer.clips.store import ShardWriter
from dfer.splits import SPLITS

CLASSES = ["happy", "sad", "neutral"]


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory):
    """A folder with two shards of 36 clips (6–12 frames of 40²) and the `splits` of two folds.

    A clip's class is the place of a bright bar in its frames, so that a small model can learn it.
    """
    folder = tmp_path_factory.mktemp("store")
    rng = np.random.default_rng(0)
    rows = []
    for shard in range(2):
        with ShardWriter(folder / f"{shard}.arrow") as writer:
            for number in range(18):
                label = number % 3
                clip = f"c{shard}-{number:02d}"
                frames = rng.integers(0, 90, (rng.integers(6, 13), 40, 40, 3), dtype=np.uint8)
                frames[:, 4 + 12 * label : 12 + 12 * label] = 230
                writer.add(clip, frames)
                rows.append((clip, CLASSES[label], shard))
    splits = pd.DataFrame(
        [
            (fold, "test" if shard + 1 == fold else "train", clip, label, None, False)
            for fold in (1, 2)
            for clip, label, shard in rows
        ],
        columns=SPLITS.names,
    )
    splits["held_out"] = (splits.split == "train") & splits["clip"].str[-2:].isin(
        ["00", "01", "02"]
    )
    return folder, splits
