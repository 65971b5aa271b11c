"""Test clips: their frames, and pixels that are torch's to the bit though none is loaded."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from dfer.clips import augment
from dfer.clips.evaluation import EvaluationClips
from dfer.clips.planes import planes
from dfer.clips.store import ClipStore


@pytest.fixture(scope="module")
def clip(tiny_store):
    """A store and the id of one of its clips."""
    folder, splits = tiny_store
    return ClipStore(sorted(folder.iterdir())), splits["clip"].iloc[0]


def test_test_clips_are_the_middle_frames(clip):
    store, name = clip
    pixels, label = EvaluationClips(store, [name], [2], frames=4, size=40)[0]
    length = store.length(name)
    middle = [int((k + 0.5) * length / 4) for k in range(4)]
    assert np.array_equal(pixels, store.frames(name, middle).transpose(0, 3, 1, 2))
    assert label == 2


def test_test_clips_are_resized_as_torchvision_does(clip):
    from torchvision.transforms.v2 import functional as V

    store, name = clip
    whole, larger = (
        torch.from_numpy(EvaluationClips(store, [name], [0], frames=4, size=size)[0][0])
        for size in (40, 64)
    )
    assert torch.equal(larger, V.resize(whole, [64, 64], antialias=True))


@pytest.mark.parametrize("shades", ["all", "black and white"])
def test_every_size_gives_the_pixels_that_training_sees(shades):
    """Smaller, larger, by a rest or none, in one direction alone; sums beyond float32, too."""
    rng = np.random.default_rng(0)
    sizes = [(84, 84, 64), (56, 56, 48), (224, 224, 32), (40, 40, 40), (32, 48, 48), (250, 210, 50)]
    sizes += [tuple(map(int, rng.integers(3, 300, 3))) for _ in range(60)]
    for height, width, size in sizes:
        frames = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
        if shades != "all":
            frames = (frames > 127).astype(np.uint8) * 255
        expected = augment.resize(frames, size).transpose(0, 3, 1, 2)
        assert np.array_equal(planes(frames, size), expected), (height, width, size)


def test_they_need_no_torch():
    program = "import sys, dfer.clips.evaluation; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
