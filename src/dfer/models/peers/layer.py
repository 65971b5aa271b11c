"""The transformer layer of Former-DFER, which DFER-CLIP, IAL and LSTPNet have from it.

z' = z + out(softmax(q kᵀ / √d) v),   [q, k, v] = W LN(z)
z'' = z' + W₂ GELU(W₁ LN(z'))
"""

import torch.nn.functional as F
from torch import Tensor, nn


class Layer(nn.Module):
    """A transformer layer, pre-LN: attention without bias in q, k and v; tanh GELU.

    The heads together need not be as wide as the tokens.
    """

    def __init__(self, width: int, heads: int, head_width: int, mlp_width: int):
        super().__init__()
        inner = heads * head_width
        self.heads = heads
        self.ln_attn = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * inner, bias=False)
        self.out = nn.Linear(inner, width)
        self.ln_mlp = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, mlp_width)
        self.fc2 = nn.Linear(mlp_width, width)

    def forward(self, z: Tensor) -> Tensor:
        """(B, L, D) → (B, L, D)."""
        q, k, v = self.qkv(self.ln_attn(z)).unflatten(-1, (3, self.heads, -1)).unbind(2)
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))  # (B, heads, L, d)
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        z = z + self.out((weights @ v).transpose(1, 2).flatten(2))
        return z + self.mlp(self.ln_mlp(z))

    def mlp(self, z: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(z), approximate="tanh"))
