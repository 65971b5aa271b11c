"""What the networks without CLIP share: a body, a classifier, and no text."""

from torch import Tensor, nn

from dfer.models.method import Method
from dfer.video_settings import VideoSettings


class VideoNetwork(Method):
    """V = body(clips), logits = head(V).

    Shapes: (B, T, 3, H, W) → V (B, D) → (B, #class).

    Attributes:
        body: all that stands before the classifier.
        head: the classifier.
    """

    settings: VideoSettings
    body: nn.Module
    head: nn.Module
    width = 0  # convolutions stay in fp32 on a CPU

    @property
    def image_size(self) -> int:
        return self.settings.size

    def features(self, clips: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        self.check_frames(clips)
        return self.body(clips)

    def classify(self, v: Tensor) -> Tensor:
        return self.head(v).float()
