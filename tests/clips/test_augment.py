"""Augmentation against torchvision, operation by operation, on pictures of faces."""

import colorsys
import dataclasses

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from skimage import data
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as V

from dfer.clips import augment
from dfer.clips.augment import Maps
from dfer.settings import AugmentSettings

CHANGES = (0.6, 0.8, 1.2, 1.4)


@pytest.fixture(scope="module")
def faces():
    """Five frames (5, 224, 224, 3) uint8 about one face, each a little further to the right."""
    picture = data.astronaut()
    frames = [cv2.resize(picture[:220, x : x + 220], (224, 224)) for x in range(100, 150, 10)]
    return np.stack(frames)


def planes(frames):
    return torch.from_numpy(frames).permute(0, 3, 1, 2)


def pixels(clip):
    return clip.permute(0, 2, 3, 1).numpy()


def on_cpu(frames, maps, size):
    out = np.zeros((len(frames), 3, size, size), np.uint8)
    augment.augment(frames, maps, out)
    return out.transpose(0, 2, 3, 1)


def on_device(frames, maps, size):
    """The device's way, on the CPU."""
    batch = Maps(*(torch.from_numpy(part)[None] for part in maps))
    return pixels(augment.augment_on_device(torch.from_numpy(frames)[None], batch, size)[0])


def coloured(frames, *factors):
    """Colour alone: the crop is the whole frame, which stays at its size."""
    size = frames.shape[1]
    plane = np.array([[0, size], [0, size]], np.float32)
    return on_cpu(frames, Maps(plane, augment.colour_map(*factors)), size)


def difference(ours, others):
    """The largest and the mean absolute difference."""
    apart = np.abs(ours.astype(int) - others.astype(int))
    return apart.max(), apart.mean()


@pytest.mark.parametrize("factor", CHANGES)
def test_brightness_is_torchvisions(faces, factor):
    expected = pixels(V.adjust_brightness(planes(faces), factor))
    assert difference(coloured(faces, factor, 1, 1, 0), expected)[0] <= 1


@pytest.mark.parametrize("factor", CHANGES)
def test_saturation_is_torchvisions(faces, factor):
    expected = pixels(V.adjust_saturation(planes(faces), factor))
    assert difference(coloured(faces, 1, 1, factor, 0), expected)[0] <= 1


@pytest.mark.parametrize("factor", CHANGES)
def test_contrast_of_a_still_is_torchvisions(faces, factor):
    still = faces[:1]
    expected = pixels(V.adjust_contrast(planes(still), factor))
    assert difference(coloured(still, 1, factor, 1, 0), expected)[0] <= 1


@pytest.mark.parametrize(
    ("turn", "mean"), [(-0.2, 0.6), (-0.1, 0.9), (-0.05, 0.5), (0.05, 0.3), (0.1, 1.1), (0.2, 0.5)]
)
def test_hue_of_a_face_is_nearly_torchvisions(faces, turn, mean):
    """Torchvision's own turn moves these pixels by 3 (at 0.05) to 12 (at 0.2) in the mean."""
    expected = pixels(V.adjust_hue(planes(faces), turn))
    assert difference(coloured(faces, 1, 1, 1, turn), expected)[1] < mean


def test_all_changes_of_a_still_are_nearly_torchvisions_in_the_same_order(faces):
    """In the mean over draws of the default amounts; torchvision clamps after each."""
    still, apart = faces[:1], []
    for b, c, s, turn in np.random.default_rng(0).uniform(-1, 1, (20, 4)) * (0.4, 0.4, 0.4, 0.05):
        expected = V.adjust_contrast(V.adjust_brightness(planes(still), 1 + b), 1 + c)
        expected = V.adjust_hue(V.adjust_saturation(expected, 1 + s), turn)
        ours = coloured(still, 1 + b, 1 + c, 1 + s, turn)
        apart.append(difference(ours, pixels(expected))[1])
    assert np.mean(apart) < 2 and np.max(apart) < 6


def test_hue_is_exact_for_colours_of_skin_that_stay_in_a_sixth():
    rng, compared = np.random.default_rng(0), 0
    for turn in np.linspace(-0.5, 0.5, 41):
        for colour in np.sort(rng.random((50, 3)))[:, ::-1]:  # red ≥ green ≥ blue
            hue, saturation, value = colorsys.rgb_to_hsv(*colour)
            sixths = round(6 * turn)
            if 0 <= 6 * (hue + turn) - sixths <= 1:
                expected = colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)
                np.testing.assert_allclose(augment.hue_map(turn) @ colour, expected, atol=1e-9)
                compared += 1
    assert compared > 1000


