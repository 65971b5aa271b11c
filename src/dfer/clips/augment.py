"""Random changes of a training clip, the same for all its frames (Section 4.1).

Random resized crop, colour jitter and horizontal flip, all of torchvision. The paper names them
("random cropping, color dithering, and image flipping") without amounts: those are configuration.
"""

import torch
from torchvision.transforms import v2

from dfer.settings import AugmentSettings


class Augment:
    """Augments a clip by a seed of its own, so that neither worker nor order matters."""

    def __init__(self, settings: AugmentSettings, size: int) -> None:
        self.transform = v2.Compose(
            [
                v2.RandomResizedCrop(size, settings.crop_scale, settings.crop_ratio),
                v2.RandomHorizontalFlip(settings.flip),
                v2.ColorJitter(
                    settings.brightness, settings.contrast, settings.saturation, settings.hue
                ),
            ]
        )

    def __call__(self, clip: torch.Tensor, seed: int) -> torch.Tensor:
        """Frames (T, 3, H, W) uint8 → (T, 3, size, size) uint8."""
        with torch.random.fork_rng(devices=[]):  # torchvision draws from torch's global generator
            torch.manual_seed(seed)
            return self.transform(clip)
