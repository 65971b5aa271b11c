"""Pools with a deterministic gradient on a GPU, where torch's own have none.

Runs are bytes that can be had again, so that torch refuses its 3-D max pool and its adaptive means
there (`torch.use_deterministic_algorithms`). These give the same numbers by other means.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.utils import _triple


class MaxPool3d(nn.MaxPool3d):
    """Maxima over space, then over time, in two 2-D pools: (B, C, T, H, W) → (B, C, T', H', W')."""

    def forward(self, x: Tensor) -> Tensor:
        sizes = (_triple(size) for size in (self.kernel_size, self.stride, self.padding))
        (t, *space), (dt, *step), (pad, *around) = sizes
        channels = x.shape[1:3]
        x = F.max_pool2d(x.flatten(1, 2), space, step, around, ceil_mode=self.ceil_mode)
        x = x.unflatten(1, channels)
        pooled = F.max_pool2d(x.flatten(3), (t, 1), (dt, 1), (pad, 0), ceil_mode=self.ceil_mode)
        return pooled.unflatten(3, x.shape[3:])


class AdaptiveMean(nn.Module):
    """Means of a grid of `side`² windows, as `nn.AdaptiveAvgPool2d` places them: (…, H, W)."""

    def __init__(self, side: int):
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        down, across = (self._weights(length, x) for length in x.shape[-2:])
        return down @ x @ across.t()

    def _weights(self, length: int, x: Tensor) -> Tensor:
        """The windows along an axis, (side, length): ⌊i·n/side⌋ … ⌈(i+1)·n/side⌉ of n places."""
        window, place = (
            torch.arange(self.side, device=x.device),
            torch.arange(length, device=x.device),
        )
        first, last = window * length // self.side, -(-(window + 1) * length // self.side)
        inside = (place >= first[:, None]) & (place < last[:, None])
        return inside.to(x.dtype) / (last - first)[:, None]
