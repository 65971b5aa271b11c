"""Where in the frames a recogniser looks: heat maps from its attention weights (Fig. 4).

The gradient-weighted relevance of Chefer, Gur & Wolf, "Generic Attention-model Explainability for
Interpreting Bi-Modal and Encoder-Decoder Transformers", ICCV 2021. It is of one class: attention
counts as far as more of it would raise that class's logit. The paper does not say how its heat maps
were made.

A map is a product over the layers of the image tower, frame by frame. InterFIT's interaction token
lives within one layer and shows no place in the frame: it is dropped from the attention weights.
What a frame does for the other frames through it is still in the gradients.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from dfer.models.method import Method


def relevance(model: Method, clips: Tensor, classes: Tensor) -> Tensor:
    """Which patches speak for a class.

        Ā_l = mean over heads of (∇A_l ⊙ A_l)⁺,  R_0 = I,  R_l = R_{l−1} + Ā_l R_{l−1}

    with ∇A_l the gradient of the class's logit with respect to layer l's attention weights (Eq. 5
    and 6 of Chefer et al.). The class token's row of R_L, without its own entry, is the map.

    Args:
        model: in eval mode.
        clips: (B, T, 3, H, W) normalised frames.
        classes: int64 (B,), the class of each clip that is asked about.

    Returns:
        float32 (B, T, g, g), g patches a side, ≥ 0. The maps of a clip sum to 1 together, so that
        they also compare its frames; all are 0 where no attention speaks for the class.
    """
    maps: list[Tensor] = []
    # Gradients with respect to attention, by way of the input: parameters may be frozen. cuDNN's
    # LSTM has no backward pass in eval mode.
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        logits = model.classify(model.features(clips.detach().requires_grad_(), maps))
        chosen = logits.gather(1, classes.to(logits.device).unsqueeze(1)).sum()
        gradients = torch.autograd.grad(chosen, maps)
    flow = None
    for weights, gradient in zip(maps, gradients, strict=True):
        gain = (gradient * weights.detach()).float().clamp(min=0)
        gain = _without_interaction(model, gain).mean(dim=1)
        if flow is None:
            flow = torch.eye(gain.shape[-1], device=gain.device)
        flow = flow + gain @ flow
    grid = _grid(flow, clips)
    total = grid.sum(dim=(-3, -2, -1), keepdim=True)
    return torch.where(total > 0, grid / total, 0.0)


def upsample(maps: Tensor, size: int) -> Tensor:
    """Maps as large as the frames, for display.

    Args:
        maps: (T, g, g) ≥ 0, of one clip.
        size: side of the frames in pixels.

    Returns:
        float32 (T, size, size), bilinear between the patches' centres, in units of the clip's
        hottest pixel: 0 … 1. All 0 where `maps` is.
    """
    large = F.interpolate(
        maps.float().unsqueeze(1), (size, size), mode="bilinear", align_corners=False
    ).squeeze(1)
    hottest = large.max()
    return large / hottest if hottest > 0 else large


def _without_interaction(model: Method, weights: Tensor) -> Tensor:
    """(N, heads, tokens, tokens) between class and patch tokens: without InterFIT's, the last."""
    config = model.image.config
    tokens = 1 + (config.image_size // config.patch_size) ** 2
    return weights[..., :tokens, :tokens]


def _grid(flow: Tensor, clips: Tensor) -> Tensor:
    """(B·T, tokens, tokens) → what the class token has from each patch, (B, T, g, g)."""
    patches = flow[:, 0, 1:]
    side = round(patches.shape[-1] ** 0.5)
    return patches.unflatten(-1, (side, side)).unflatten(0, clips.shape[:2])
