"""Random changes of a training clip, the same for all its frames (Section 4.1).

The paper names them ("random cropping, color dithering, and image flipping") without amounts:
those are configuration, as the ranges of torchvision's RandomResizedCrop, RandomHorizontalFlip and
ColorJitter. All of them together are two maps of a clip, which `draw` draws:

    plane   crop, resize and flip: pixels of the result → places in the frame, by axes
    colour  brightness, contrast, saturation and hue: RGB and the clip's mean grey → RGB

`augment` applies them to a clip on the CPU, `augment_on_device` to a batch where the model is. The
two differ in rounding only: by 3 of 255 at most, 0.3 in the mean.

How far this is from torchvision, of 255, on a picture of a face (tests/clips/test_augment.py):

    crop        the same draws of area, ratio and place, from numpy's generator
    resize      the same bilinear filter, which antialiases where it shrinks: the same pixels
    flip        the same
    brightness, contrast, saturation
                off by 1 at most, on a still: contrast is about the mean grey of the clip, where
                torchvision takes each frame's own
    hue         off by 0.2 to 0.4 in the mean at ±0.05, which moves pixels by 2.9. HSV's turn is
                linear within a sixth of the colour circle; this is the map of the sixth that skin
                is in (`hue_map`). A rotation in YIQ, the usual map, is off by 4.9
    together    off by 1.7 in the mean over draws of the default amounts: always in the order
                brightness, contrast, saturation, hue, which torchvision draws, and clamped once
                at the end and not after each
"""

import math
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dfer.clips.planes import to_planes
from dfer.settings import AugmentSettings

ATTEMPTS = 10  # to draw a crop that lies within the frame, as torchvision
LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue, in grey
# The colours between which HSV's hue goes: red, yellow, green, cyan, blue, magenta.
CORNERS = ((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1))


class Maps(NamedTuple):
    """What happens to a clip, or to each clip of a batch (tensors with a leading B)."""

    # (2, 2) float32: the crop's edges [[left, right], [top, bottom]] in pixels of the frame, the
    # right one first where the clip is mirrored
    plane: np.ndarray | Tensor
    colour: np.ndarray | Tensor  # (3, 4) float32: (r, g, b, mean grey) → (r, g, b), of 0 … 255


def draw(settings: AugmentSettings, height: int, width: int, rng: np.random.Generator) -> Maps:
    """The maps of a clip whose frames have this size."""
    top, left, h, w = draw_crop(settings, height, width, rng)
    across = [left, left + w]
    if rng.random() < settings.flip:
        across.reverse()
    factors = [
        rng.uniform(max(0.0, 1 - amount), 1 + amount)
        for amount in (settings.brightness, settings.contrast, settings.saturation)
    ]
    hue = rng.uniform(-settings.hue, settings.hue)
    return Maps(np.array([across, [top, top + h]], np.float32), colour_map(*factors, hue))


