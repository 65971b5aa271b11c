"""A CLIP too small to be of use, filled by a stated rule: what the golden outputs were made with.

A tensor's numbers are those of NumPy's frozen generator, seeded by the CRC-32 of its name.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dfer.models.backbone import load_backbone
from dfer.settings import BackboneSettings

WORDS = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
ARCHITECTURE = {
    "embed_dim": 512,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "patch_size": 32, "width": 128, "layers": 2, "head_width": 64},
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 128,
        "heads": 2,
        "layers": 2,
    },
}


def value(name: str, *shape: int) -> Tensor:
    """The numbers of the tensor of this name, float32."""
    z = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    parts = name.split(".")
    if name == "logit_scale":
        z = np.log(100.0)
    elif any(part.startswith("ln") for part in parts):
        z = 1 + 0.1 * z if parts[-1] == "weight" else 0.1 * z
    elif parts[-1] in ("bias", "in_proj_bias"):
        z = 0.05 * z
    elif parts[-1] in ("proj", "text_projection"):
        z = z / np.sqrt(shape[0])
    elif parts[-1] == "positional_embedding":
        z = 0.1 * z
    elif parts[-1] == "class_embedding" or name.startswith(("token_embedding.", "prompt.")):
        z = 0.5 * z
    elif not name.startswith(("tm.cls_token", "tm.pos_embedding", "input.")):
        z = z / np.sqrt(np.prod(shape[1:]))
    return torch.tensor(z, dtype=torch.float32)


def write(folder: Path) -> BackboneSettings:
    """The CLIP as files, and the settings that name them."""
    model, weights = str(folder / "mini.json"), str(folder / "mini.pt")
    Path(model).write_text(json.dumps(ARCHITECTURE))
    shapes = load_backbone(model, None).state_dict()
    torch.save({name: value(name, *tensor.shape) for name, tensor in shapes.items()}, weights)
    return BackboneSettings(model, weights)


def clips(frames: int) -> Tensor:
    """Two clips of so many frames."""
    return value(f"input.clips.T{frames}", 2, frames, 3, 64, 64)


def fill(module: torch.nn.Module, prefix: str) -> None:
    """The numbers of a module's parameters, whose names begin with `prefix`."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(value(prefix + name, *parameter.shape))
