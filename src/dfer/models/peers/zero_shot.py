"""Zero-shot CLIP on clips: nothing is trained.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021.

    V = mean over frames of Z,   K_j = mean over templates of the text feature of "… {word} …",
    logits_j = cos(V, K_j) / τ

Frame features are averaged before they are normalised, as Exp-CLIP's code does it on video; the
paper that is compared with does not say. Text features are normalised before they are averaged, as
CLIP's authors do it. Shapes: (B, T, 3, H, W) → (B, #class).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dfer.methods.zero_shot import Settings
from dfer.models.backbone import load_backbone, vision_of
from dfer.models.clip_method import ClipMethod
from dfer.models.vit import ImageTower
from dfer.settings import BackboneSettings


class ZeroShot(ClipMethod):
    """The image tower, and the features of what is read for each class (a buffer)."""

    def __init__(self, settings: Settings, architecture: Mapping[str, Any], words: Sequence[str]):
        super().__init__()
        self.settings, self.words = settings, words
        self.image = ImageTower(vision_of(architecture))
        self.register_buffer("classes", torch.zeros(len(words), architecture["embed_dim"]))

    @torch.no_grad()
    def start_from(self, backbone: BackboneSettings) -> None:
        from open_clip.tokenizer import SimpleTokenizer

        clip = load_backbone(backbone.model, backbone.weights)
        self.image.load_state_dict(clip.visual.state_dict())
        tokenise = SimpleTokenizer(context_length=clip.context_length)
        features = [
            F.normalize(clip.encode_text(tokenise([t.format(word=w) for w in self.words])), dim=-1)
            for t in self.settings.templates
        ]
        self.classes.copy_(torch.stack(features).mean(dim=0))

    def class_features(self, v: Tensor) -> Tensor:
        return self.classes.unsqueeze(0)


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> ZeroShot:
    """See `dfer.models.method.make`."""
    return ZeroShot(settings, architecture, words)
