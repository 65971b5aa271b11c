"""Bidirectional Enhanced Prompt (Section 3.3, Eq. 10–11): text and video inform each other."""

from typing import Literal

import torch
from torch import Tensor, nn

from dfer.models.attention import CrossAttention
from dfer.models.mlp import MLP


class Prompt(nn.Module):
    """One direction of a block: x̄ = x + CroAtt(LN(x), LN(context)), then x̄ + FFN(LN(x̄)).

    Both LN before the attention are the block's, which the two directions share.

    Shapes: x and LN(x) (N, L, D), LN(context) (N, S, D) → (N, L, D).
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attn = CrossAttention(width, heads)
        self.norm = nn.LayerNorm(width)
        self.ffn = MLP(width)

    def forward(self, x: Tensor, normed: Tensor, context: Tensor) -> Tensor:
        x = x + self.attn(normed, context)
        return x + self.ffn(self.norm(x))


class PromptBlock(nn.Module):
    """Block m of Eq. 10: K̃ takes from Ṽ while Ṽ takes from K̃, both as they entered the block.

    `visual=False` leaves V → Ṽ out, for a last block whose Ṽ nothing reads.

    Shapes: K̃ (N, L, D), Ṽ (N, S, D) → the same.
    """

    def __init__(self, width: int, heads: int, visual: bool = True):
        super().__init__()
        self.norm_text = nn.LayerNorm(width)
        self.norm_visual = nn.LayerNorm(width)
        self.text = Prompt(width, heads)  # V → K_j
        self.visual = Prompt(width, heads) if visual else None  # K_j → V

    def forward(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        normed_k, normed_v = self.norm_text(k), self.norm_visual(v)
        k = self.text(k, normed_k, normed_v)
        if self.visual is not None:
            v = self.visual(v, normed_v, normed_k)
        return k, v


class BiEhPro(nn.Module):
    """Text features K and video features V, each extended by its prompt (Eq. 11).

        K̂_j = K_j + α K̃_j^(M),   V̂ = V + β Ṽ^(M),   α and β learnable (D,)

    Args:
        width: D.
        blocks: M.
        pairing: "pair", as Eq. 10 reads: each class j and V attend to each other alone, so V̂
            differs from class to class (with a single key the softmax is 1, and CroAtt is a linear
            map of the other token). "joint": V attends to the K_j of all classes at once.
        prompts: "both", or "text" for V̂ = V (Table 5, "w/o VP").
        alpha, beta: initial values.
    """

    def __init__(
        self,
        width: int,
        blocks: int,
        pairing: Literal["pair", "joint"] = "pair",
        prompts: Literal["both", "text"] = "both",
        alpha: float = 0.1,
        beta: float = 0.1,
    ):
        super().__init__()
        heads = max(1, width // 64)  # 8 at D = 512
        self.pairing = pairing
        self.blocks = nn.ModuleList(
            PromptBlock(width, heads, visual=m < blocks or prompts == "both")
            for m in range(1, blocks + 1)
        )
        self.alpha = nn.Parameter(torch.full((width,), alpha))
        self.beta = nn.Parameter(torch.full((width,), beta)) if prompts == "both" else None

    def forward(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """K (classes, D) and V (B, D) → K̂ (B, classes, D) and V̂ (B, classes, D), class by class.

        Where V̂ is the same for all classes ("joint", or "text"), it is (B, 1, D).
        """
        batch, classes = v.shape[0], k.shape[0]
        k, v = k.expand(batch, -1, -1), v.unsqueeze(1)  # (B, classes, D), (B, 1, D)
        if self.pairing == "pair":  # every (K_j, V) a row of its own
            prompt_k = k.reshape(batch * classes, 1, -1)
            prompt_v = v.expand(-1, classes, -1).reshape(batch * classes, 1, -1)
        else:
            prompt_k, prompt_v = k, v
        for block in self.blocks:
            prompt_k, prompt_v = block(prompt_k, prompt_v)
        k = k + self.alpha * prompt_k.reshape(batch, classes, -1)
        if self.beta is not None:
            v = v + self.beta * prompt_v.reshape(batch, -1, v.shape[-1])
        return k, v
