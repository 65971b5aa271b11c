"""CLIP's text tower over embedded tokens, up to the end token and no further (Eq. 9)."""

from typing import Any

import torch
from torch import Tensor


def encode(tower: Any, embedded: Tensor, ends: Tensor) -> Tensor:
    """Features of texts, (N, D), not normalised.

    The tower is causal: what stands behind the end token changes nothing, so that `embedded` may
    stop there. This is exact, and saves most of the work for short texts.

    Args:
        tower: what has open_clip's `positional_embedding`, `transformer`, `ln_final` and
            `text_projection`, such as a whole `open_clip.CLIP`.
        embedded: tokens without their positions, (N, L, W).
        ends: places of the end tokens, (N,) int64.
    """
    length = embedded.shape[1]
    mask = torch.full((length, length), float("-inf"), device=embedded.device).triu(1)
    x = tower.transformer(embedded + tower.positional_embedding[:length], attn_mask=mask)
    x = tower.ln_final(x[torch.arange(x.shape[0], device=x.device), ends])
    return x @ tower.text_projection
