"""Tokens behind a learnt class token, through layers → what the class token has become."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class ClassToken(nn.Module):
    """Class token, learnt positions and layers: (B, L, D) → (B, D).

    Args:
        positions: rows of the positional embedding, at least L + 1.
    """

    def __init__(self, width: int, positions: int, layers: Iterable[nn.Module]):
        super().__init__()
        self.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.pos_embedding = nn.Parameter(torch.randn(1, positions, width))
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        x = torch.cat([self.cls_token.expand(z.shape[0], -1, -1).to(z.dtype), z], dim=1)
        return self.layers(x + self.pos_embedding[:, : x.shape[1]])[:, 0]
