"""What the methods on CLIP share: frame features of its image tower, and cosines with texts."""

import torch.nn.functional as F
from torch import Tensor, nn

from dfer.models.backbone import load_image_tower
from dfer.models.method import Method, part_of
from dfer.models.vit import ImageTower
from dfer.settings import BackboneSettings


class ClipMethod(Method):
    """A clip's similarity to each class; here as it is in most methods.

        Z = image tower, frame by frame     `frame_features`   (B, T, 3, H, W) → (B, T, D)
        V = mean over frames                `aggregate`        (B, T, D) → (B, D)
        cos(V, K_j) of each class           `similarity`       (B, D) → (B, #class)
        logits = cos / τ                    `classify`         (B, D) → (B, #class), float32

    Attributes:
        image: CLIP's image tower.
        frame_parts: the parts that `frame_features` depends on.
    """

    image: ImageTower
    frame_parts: tuple[str, ...] = ("image",)

    @property
    def image_size(self) -> int:
        return self.image.config.image_size

    @property
    def width(self) -> int:
        return self.image.config.width

    @property
    def gradient_checkpointing(self) -> bool:
        return self.image.gradient_checkpointing

    @gradient_checkpointing.setter
    def gradient_checkpointing(self, value: bool) -> None:
        self.image.gradient_checkpointing = value

    def features(self, clips: Tensor, maps: list[Tensor] | None = None) -> Tensor:
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
        return self.similarity(v) / self.settings.temperature

    def start_from(self, backbone: BackboneSettings) -> None:
        self.image.load_state_dict(load_image_tower(backbone.model, backbone.weights))

    def new_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that CLIP's image tower does not bring, by name."""
        return {n: p for n, p in self.named_parameters() if part_of(n) != "image"}

    def sees_frames_alike(self) -> bool:
        return not any(
            parameter.requires_grad
            for name, parameter in self.named_parameters()
            if part_of(name) in self.frame_parts
        )
