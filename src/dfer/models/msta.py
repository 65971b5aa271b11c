"""Multi-Scale Temporal Aggregation (Section 3.2, Eq. 4–8): frame features → one video feature."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfer.errors import UserError


class MSTA(nn.Module):
    """V of a clip from its frame features Z.

        Z_i = MaxPool(Zᵀ; ks_i, ss_i),   Ẑ = Σ_i Z_i                     (Eq. 4)
        U_i = FC_i(Ẑ)                                                    (Eq. 5)
        W = softmax of U over the scales, at each channel and step       (Eq. 6)
        Z_w = Σ_i W_i ⊙ Z_i                                              (Eq. 7)
        V = FC_V(flatten(Z_w))                                           (Eq. 8)

    FC_i acts on channels. Pools have no padding, so T = 8 with the printed kernels (5, 5, 7) and
    strides (3, 3, 1) leaves two steps in each scale.

    Shapes: (B, T, D) → (B, D).

    Raises:
        UserError: the scales have different lengths, or a kernel is longer than the clip.
    """

    def __init__(self, width: int, frames: int, kernels: Sequence[int], strides: Sequence[int]):
        super().__init__()
        self.scales = tuple(zip(kernels, strides, strict=True))
        steps = _steps(frames, kernels, strides)
        self.weigh = nn.ModuleList(nn.Linear(width, width) for _ in kernels)  # FC_i
        self.project = nn.Linear(width * steps, width)  # FC_V

    def forward(self, z: Tensor) -> Tensor:
        z = z.transpose(1, 2)  # (B, D, T)
        scales = [F.max_pool1d(z, kernel, stride) for kernel, stride in self.scales]  # (B, D, t)
        fused = sum(scales).transpose(1, 2)  # Ẑ, with channels last for FC_i
        u = torch.stack([weigh(fused).transpose(1, 2) for weigh in self.weigh])  # (scales, B, D, t)
        weighted = (u.softmax(dim=0) * torch.stack(scales)).sum(dim=0)
        return self.project(weighted.flatten(1))


def _steps(frames: int, kernels: Sequence[int], strides: Sequence[int]) -> int:
    """The one length T′ that all scales have after pooling."""
    steps = [(frames - k) // s + 1 for k, s in zip(kernels, strides, strict=True)]
    if min(steps) < 1 or len(set(steps)) > 1:
        raise UserError(
            f"MSTA cannot sum its scales: kernels {tuple(kernels)} with strides {tuple(strides)} "
            f"turn T = {frames} frames into {steps} steps, and all must be equal and at least 1. "
            "Choose kernels k and strides s with the same (T - k) // s + 1."
        )
    return steps[0]
