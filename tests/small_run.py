"""A trained run of the tiny CLIP with fixed weights; its classes mean nothing."""

from pathlib import Path
from typing import Any

from goldens import fill, normal

from dfer.models.backbone import pixel_statistics, read_config, vision_of
from dfer.models.checkpoint import TrainedRun
from dfer.models.recogniser import Recogniser
from dfer.settings import BackboneSettings, ModelSettings, RunSettings

TINY = str(Path(__file__).parents[1] / "config" / "backbone" / "tiny.json")
WORDS = {"happy": "happiness", "sad": "sadness", "neutral": "neutral"}
CLASSES = list(WORDS)


def small_run(
    model: dict[str, Any] | None = None, architecture: str = TINY, **changes: Any
) -> TrainedRun:
    """The run.

    Args:
        model: model settings other than the defaults and `blocks: 1`.
        architecture: path of the CLIP's configuration.
        changes: of other attributes of the run.
    """
    settings = RunSettings(
        BackboneSettings(architecture, None), ModelSettings(**{"blocks": 1} | (model or {}))
    )
    content, text = read_config(architecture), normal(7, len(CLASSES), 32)
    values = {
        "model": fill(Recogniser(settings.model, vision_of(content), text)).eval(),
        "settings": settings,
        "architecture": content,
        "pixels": pixel_statistics(settings.backbone),
        "text": text,
        "dataset": "mine",
        "classes": CLASSES,
        "words": list(WORDS.values()),
        "landmarks": {"backend": "dlib", "every": 8, "min_face_share": 0.3},
        "synthetic": False,
        "fold": 1,
        "seed": 0,
    }
    return TrainedRun(**values | changes)
