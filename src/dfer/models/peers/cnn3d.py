"""What the 3-D convolutional networks share: colour stands before time."""

from torch import Tensor

from dfer.models.video_network import VideoNetwork


class Cnn3d(VideoNetwork):
    """V = body(clips), logits = head(V). Shapes: the body's (B, 3, T, H, W) → (B, D)."""

    def features(self, clips: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        self.check_frames(clips)
        return self.body(clips.transpose(1, 2))
