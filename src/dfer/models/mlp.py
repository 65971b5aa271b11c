"""The two-layer perceptron of CLIP's blocks, with open_clip's parameter names."""

import torch.nn.functional as F
from torch import Tensor, nn


class QuickGELU(nn.Module):
    """x·σ(1.702 x): the approximation of GELU that OpenAI's CLIP was trained with.

    Written with SiLU(y) = y·σ(y), which keeps one tensor for the backward pass instead of two.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(1.702 * x) / 1.702


class MLP(nn.Module):
    """(…, D) → Linear → activation → Linear → (…, D)."""

    def __init__(self, width: int, ratio: float = 4.0, quick_gelu: bool = True):
        super().__init__()
        hidden = int(width * ratio)
        self.c_fc = nn.Linear(width, hidden)
        self.gelu = QuickGELU() if quick_gelu else nn.GELU()
        self.c_proj = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(self.gelu(self.c_fc(x)))