def test_the_colour_map_is_the_four_changes_in_turn():
    rng = np.random.default_rng(0)
    b, c, s, turn = 1.3, 0.7, 1.2, 0.04
    clip = rng.random((40, 3)) * 255
    mean = clip.mean(axis=0)
    luma = np.array([0.299, 0.587, 0.114])
    x = b * clip
    x = c * x + (1 - c) * (b * mean @ luma)
    x = s * x + (1 - s) * (x @ luma)[:, None]
    x = x @ augment.hue_map(turn).T
    ours = np.c_[clip, np.full(40, mean @ luma)] @ augment.colour_map(b, c, s, turn).T
    np.testing.assert_allclose(ours, x, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("size", [64, 224, 300])
def test_crop_resize_and_flip_are_torchvisions(faces, size):
    plane = np.array([[211, 7], [11, 216]], np.float32)  # mirrored
    expected = V.resized_crop(planes(faces), 11, 7, 205, 204, [size, size], antialias=True)
    expected = pixels(V.horizontal_flip(expected))
    maps = Maps(plane, augment.colour_map(1, 1, 1, 0))
    assert np.array_equal(on_cpu(faces, maps, size), expected)
    assert difference(on_device(faces, maps, size), expected)[0] <= 1


@pytest.mark.parametrize("way", [on_cpu, on_device])
def test_shrinking_does_not_alias(way):
    """Stripes of one pixel become grey, and not other stripes."""
    stripes = np.zeros((1, 90, 90, 3), np.uint8)
    stripes[:, ::2] = 255
    maps = Maps(np.array([[0, 90], [0, 90]], np.float32), augment.colour_map(1, 1, 1, 0))
    inner = way(stripes, maps, 40)[:, 2:-2]
    assert inner.min() > 100 and inner.max() < 155


@pytest.mark.parametrize("size", [64, 224])
def test_a_device_augments_as_the_cpu_does(faces, size):
    settings = AugmentSettings(crop_scale=(0.3, 1.0))
    for seed in range(10):
        maps = augment.draw(settings, 224, 224, np.random.default_rng(seed))
        ours = on_device(faces, maps, size)
        largest, mean = difference(ours, on_cpu(faces, maps, size))
        assert largest <= 3 and mean < 0.5


def test_crops_are_drawn_as_torchvisions_are():
    """Two samples of each number that makes a crop; equal distributions give any p alike."""
    settings = AugmentSettings(crop_scale=(0.5, 1.0), crop_ratio=(0.75, 1.5))
    rng = np.random.default_rng(0)
    image = torch.zeros(3, 100, 150)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        crop = v2.RandomResizedCrop(64, settings.crop_scale, settings.crop_ratio)
        drawn = [crop.make_params([image]) for _ in range(4000)]
    others = np.array([[d["top"], d["left"], d["height"], d["width"]] for d in drawn], float)
    ours = np.array([augment.draw_crop(settings, 100, 150, rng) for _ in range(4000)], float)
    for top, left, height, width in (ours.T,):
        assert (top >= 0).all() and (left >= 0).all()
        assert (top + height <= 100).all() and (left + width <= 150).all()
    for number in (
        lambda t, l, h, w: h * w,  # noqa: E741
        lambda t, l, h, w: np.log(w / h),  # noqa: E741
        lambda t, l, h, w: t / (101 - h),  # noqa: E741
        lambda t, l, h, w: l / (151 - w),  # noqa: E741
    ):
        assert ks_2samp(number(*ours.T), number(*others.T)).pvalue > 0.01


@pytest.mark.parametrize(("height", "width", "ratio"), [(40, 40, (3, 3.1)), (20, 90, (0.5, 1.2))])
def test_where_no_crop_fits_it_is_torchvisions_middle_one(height, width, ratio):
    settings = AugmentSettings(crop_scale=(1.0, 1.0), crop_ratio=ratio)
    crop = v2.RandomResizedCrop(8, settings.crop_scale, settings.crop_ratio)
    expected = crop.make_params([torch.zeros(3, height, width)])
    ours = augment.draw_crop(settings, height, width, np.random.default_rng(0))
    assert ours == tuple(expected[name] for name in ("top", "left", "height", "width"))


def test_amounts_are_torchvisions_ranges():
    """Of many draws, the extremes of each factor: found again from the map of a single change."""
    for name, low, high in (
        ("brightness", 0.5, 1.5),
        ("contrast", 0.5, 1.5),
        ("saturation", 0.5, 1.5),
    ):
        none = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
        settings = AugmentSettings(**none | {name: 0.5})
        rng = np.random.default_rng(1)
        found = [augment.draw(settings, 224, 224, rng).colour for _ in range(300)]
        # brightness and contrast scale all colours, saturation the difference of two channels
        scale = [colour[0, 0] - colour[1, 0] for colour in found]
        assert low <= min(scale) < low + 0.02 and high - 0.02 < max(scale) <= high
    mirrored = [
        np.diff(augment.draw(AugmentSettings(flip=0.2), 224, 224, rng).plane[0])[0] < 0
        for _ in range(500)
    ]
    assert 0.15 < np.mean(mirrored) < 0.25


@pytest.mark.parametrize("way", [on_cpu, on_device])
def test_contrast_is_about_the_grey_of_what_is_cropped(faces, way):
    plane = np.array([[150, 40], [30, 130]], np.float32)
    plain = way(faces, Maps(plane, augment.colour_map(1, 1, 1, 0)), 100)
    grey = (plain @ augment.LUMA).mean()
    changed = way(faces, Maps(plane, augment.colour_map(1, 0.6, 1, 0)), 100)
    np.testing.assert_allclose(changed, 0.6 * plain + 0.4 * grey, atol=1.5)


def test_all_frames_of_a_clip_are_augmented_alike(faces):
    clip = np.repeat(faces[:1], 8, axis=0)
    settings = AugmentSettings()
    maps, other = (augment.draw(settings, 224, 224, np.random.default_rng(s)) for s in (5, 6))
    augmented = on_cpu(clip, maps, 32)
    assert (augmented == augmented[:1]).all()
    assert not np.array_equal(augmented, on_cpu(clip, other, 32))
    assert (clip == faces[:1]).all()


def test_the_ratio_of_dfer_clip_s_crops_is_uniform_and_then_swapped():
    """Half of the crops are wide: uniform in 3/4…4/3, log-uniform would be symmetric without it."""
    settings = AugmentSettings(crop_scale=(0.3, 0.3), crop_ratio=(3 / 4, 4 / 3))
    rng = np.random.default_rng(0)
    ratios = {}
    for law in ("log", "swapped"):
        changed = dataclasses.replace(settings, crop_law=law)
        crops = [augment.draw_crop(changed, 2000, 2000, rng) for _ in range(4000)]
        ratios[law] = np.array([w / h for _, _, h, w in crops])
        assert abs(np.log(ratios[law]).mean()) < 0.02
    mean = np.mean([(r + 1 / r) / 2 for r in np.linspace(3 / 4, 4 / 3, 4001)])
    assert ratios["swapped"].mean() == pytest.approx(mean, abs=0.01)
    assert ratios["swapped"].min() > 3 / 4 - 1e-3 and ratios["swapped"].max() < 4 / 3 + 1e-3


def test_a_clip_is_turned_as_one_about_its_middle():
    frames = np.zeros((2, 41, 41, 3), np.uint8)
    frames[:, 20, 20:] = 255  # from the middle to the right
    turned = frames.copy()
    augment.rotate(turned, 90)  # counter-clockwise, as torchvision and PIL do
    assert (turned[:, :21, 20] == 255).all() and not turned[:, 21:].any()
    assert (turned[0] == turned[1]).all()
    tilted = np.full((1, 41, 41, 3), 255, np.uint8)
    augment.rotate(tilted, 4)
    assert (tilted[0, 0, 0] == 0).all() and (tilted[0, 20, 20] == 255).all()


def test_no_rotation_draws_nothing_more(tiny_store):
    """The runs of recipes without one see what they saw."""
    from dfer.clips.loader import TrainClips
    from dfer.clips.store import ClipStore

    store = ClipStore(sorted(tiny_store[0].glob("*.arrow")))

    def shown(**changes):
        given = {"frames": 8, "size": 32, "augment": AugmentSettings(**changes), "seed": 0}
        return TrainClips(store, ["c0-00"], [0], **given).decode((0, 0))

    (still, maps), (turned, same) = shown(), shown(rotation=30.0)
    assert all(map(np.array_equal, maps, same))
    assert not np.array_equal(still, turned)
