"""Inter-Frame Interaction Transformer (Section 3.1, Eq. 2): messages between frames."""

from torch import Tensor, nn

from dfer.models.attention import SelfAttention
from dfer.models.lstm import BiLSTM


class InterFIT(nn.Module):
    """The interaction tokens of one layer.

        i_t = Linear(class token of frame t)
        Î = I + MHSA(LN(Bi-LSTM(I)))                                    (Eq. 2)

    The Bi-LSTM has D units a direction and a Linear(2D → D) after it; MHSA runs over the T frames
    with as many heads as the tower. The paper prints neither: of the shapes tried, this one alone
    gives the FLOPs of its tables. What the tokens do to the frames (Eq. 3) is in `vit.Block`.

    Shapes: class tokens (B, T, D) → interaction tokens (B, T, D).
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.token = nn.Linear(width, width)
        self.lstm = BiLSTM(width)
        self.fuse = nn.Linear(2 * width, width)
        self.norm = nn.LayerNorm(width)
        self.attn = SelfAttention(width, heads)

    def forward(self, cls: Tensor) -> Tensor:
        i = self.token(cls)
        return i + self.attn(self.norm(self.fuse(self.lstm(i))))
