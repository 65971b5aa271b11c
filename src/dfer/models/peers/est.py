"""EST: snippets of a clip, a transformer over them, and the task to tell their order.

Liu et al., "Expression Snippet Transformer for Robust Video-based Facial Expression Recognition",
Pattern Recognition 2023.

    f_i = LN(z_i + attention over the frames of the snippet), z_i of ResNet18
    w_i = cos(f_i, max over the snippet's f),   s_k = Σ w_i f_i / Σ w_i
    e   = the decoder's answer to one learnt query, from encoded s_k + position_k
    order: 10 classes of [s_o(1) + e, …, s_o(7) + e], for o of ten fixed orders; no gradient to s
    loss = CE(head(e)) + λ CE(order)

Each snippet keeps its own position wherever it stands, so e is that of any order, and an order is
drawn for each clip behind the transformer. T-ESFL (MAFW's paper, ACM MM 2022) is described as this
same network, for 11 classes. Shapes: (B, 7 · frames a snippet, 3, H, W) → (B, #class).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfer.methods.est import Settings
from dfer.models.method import Criterion
from dfer.models.peers.resnet18 import WIDTH, ResNet18
from dfer.models.pretrained import load
from dfer.models.video_network import VideoNetwork
from dfer.settings import BackboneSettings

ORDERS = torch.tensor(
    [
        [int(snippet) for snippet in order]
        for order in (
            *("0432615", "5316402", "0435261", "5432106", "5124063"),
            *("0526413", "3150624", "2304165", "5041326", "0326451"),
        )
    ],
    device="cpu",
)


class Body(nn.Module):
    """(B, T, 3, H, W) → e (B, 512)."""

    positions: Tensor

    def __init__(self, snippets: int):
        super().__init__()
        self.resnet = ResNet18()
        self.attention = nn.MultiheadAttention(WIDTH, 4, dropout=0.1, batch_first=True)
        self.norm = nn.LayerNorm(WIDTH)
        self.register_buffer("positions", sinusoids(snippets), persistent=False)
        self.transformer = nn.Transformer(WIDTH, 4, 3, 3, 2048, dropout=0.1, batch_first=True)
        self.query = nn.Parameter(torch.randn(1, WIDTH))

    def forward(self, clips: Tensor) -> Tensor:
        return self.answer(self.snippets(clips))

    def snippets(self, clips: Tensor) -> Tensor:
        """(B, T, 3, H, W) → s (B, 7, 512)."""
        z = self.resnet(clips).unflatten(1, (len(self.positions), -1)).flatten(0, 1)
        f = self.norm(z + self.attention(z, z, z, need_weights=False)[0])
        weights = F.cosine_similarity(f, f.amax(dim=1, keepdim=True), dim=2).unsqueeze(2)
        s = (weights * f).sum(dim=1) / weights.sum(dim=1)
        return s.unflatten(0, (clips.shape[0], -1))

    def answer(self, s: Tensor) -> Tensor:
        """s (B, 7, 512) → e (B, 512)."""
        query = self.query.repeat(s.shape[0], 1, 1)
        return self.transformer(s + self.positions.to(s.dtype), query)[:, 0]


class Head(nn.Module):
    """The classifier of e, and that of the order, which training alone has a use for."""

    orders: Tensor

    def __init__(self, classes: int, snippets: int):
        super().__init__()
        self.register_buffer("orders", ORDERS.clone(), persistent=False)
        self.classes = nn.Sequential(
            *(nn.Linear(WIDTH, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU()),
            *(nn.Dropout(0.4), nn.Linear(64, classes)),
        )
        self.order = nn.Sequential(
            *(nn.Linear(snippets * WIDTH, 2048), nn.BatchNorm1d(2048), nn.ReLU()),
            *(nn.Linear(2048, 512), nn.BatchNorm1d(512), nn.ReLU()),
            nn.Linear(512, len(ORDERS)),
        )

    def forward(self, e: Tensor) -> Tensor:
        return self.classes(e)

    def order_logits(self, s: Tensor, e: Tensor, drawn: Tensor) -> Tensor:
        """s (B, 7, 512), e (B, 512) and the numbers of the orders (B,) → (B, 10)."""
        places = self.orders[drawn].unsqueeze(2).expand_as(s)
        shuffled = s.detach().gather(1, places)
        return self.order((shuffled + e.unsqueeze(1)).flatten(1)).float()


class EST(VideoNetwork):
    """Snippets, the transformer, a perceptron for classes and one for the order."""

    body: Body
    head: Head

    def __init__(self, settings: Settings, classes: int):
        super().__init__()
        self.settings = settings
        self.body = Body(settings.snippets)
        self.head = Head(classes, settings.snippets)

    def loss_of_clips(
        self, clips: Tensor, labels: Tensor, criterion: Criterion = F.cross_entropy
    ) -> tuple[Tensor, Tensor]:
        """The order of a clip is drawn from torch's generator; a clip alone has none."""
        self.check_frames(clips)
        s = self.body.snippets(clips)
        e = self.body.answer(s)
        loss, logits = self.loss(e, labels, criterion)
        if len(clips) == 1:  # which batch norm cannot train on
            return loss, logits
        drawn = torch.randint(len(ORDERS), labels.shape, device=labels.device)
        order = F.cross_entropy(self.head.order_logits(s, e, drawn), drawn)
        return loss + self.settings.order_weight * order, logits

    def start_from(self, backbone: BackboneSettings) -> None:
        if self.settings.weights:
            load(self.body.resnet, self.settings.weights)


def sinusoids(rows: int) -> Tensor:
    """Positions (rows, 512): sines in even columns, cosines in odd ones, rounded to float32."""
    column = torch.arange(WIDTH, dtype=torch.float64)
    angles = torch.arange(rows)[:, None] / 10000 ** (column // 2 * 2 / WIDTH)
    return torch.where(column % 2 == 0, angles.sin(), angles.cos()).float()


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> EST:
    """See `dfer.models.method.make`."""
    return EST(settings, len(words))
