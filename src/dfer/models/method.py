"""What every method is to training, evaluation, heat maps and the count of operations.

A method's module has `make(settings, architecture, words, text)`, which gives a `Method`: new
modules drawn from torch's generator, those of CLIP with whatever numbers. `start_from` then takes
the weights that training begins with, or `load_state_dict` all of a trained run's. Methods on CLIP
are `dfer.models.clip_method.ClipMethod`, all others `dfer.models.video_network.VideoNetwork`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from dfer.errors import UserError
from dfer.models.backbone import PixelStatistics, pixel_statistics, read_config, vision_config
from dfer.settings import BackboneSettings
from dfer.video_settings import PIXELS

Criterion = Callable[[Tensor, Tensor], Tensor]  # logits (B, #class), class indices (B,) → ()


class Method(nn.Module):
    """A clip → logits of the classes.

        V of a clip            `features`       (B, T, 3, H, W) → (B, D)
        logits                 `classify`       (B, D) → (B, #class), float32
        what is minimised      `loss_of_clips`

    A part of a model is what its parameters' names begin with: `image.…` is CLIP's image tower.
    What a method does not train has no gradient from the start.

    Attributes:
        settings: the method's.
        image_size: pixels a side of the frames that it takes.
        width: of its matrix products, see `dfer.training.device.precision`.
        gradient_checkpointing: whether less is kept for the backward pass, at the cost of time.
    """

    settings: Any
    image_size: int
    width: int
    gradient_checkpointing: bool = False

    def forward(self, clips: Tensor) -> Tensor:
        """(B, T, 3, H, W) normalised frames → logits (B, #class), float32."""
        return self.classify(self.features(clips))

    def features(self, clips: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """(B, T, 3, H, W) → V (B, D). `maps` collects attention weights, see `ImageTower`."""
        raise NotImplementedError

    def classify(self, v: Tensor) -> Tensor:
        """V (B, D) → logits (B, #class), float32 whatever the autocast."""
        raise NotImplementedError

    def loss(
        self, v: Tensor, labels: Tensor, criterion: Criterion = F.cross_entropy
    ) -> tuple[Tensor, Tensor]:
        """V (B, D) and class indices (B,) → what is minimised, and the logits.

        Args:
            criterion: the cross-entropy of the recipe (`dfer.training.criterion`).
        """
        logits = self.classify(v)
        return criterion(logits, labels), logits

    def loss_of_clips(
        self, clips: Tensor, labels: Tensor, criterion: Criterion = F.cross_entropy
    ) -> tuple[Tensor, Tensor]:
        """As `loss`, from normalised frames (B, T, 3, H, W)."""
        return self.loss(self.features(clips), labels, criterion)

    def start_from(self, backbone: BackboneSettings) -> None:
        """Take the weights that training starts from; by default there are none.

        Raises:
            UserError: they are missing, damaged, or those of something else.
        """

    def train_parts(self, frozen: Iterable[str]) -> None:
        """Let all parts be trained that the method itself trains, but those in `frozen`."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(part_of(name) not in {*self.settings.untrained, *frozen})

    def sees_frames_alike(self) -> bool:
        """Whether frame features of a clip stay the same while the method is trained as it stands.

        Only a `ClipMethod` has any.
        """
        return False

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
    """A method without the weights that it starts from.

    Args:
        settings: of a method (`dfer.settings.method_settings`).
        architecture: the content of an open_clip configuration; see `architecture`.
        words: the class words, in class order.
        text: their features, (#class, D) float32, as `dfer.training.text` writes them. A method
            without CLIP reads none.

    Raises:
        UserError: settings that contradict each other, or text features of another CLIP.
    """
    if faults := settings.faults(tuple(words)):
        raise UserError(f"model.{faults[0]}.")
    model = import_module(settings.module).make(settings, architecture, words, text)
    model.train_parts(())
    return model


def build(settings: Any, backbone: BackboneSettings, words: Sequence[str], text: Tensor) -> Method:
    """A method as training begins; new modules are drawn from torch's generator.

    Raises:
        UserError: see `make` and `Method.start_from`.
    """
    model = make(settings, architecture(settings, backbone), words, text)
    model.start_from(backbone)
    return model


def architecture(settings: Any, backbone: BackboneSettings) -> dict[str, Any]:
    """The open_clip configuration of a method's CLIP; empty where it has none."""
    return read_config(backbone.model) if settings.uses_clip else {}


def pixels(settings: Any, backbone: BackboneSettings) -> PixelStatistics:
    """Mean and standard deviation of each RGB channel, in 0…1, that frames are normalised with."""
    return pixel_statistics(backbone) if settings.uses_clip else PIXELS[settings.pixels]


def image_size(settings: Any, backbone: BackboneSettings) -> int:
    """Pixels a side of the frames that a method takes."""
    return vision_config(backbone.model).image_size if settings.uses_clip else settings.size
