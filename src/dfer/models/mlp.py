"""The two-layer perceptron of CLIP's blocks, with open_clip's parameter names."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class QuickGELU(nn.Module):
    """x·σ(1.702 x): the approximation of GELU that OpenAI's CLIP was trained with."""

    def forward(self, x: Tensor) -> Tensor:
        return _QuickGELU.apply(x)


class _QuickGELU(torch.autograd.Function):
    """As SiLU(1.702 x) / 1.702, SiLU(y) = y·σ(y), in one new tensor each way.

    The largest tensors of a block pass here, and their way through memory is the cost.
    """

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return F.silu(1.702 * x, inplace=True).mul_(1 / 1.702)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        scaled = 1.702 * x
        return torch.ops.aten.silu_backward.grad_input(gradient, scaled, grad_input=scaled)


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
