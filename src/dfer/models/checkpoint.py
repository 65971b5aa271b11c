"""A trained run as one safetensors file: the weights, and in its header what is needed to use them.

No pickle, and no CLIP checkpoint is needed to read it: the tower's weights and the class texts'
features are in the file, its shape is in the settings.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dfer.errors import UserError
from dfer.files import atomic
from dfer.models.backbone import vision_config
from dfer.models.recogniser import Recogniser
from dfer.settings import RunSettings


@dataclass(frozen=True)
class TrainedRun:
    """A trained model and what it was trained as."""

    model: Recogniser  # on the CPU, in eval mode
    settings: RunSettings
    dataset: str
    classes: list[str]  # labels, in the order of the logits
    fold: int
    seed: int


def save_run(
    model: Recogniser,
    path: Path | str,
    settings: RunSettings,
    *,
    dataset: str,
    classes: list[str],
    fold: int,
    seed: int,
) -> None:
    """Write the model's weights, with what `TrainedRun` says of them in the header."""
    header = {"settings": json.loads(settings.to_json()), "dataset": dataset}
    header |= {"classes": classes, "fold": fold, "seed": seed}
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    with atomic(path) as temporary:
        save_file(tensors, temporary, {"run": json.dumps(header, sort_keys=True)})


def load_run(path: Path | str) -> TrainedRun:
    """Read what `save_run` wrote.

    Raises:
        UserError: the file is missing, damaged, not of a run, or of another architecture.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["run"])
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint. Train the run first.") from None
    except (SafetensorError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not a checkpoint of a run ({error}). Delete it: the run is trained again."
        ) from None
    settings = RunSettings.from_dict(header["settings"])
    classes = header["classes"]
    vision = vision_config(settings.backbone.model)
    text = weights.get("text", torch.zeros(len(classes), vision.embed_dim))
    model = Recogniser(settings.model, vision, text)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"{path}: the weights are not those of its settings ({str(error).splitlines()[1]}). "
            "They come from other code: delete the file and the run is trained again."
        ) from None
    names = {key: header[key] for key in ("dataset", "classes", "fold", "seed")}
    return TrainedRun(model.eval(), settings, **names)
