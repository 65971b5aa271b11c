"""Settings of VGG13-LSTM, the network of Freq-HD (`dfer.models.peers.freq_hd`)."""

from dataclasses import dataclass
from typing import ClassVar

from dfer.video_settings import VideoSettings


@dataclass(frozen=True)
class Settings(VideoSettings):
    """Frames as VGG takes them, inferred like the rest, and what VGG13 starts from."""

    module: ClassVar[str] = "dfer.models.peers.freq_hd"
    name: ClassVar[str] = "freq_hd"
    size: int = 224
    weights: str = ""  # of VGG13: a name of `dfer.models.pretrained` or a path; "": none
