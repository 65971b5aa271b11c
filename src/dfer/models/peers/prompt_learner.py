"""Learnable prompts: what CoOp, CoCoOp, DFER-CLIP and CLIPER have CLIP's text tower read.

A prompt is a row of embedded tokens, some of them a learnt context (CoOp: Zhou et al., "Learning to
Prompt for Vision-Language Models", IJCV 2022, Eq. 2):

    P = [start, v_1 … v_n, e(text), end],   K = feature of P at the end token · projection

Prompts are encoded up to the longest end token and no further (`dfer.models.text_tower`), about a
ninth of the work for a context of 4 and a word. The tower and the embedded texts are frozen; the
gradient flows through the tower to the context.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dfer.errors import UserError
from dfer.models.backbone import load_backbone, vision_of
from dfer.models.clip_method import ClipMethod
from dfer.models.text_tower import encode
from dfer.models.vit import ImageTower
from dfer.settings import BackboneSettings

if TYPE_CHECKING:
    import open_clip

STD = 0.02  # of a context that begins at random

Layout = tuple[str | int, ...]  # of a prompt: texts, and numbers of context vectors between them


def layout(text: str, context: int, position: str, stop: str = "") -> Layout:
    """Where the context of so many vectors stands: before, around or behind the text.

    Args:
        position: of the text: "end", "middle" or "front".
        stop: closes the prompt, wherever the text stands.
    """
    if position == "end":
        return (context, text, stop)
    if position == "front":
        return (text, context, stop)
    return (context // 2, text, context - context // 2, stop)


class TextTower(nn.Module):
    """CLIP's text tower without its token embedding, frozen; open_clip's modules and names."""

    def __init__(self, architecture: Mapping[str, Any]):
        super().__init__()
        from open_clip import CLIP  # seconds to import, and not every method reads text

        with torch.device("meta"):
            clip = CLIP(
                embed_dim=architecture["embed_dim"],
                vision_cfg=architecture["vision_cfg"] | {"layers": 0},
                text_cfg=architecture["text_cfg"],
                quick_gelu=architecture.get("quick_gelu", False),
            )
        self.width: int = clip.token_embedding.embedding_dim
        self.context_length: int = clip.context_length
        device = torch.get_default_device()
        self.transformer = clip.transformer.to_empty(device=device)
        self.ln_final = clip.ln_final.to_empty(device=device)
        self.positional_embedding = nn.Parameter(torch.zeros(self.context_length, self.width))
        self.text_projection = nn.Parameter(torch.zeros(*clip.text_projection.shape))
        self.requires_grad_(False)

    def forward(self, prompts: Tensor, ends: Tensor) -> Tensor:
        """Embedded prompts (N, L, W) and the places of their end tokens (N,) → (N, D)."""
        return encode(self, prompts, ends)


class PromptLearner(nn.Module):
    """The prompts of one layout a row, embedded, with room for the context.

    Attributes:
        tokens: (rows, L) int64, 0 where the context stands and behind the end token.
        embedded: (rows, L, W), frozen, likewise.
        places: (rows, L) int64: which context vector stands there; −1: none.
        ends: (rows,) int64, the end token's place.
    """

    def __init__(self, layouts: Sequence[Layout], tower: TextTower):
        super().__init__()
        rows = [_row(pieces) for pieces in layouts]
        for pieces, (tokens, _) in zip(layouts, rows, strict=True):
            if len(tokens) > tower.context_length:
                said = " ".join(str(p) if isinstance(p, str) else "v " * p for p in pieces)
                raise UserError(
                    f"the prompt '{' '.join(said.split())}' has {len(tokens)} tokens, and the text "
                    f"tower of this CLIP reads {tower.context_length}. Shorten the text, or set "
                    "model.context lower."
                )
        length = max(len(tokens) for tokens, _ in rows)
        tokens = torch.zeros(len(rows), length, dtype=torch.int64)
        places = torch.full((len(rows), length), -1)
        for row, (own, context) in enumerate(rows):
            tokens[row, : len(own)] = torch.tensor(own)
            places[row, : len(own)] = torch.tensor(context)
        self.register_buffer("tokens", tokens)
        self.register_buffer("places", places)
        self.register_buffer("ends", torch.tensor([len(own) - 1 for own, _ in rows]))
        self.register_buffer("embedded", torch.zeros(len(rows), length, tower.width))

    def start_from(self, embedding: Tensor) -> None:
        """Embed the texts with CLIP's token embedding (vocabulary, W)."""
        known = self.places < 0
        self.embedded = torch.where(known.unsqueeze(-1), embedding[self.tokens], 0.0).detach()

    def forward(self, context: Tensor, tower: TextTower) -> Tensor:
        """A context (…, 1 or rows, n, W) in its place, encoded → (…, rows, D)."""
        batch, (rows, length) = context.shape[:-3], self.tokens.shape
        embedded = self.embedded.to(context.dtype).expand(*batch, -1, -1, -1)
        both = torch.cat([embedded, context.expand(*batch, rows, -1, -1)], dim=-2)
        own = torch.arange(length, device=context.device)
        chosen = torch.where(self.places < 0, own, length + self.places).unsqueeze(-1)
        prompts = both.gather(-2, chosen.expand(*batch, rows, length, both.shape[-1]))
        ends = self.ends.expand(*batch, rows)
        features = tower(prompts.flatten(0, -3), ends.flatten())
        return features.unflatten(0, (*batch, rows)) if batch else features


