"""The model written plainly: torch's own attention, LSTM and convolution, and every token computed.

What the fast parts of `dfer.models` are compared with, by tests for their numbers and by
`benchmarks/train_step.py` for their time.
"""

import copy

import torch
from torch import Tensor, nn

from dfer.models.attention import CrossAttention, SelfAttention
from dfer.models.lstm import BiLSTM
from dfer.models.mlp import QuickGELU
from dfer.models.vit import Block, PatchEmbedding


class PlainAttention(nn.MultiheadAttention):
    """torch's attention, called as our two are."""

    def forward(self, queries: Tensor, context: Tensor | None = None) -> Tensor:
        context = queries if context is None else context
        return super().forward(queries, context, context, need_weights=False)[0]


class PlainQuickGELU(nn.Module):
    """The formula as CLIP writes it."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class PlainLSTM(nn.LSTM):
    """torch's LSTM, in whatever precision autocast chooses."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[0]


class PlainPatches(nn.Conv2d):
    """The convolution."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).flatten(2).transpose(1, 2)


class PlainBlock(Block):
    """Eq. 3 as printed: [z, î] is one tensor, and all of it goes through the attention."""

    def forward(
        self, z: Tensor, frames: int, interfit: nn.Module | None = None, *_: object
    ) -> Tensor:
        tokens = z.shape[1]
        if interfit is not None:
            i = interfit(z[:, 0].unflatten(0, (-1, frames)))
            z = torch.cat([z, i.flatten(0, 1).unsqueeze(1).to(z.dtype)], dim=1)
        z = (z + self.attn(self.ln_1(z)))[:, :tokens]
        return z + self.mlp(self.ln_2(z))


def plain(model: nn.Module) -> nn.Module:
    """A copy of `model` of plain parts, with its weights under their names."""
    model = copy.deepcopy(model)
    weight = next(model.parameters())
    for parent in list(model.modules()):
        if isinstance(parent, Block):
            parent.__class__ = PlainBlock
        for name, child in list(parent.named_children()):
            if isinstance(child, SelfAttention | CrossAttention):
                width = child.out_proj.in_features
                part = PlainAttention(width, child.heads, batch_first=True)
            elif isinstance(child, BiLSTM):
                width = child.input_size
                part = PlainLSTM(width, width, batch_first=True, bidirectional=True)
            elif isinstance(child, QuickGELU):
                part = PlainQuickGELU()
            elif isinstance(child, PatchEmbedding):
                part = PlainPatches(
                    3, child.out_channels, child.kernel_size, child.stride, bias=False
                )
            else:
                continue
            part = part.to(weight.device, weight.dtype)
            part.load_state_dict(child.state_dict())
            setattr(parent, name, part)
    return model
