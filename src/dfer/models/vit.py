"""CLIP's image tower: a vision transformer over the frames of a clip (Eq. 1 and 3).

Parameter names are those of open_clip's `visual.*`, so `load_state_dict` takes a CLIP as it is.
InterFIT is passed in, one module a layer; without it this is CLIP, frame by frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dfer.errors import UserError
from dfer.models.attention import SelfAttention
from dfer.models.mlp import MLP


@dataclass(frozen=True)
class VisionConfig:
    """The shape of an image tower; ViT-B/32 is the paper's."""

    image_size: int = 224  # pixels a side
    patch_size: int = 32  # P
    width: int = 768  # D inside the tower
    layers: int = 12  # L
    heads: int = 12
    mlp_ratio: float = 4.0
    embed_dim: int = 512  # D of the space shared with text
    quick_gelu: bool = True


class Block(nn.Module):
    """One transformer layer, pre-LN; with InterFIT it also sees the other frames."""

    def __init__(self, width: int, heads: int, mlp_ratio: float, quick_gelu: bool):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = SelfAttention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = MLP(width, mlp_ratio, quick_gelu)

    def forward(
        self,
        z: Tensor,
        frames: int,
        interfit: nn.Module | None = None,
        maps: list[Tensor] | None = None,
        kept: int | None = None,
    ) -> Tensor:
        """(B·T, 1 + N, D) → (B·T, 1 + N, D), the class token first.

        With `interfit`, [ẑ_t, ī_t] = [z_t, î_t] + MHSA(LN([z_t, î_t])) (Eq. 3); the interaction
        token ī_t has then done its work and does not reach the MLP. It is not computed, nor is any
        token after the first `kept`, (B·T, kept, D), except where `maps` asks for all attention.
        """
        kept = kept or z.shape[1]
        normed = self.ln_1(z)
        if interfit is not None:
            i = interfit(z[:, 0].unflatten(0, (-1, frames)))  # (B, T, D)
            i = i.flatten(0, 1).unsqueeze(1).to(z.dtype)
            normed = torch.cat([normed, self.ln_1(i)], dim=1)
        attended = self.attn(normed, maps, queries=kept if maps is None else None)
        z = z[:, :kept] + attended[:, :kept]
        return z + self.mlp(self.ln_2(z))


class PatchEmbedding(nn.Conv2d):
    """A convolution whose patches do not overlap, as one matrix product.

    Shapes: (N, 3, H, W) → (N, patches, D), row by row.
    """

    def __init__(self, width: int, patch: int):
        super().__init__(3, width, kernel_size=patch, stride=patch, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        patch = self.stride[0]
        rows, columns = (size // patch for size in images.shape[2:])  # a rest is left out
        images = images[:, :, : rows * patch, : columns * patch]
        patches = images.unflatten(3, (columns, patch)).unflatten(2, (rows, patch))
        patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        return F.linear(patches, self.weight.flatten(1))


class Transformer(nn.Module):
    """The stack of blocks, under the name that open_clip gives it."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        self.resblocks = nn.ModuleList(
            Block(config.width, config.heads, config.mlp_ratio, config.quick_gelu)
            for _ in range(config.layers)
        )


class ImageTower(nn.Module):
    """Frames → features Z in the space shared with text.

    With `gradient_checkpointing` each layer is computed again in the backward pass: a tenth of the
    activation memory for up to a third more time, with the same numbers.
    """

    def __init__(self, config: VisionConfig):
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        width, patch = config.width, config.patch_size
        patches = (config.image_size // patch) ** 2  # N
        scale = width**-0.5
        self.conv1 = PatchEmbedding(width, patch)
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(1 + patches, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(config)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(scale * torch.randn(width, config.embed_dim))

    def embed(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) → class and patch tokens with positions, (N, 1 + patches, D): Eq. 1."""
        patches = self.conv1(images)
        cls = self.class_embedding.to(patches.dtype).expand(images.shape[0], 1, -1)
        z = torch.cat([cls, patches], dim=1) + self.positional_embedding.to(patches.dtype)
        return self.ln_pre(z)

    def forward(
        self,
        clips: Tensor,
        interfit: Sequence[nn.Module] | None = None,
        maps: list[Tensor] | None = None,
    ) -> Tensor:
        """Frame features Z: the class tokens of the last layer, projected.

        Args:
            clips: (B, T, 3, H, W), float, normalised as the CLIP's training images were.
            interfit: one module a layer, (B, T, D) class tokens → (B, T, D) interaction tokens;
                None leaves the frames independent.
            maps: a list that takes each layer's attention weights
                (B·T, heads, tokens, tokens), the class token first, the interaction token last.

        Returns:
            (B, T, embed_dim).

        Raises:
            UserError: frames of another size than the tower's.
        """
        size = self.config.image_size
        if clips.shape[2:] != (3, size, size):
            raise UserError(
                f"clips of shape {tuple(clips.shape)}: this model takes (B, T, 3, {size}, {size}). "
                f"Set the frame size of the loader to {size}."
            )
        frames = clips.shape[1]
        z = self.embed(clips.flatten(0, 1))
        blocks = self.transformer.resblocks
        for layer, block in enumerate(blocks):
            own = interfit[layer] if interfit is not None else None
            kept = 1 if layer + 1 == len(blocks) and maps is None else None  # the class token
            inputs = (z, frames, own, maps, kept)
            if self.gradient_checkpointing and self.training and maps is None:
                z = checkpoint(block, *inputs, use_reentrant=False)
            else:
                z = block(*inputs)
        return (self.ln_post(z[:, 0]) @ self.proj).unflatten(0, (-1, frames))