def draw_crop(
    settings: AugmentSettings, height: int, width: int, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Top, left, height and width of a crop, as torchvision's RandomResizedCrop draws them.

    The area is uniform and the ratio of width to height log-uniform (or by `crop_law`); after ten
    crops that would not lie within the frame, the largest one in the middle whose ratio is allowed.
    """
    narrow, wide = settings.crop_ratio
    for _ in range(ATTEMPTS):
        area = height * width * rng.uniform(*settings.crop_scale)
        if settings.crop_law == "log":
            ratio = math.exp(rng.uniform(math.log(narrow), math.log(wide)))
        else:
            ratio = rng.uniform(narrow, wide)
            ratio = ratio if rng.random() < 0.5 else 1 / ratio
        h, w = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < h <= height and 0 < w <= width:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    ratio = min(max(width / height, narrow), wide)
    h, w = min(height, round(width / ratio)), min(width, round(height * ratio))
    return (height - h) // 2, (width - w) // 2, h, w


def changes_nothing(settings: AugmentSettings) -> bool:
    """Whether a clip is left as it is."""
    none = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "hue": 0.0, "flip": 0.0}
    none |= dict.fromkeys(("brightness", "contrast", "saturation", "rotation"), 0.0)
    return all(getattr(settings, name) == value for name, value in none.items())


def rotate(frames: np.ndarray, angle: float) -> None:
    """Turn a clip (T, H, W, 3) uint8 in place by an angle in degrees; the nearest pixel, or black.

    Whole frames are turned, before they are cropped.
    """
    height, width = frames.shape[1:3]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    for frame in frames:
        frame[:] = cv2.warpAffine(frame, turn, (width, height), flags=cv2.INTER_NEAREST)


def colour_map(brightness: float, contrast: float, saturation: float, hue: float) -> np.ndarray:
    """The four changes of colour as one map, (3, 4) float32.

    Args:
        brightness, contrast, saturation: factors; 1 leaves the clip as it is.
        hue: see `hue_map`.
    """
    saturated = saturation * np.eye(3) + (1 - saturation) * LUMA  # each channel less grey, and grey
    colour = np.empty((3, 4), np.float32)
    colour[:, :3] = brightness * contrast * hue_map(hue) @ saturated
    colour[:, 3] = brightness * (1 - contrast)
    return colour


def hue_map(turn: float) -> np.ndarray:
    """A turn of the hue by a share of the colour circle, from red to yellow, as (3, 3).

    A colour with r ≥ g ≥ b, as skin's, is b of white, r − g of red and g − b of yellow. A turn by
    k sixths takes red and yellow to the k-th colours after them; what remains of it, at most half
    a sixth, shifts weight from the one to the other. Colours of other sixths follow linearly, and
    grey stays.
    """
    sixths = round(6 * turn)
    shift = 6 * turn - sixths
    weights = np.array([[0, 0, 1], [1 - shift, -1, shift], [shift, 1, -1 - shift]])
    colours = np.array([(1, 1, 1), CORNERS[sixths % 6], CORNERS[(sixths + 1) % 6]])
    return colours.T @ weights


def resize(frames: np.ndarray, size: int) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 → (T, size, size, 3) uint8; bilinear, antialiased."""
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2)
    pixels = F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
    return pixels.permute(0, 2, 3, 1).contiguous().numpy()


def augment(frames: np.ndarray, maps: Maps, out: np.ndarray) -> None:
    """Change a clip (T, H, W, 3) uint8 as `maps` say, into `out`, (T, 3, size, size) uint8."""
    (left, right), (top, bottom) = maps.plane.astype(int)
    size = out.shape[-1]
    clip = resize(frames[:, top:bottom, min(left, right) : max(left, right)], size)
    rows = clip.reshape(-1, size, 3)  # an image to OpenCV, which changes it in place
    if left > right:
        cv2.flip(rows, 1, dst=rows)
    colour = maps.colour.copy()
    colour[:, 3] *= LUMA @ cv2.mean(rows)[:3]
    cv2.transform(rows, colour, dst=rows)
    to_planes(clip, out)


def augment_on_device(frames: Tensor, maps: Maps, size: int) -> Tensor:
    """A batch of clips (B, T, H, W, 3) uint8, changed as `maps` say, (B, T, 3, size, size) uint8.

    Resizing is linear in rows and in columns, so it is two products of matrices, with the weights
    of `_filter`. In half precision, whose steps below 256 are an eighth at most, it takes half the
    memory and its time.
    """
    across, down = maps.plane.unbind(1)
    rows = _filter(down, frames.shape[2], size).half()
    columns = _filter(across, frames.shape[3], size).half()
    clips = torch.einsum("bih,bthwc->btciw", rows, frames.half())
    clips = torch.einsum("bjw,btciw->btcij", columns, clips)
    means = clips.mean(dim=(1, 3, 4), dtype=torch.float32)
    grey = sum(mean * float(share) for mean, share in zip(means.unbind(1), LUMA, strict=True))
    clips = torch.einsum("bdc,btcij->btdij", maps.colour[..., :3].half(), clips)
    clips += (maps.colour[..., 3] * grey[:, None])[:, None, :, None, None]
    return clips.clamp_(0, 255).round_().to(torch.uint8, memory_format=torch.contiguous_format)


def _filter(edges: Tensor, length: int, size: int) -> Tensor:
    """Weights (B, size, length) of pixels along an axis that give each pixel of the result.

    A triangle about the pixel's place, one pixel of the frame wide to each side, or of the result
    where those are larger; what lies outside of `edges` (B, 2) has no weight.
    """
    first, last = edges[:, :1], edges[:, 1:]
    step = (last - first) / size  # negative where mirrored
    centres = first + step * (torch.arange(size, device=edges.device) + 0.5)
    places = torch.arange(length, device=edges.device) + 0.5
    reach = step.abs().clamp(min=1)[..., None]
    weights = (1 - (places - centres[..., None]).abs() / reach).clamp(min=0)
    low, high = torch.minimum(first, last), torch.maximum(first, last)
    weights = weights * ((places > low) & (places < high))[:, None]
    return weights / weights.sum(2, keepdim=True)
