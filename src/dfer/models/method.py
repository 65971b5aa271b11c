"""What every method is to training, evaluation, heat maps and the count of operations.

A method's module has `make(settings, architecture, words, text)`, which gives a `Method`: new
modules drawn from torch's generator, those of CLIP with whatever numbers. `start_from` then takes
CLIP's weights, or `load_state_dict` all of a trained run's.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from dfer.errors import UserError
from dfer.models.backbone import load_image_tower, read_config
from dfer.models.vit import ImageTower
from dfer.settings import BackboneSettings


class Method(nn.Module):
    """A clip's similarity to each class; here as it is in most methods.

        Z = image tower, frame by frame     `frame_features`   (B, T, 3, H, W) → (B, T, D)
        V = mean over frames                `aggregate`        (B, T, D) → (B, D)
        cos(V, K_j) of each class           `similarity`       (B, D) → (B, #class)
        logits = cos / τ                    `classify`         (B, D) → (B, #class), float32
        cross-entropy                       `loss`

    A part of a model is what its parameters' names begin with: `image.…` is the image tower. What
    a method does not train has no gradient from the start.

    Attributes:
        settings: the method's.
        image: CLIP's image tower; all methods have one.
        frame_parts: the parts that `frame_features` depends on.
    """

    settings: Any
    image: ImageTower
    frame_parts: tuple[str, ...] = ("image",)

    def forward(self, clips: Tensor) -> Tensor:
        """(B, T, 3, H, W) normalised frames → logits (B, #class), float32."""
        return self.classify(self.features(clips))

    def features(self, clips: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """(B, T, 3, H, W) → V (B, D). `maps` collects attention weights, see `ImageTower`."""
        return self.aggregate(self.frame_features(clips, maps))

    def frame_features(self, clips: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """(B, T, 3, H, W) → Z (B, T, D)."""
        self.check_frames(clips)
        return self.image(clips, maps=maps)

    def aggregate(self, z: Tensor) -> Tensor:
        """Z (B, T, D) → V (B, D)."""
        return z.mean(dim=1)

    def similarity(self, v: Tensor) -> Tensor | None:
        """V (B, D) → cosines with the classes (B, #class), float32; None for a head without text.

        By default with all that `class_features` gives.
        """
        return F.cosine_similarity(v.float().unsqueeze(1), self.class_features(v).float(), dim=-1)

    def class_features(self, v: Tensor) -> Tensor:
        """Features of the classes for V (B, D), (1 or B, #class, D)."""
        raise NotImplementedError

    def classify(self, v: Tensor) -> Tensor:
        """V (B, D) → logits (B, #class), float32 whatever the autocast."""
        return self.similarity(v) / self.settings.temperature

    def loss(self, v: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """V (B, D) and class indices (B,) → what is minimised, and the logits."""
        logits = self.classify(v)
        return F.cross_entropy(logits, labels), logits

    def start_from(self, backbone: BackboneSettings) -> None:
        """Take CLIP's weights.

        Raises:
            UserError: see `dfer.models.backbone.load_backbone`.
        """
        self.image.load_state_dict(load_image_tower(backbone.model, backbone.weights))

    def new_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that CLIP's image tower does not bring, by name."""
        return {n: p for n, p in self.named_parameters() if part_of(n) != "image"}

    def train_parts(self, frozen: Iterable[str]) -> None:
        """Let all parts be trained that the method itself trains, but those in `frozen`."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(part_of(name) not in {*self.settings.untrained, *frozen})

    def sees_frames_alike(self) -> bool:
        """Whether Z of a clip stays the same while the method is trained as it stands now."""
        return not any(
            parameter.requires_grad
            for name, parameter in self.named_parameters()
            if part_of(name) in self.frame_parts
        )

    def check_frames(self, clips: Tensor) -> None:
        """Raise a UserError for clips that do not have T frames."""
        if clips.ndim != 5 or clips.shape[1] != self.settings.frames:
            raise UserError(
                f"clips of shape {tuple(clips.shape)}: this model takes (B, T, 3, H, W) with "
                f"T = {self.settings.frames}. Sample as many frames as its settings say."
            )


def part_of(name: str) -> str:
    """The part of a model that a parameter belongs to."""
    return name.partition(".")[0]


def make(
    settings: Any, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> Method:
    """A method without CLIP's weights.

    Args:
        settings: of a method (`dfer.settings.method_settings`).
        architecture: the content of an open_clip configuration.
        words: the class words, in class order.
        text: their features, (#class, D) float32, as `dfer.training.text` writes them.

    Raises:
        UserError: settings that contradict each other, or text features of another CLIP.
    """
    model = import_module(settings.module).make(settings, architecture, words, text)
    model.train_parts(())
    return model


def build(settings: Any, backbone: BackboneSettings, words: Sequence[str], text: Tensor) -> Method:
    """A method with CLIP's weights; new modules are drawn from torch's generator.

    Raises:
        UserError: see `make` and `Method.start_from`.
    """
    model = make(settings, read_config(backbone.model), words, text)
    model.start_from(backbone)
    return model
