"""The whole model, clips → logits, in every variant that the paper's tables need (Section 3).

A variant's own modules are imported where they are used: the workflow takes a run's code to be
what its settings reach from here, so that an edit of `msta.py` leaves runs without MSTA alone.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfer.errors import UserError
from dfer.models.backbone import vision_of
from dfer.models.clip_method import ClipMethod
from dfer.models.vit import ImageTower, VisionConfig
from dfer.settings import ModelSettings


class Recogniser(ClipMethod):
    """A clip's similarity to each class.

        Z = image tower (with InterFIT) of the T frames                  (Eq. 1–3)
        V = MSTA(Z), or the mean over frames                             (Eq. 4–8)
        K̂, V̂ = BiEhPro(K, V), or K and V as they are                     (Eq. 10–11)
        logits_j = cos(V̂, K̂_j) / τ                                       (Eq. 12)

    Eq. 12's loss is then `F.cross_entropy(logits, labels)`. With `head="linear"` ("w/o text",
    Table 3) the logits are Linear(V), and no text enters.

    The parameters under `image.` come from CLIP; all others are new. The text
    features K are a buffer: the text tower is frozen, so they are computed once
    (`dfer.training.text`).

    Args:
        settings: the variant.
        vision: the CLIP's image tower.
        text: K, (classes, D) float32, in class order, as `dfer.training.text` writes it.

    Raises:
        UserError: settings that contradict each other, or text features of another CLIP.
    """

    frame_parts = ("image", "interfit")

    def __init__(self, settings: ModelSettings, vision: VisionConfig, text: Tensor):
        super().__init__()
        _check(settings, vision, text)
        self.settings = settings
        width = vision.embed_dim
        self.image = ImageTower(vision)
        self.interfit = self.msta = self.biehpro = self.linear = None
        if settings.interfit:
            from dfer.models.interfit import InterFIT

            self.interfit = nn.ModuleList(
                InterFIT(vision.width, vision.heads) for _ in range(vision.layers)
            )
        if settings.aggregation == "msta":
            from dfer.models.msta import MSTA

            self.msta = MSTA(width, settings.frames, settings.kernels, settings.strides)
        if settings.head == "linear":
            self.linear = nn.Linear(width, len(text))
            return
        self.register_buffer("text", text.clone())
        if settings.learn_temperature:
            self.logit_scale = nn.Parameter(torch.tensor(-math.log(settings.temperature)))
        if settings.blocks:
            from dfer.models.biehpro import BiEhPro

            self.biehpro = BiEhPro(
                width,
                settings.blocks,
                settings.pairing,
                settings.prompts,
                settings.alpha,
                settings.beta,
            )

    def frame_features(self, clips: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """(B, T, 3, H, W) → Z (B, T, D)."""
        self.check_frames(clips)
        return self.image(clips, self.interfit, maps)

    def aggregate(self, z: Tensor) -> Tensor:
        """Z (B, T, D) → V (B, D)."""
        return self.msta(z) if self.msta is not None else z.mean(dim=1)

    def prompts(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """V (B, D) → K̂ and V̂, which broadcast to (B, classes, D)."""
        if self.biehpro is not None:
            return self.biehpro(self.text, v)
        return self.text.unsqueeze(0), v.unsqueeze(1)

    def similarity(self, v: Tensor) -> Tensor | None:
        """V (B, D) → cosines with the class texts (B, #class), float32; None without text."""
        if self.linear is not None:
            return None
        k, v = self.prompts(v)
        return F.cosine_similarity(v.float(), k.float(), dim=-1)

    def classify(self, v: Tensor) -> Tensor:
        """V (B, D) → logits (B, #class), float32 whatever the autocast."""
        if self.linear is not None:
            return self.linear(v).float()
        if self.settings.learn_temperature:
            return self.similarity(v) * self.logit_scale.exp()
        return self.similarity(v) / self.settings.temperature


def make(
    settings: ModelSettings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> Recogniser:
    """See `dfer.models.method.make`."""
    return Recogniser(settings, vision_of(architecture), text)


def _check(settings: ModelSettings, vision: VisionConfig, text: Tensor) -> None:
    """Raise a UserError for settings that contradict each other."""
    if settings.head == "linear" and settings.blocks:
        raise UserError(
            f"head: linear has no text for the {settings.blocks} blocks of BiEhPro to work on. "
            "Set blocks: 0, as the paper's 'w/o text' does."
        )
    if settings.head == "text" and text.shape[1] != vision.embed_dim:
        raise UserError(
            f"the text features have {text.shape[1]} dimensions and the image tower has "
            f"{vision.embed_dim}: they come from another CLIP. Make them anew with `python -m "
            "dfer.training.text` and the same backbone.model."
        )