class Prompted(ClipMethod):
    """A method whose class features come from learnt prompts.

    While nothing is trained the features are computed once, if they are the same for all clips.

    Args:
        settings: of the method.
        architecture: the content of an open_clip configuration.
        layouts: of the prompts, one a row.
        context: shape of the context, (1 or rows, n).
        std: of its first numbers.
    """

    def __init__(
        self,
        settings: Any,
        architecture: Mapping[str, Any],
        layouts: Sequence[Layout],
        context: tuple[int, int],
        std: float = STD,
    ):
        super().__init__()
        self.settings = settings
        self.image = ImageTower(vision_of(architecture))
        self.tower = TextTower(architecture)
        self.learner = PromptLearner(layouts, self.tower)
        self.context = nn.Parameter(std * torch.randn(*context, self.tower.width))
        self._kept: Tensor | None = None  # features of the prompts while nothing is trained

    def start_from(self, backbone: BackboneSettings) -> None:
        clip = load_backbone(backbone.model, backbone.weights)
        self.image.load_state_dict(clip.visual.state_dict())
        names = self.tower.state_dict().keys()
        self.tower.load_state_dict({k: v for k, v in clip.state_dict().items() if k in names})
        embedding = clip.token_embedding.weight.detach()
        self.learner.start_from(embedding)
        if words := getattr(self.settings, "init", ""):
            self._begin_as(words, embedding)

    def _begin_as(self, words: str, embedding: Tensor) -> None:
        """Let the context be the embedded `words`."""
        tokens = _tokeniser().encode(words)
        if len(tokens) != self.context.shape[1]:
            raise UserError(
                f"model.init: {words!r} has {len(tokens)} tokens, and model.context is "
                f"{self.context.shape[1]}. Set them alike, or init to ''."
            )
        with torch.no_grad():
            self.context.copy_(embedding[tokens].expand_as(self.context))

    def train(self, mode: bool = True) -> "Prompted":
        self._kept = None
        return super().train(mode)

    def prompt_features(self) -> Tensor:
        """Features of all prompts, (rows, D)."""
        if self.training or torch.is_grad_enabled():
            return self.learner(self.context, self.tower)
        if self._kept is None or self._kept.device != self.context.device:
            self._kept = self.learner(self.context, self.tower)
        return self._kept

    def class_features(self, v: Tensor) -> Tensor:
        return self.prompt_features().unsqueeze(0)


def _row(pieces: Layout) -> tuple[list[int], list[int]]:
    """Tokens from start to end, and which context vector stands at each place (−1: none)."""
    tokeniser = _tokeniser()
    tokens, context, placed = [tokeniser.sot_token_id], [-1], 0
    for piece in pieces:
        if isinstance(piece, int):
            tokens += [0] * piece
            context += range(placed, placed + piece)
            placed += piece
        else:
            own = tokeniser.encode(piece)
            tokens += own
            context += [-1] * len(own)
    return [*tokens, tokeniser.eot_token_id], [*context, -1]


@cache
def _tokeniser() -> "open_clip.SimpleTokenizer":
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()
