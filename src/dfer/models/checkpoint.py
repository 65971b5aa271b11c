"""A trained run as one safetensors file, which is whole in itself.

The tensors are the weights and the class texts' features; the header says all else that is needed
to use them. No pickle, no CLIP checkpoint, no configuration and no path is read with it, so a run's
folder works from anywhere.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from dfer.errors import UserError
from dfer.files import check_readable, write_bytes
from dfer.models.backbone import PixelStatistics, normaliser, vision_of
from dfer.models.recogniser import Recogniser
from dfer.settings import RunSettings

TEXT = "text"  # the tensor of the class texts' features
SEAL = "sha256"  # in the header: a digest of all else
HEADER = (  # attributes of `TrainedRun` that the header holds as they are; settings come beside
    *("architecture", "pixels", "dataset", "classes", "words"),
    *("landmarks", "synthetic", "fold", "seed"),
)


@dataclass(frozen=True)
class TrainedRun:
    """A trained model and what it was trained as.

    Attributes:
        model: in eval mode; on the CPU as it is loaded.
        settings: of the run. What `settings.backbone` names is not needed any more.
        architecture: the content of the CLIP's open_clip configuration.
        pixels: mean and standard deviation that frames are normalised with.
        text: features of the class words, (#class, D) float32; of every head, linear ones too.
        dataset: its name.
        classes: labels, in the order of the logits.
        words: the class words, in the same order.
        landmarks: settings that the faces were aligned with (`dfer.faces.backends.read_settings`
            takes them); None where the release brought face crops.
        synthetic: whether the faces were rendered.
        fold, seed: of the run.
    """

    model: Recogniser
    settings: RunSettings
    architecture: dict[str, Any]
    pixels: PixelStatistics
    text: Tensor
    dataset: str
    classes: list[str]
    words: list[str]
    landmarks: dict[str, Any] | None
    synthetic: bool
    fold: int
    seed: int

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def image_size(self) -> int:
        """Pixels a side of the frames that the model takes."""
        return self.model.image.config.image_size

    @property
    def normalise(self) -> Callable[[Tensor], Tensor]:
        """The function from frames (…, 3, H, W) uint8 to float32 as the model wants them."""
        return normaliser(self.pixels, self.device)


def save_run(run: TrainedRun, path: Path | str) -> None:
    """Write a run whole; equal runs give equal bytes."""
    header = {name: getattr(run, name) for name in HEADER} | {"settings": asdict(run.settings)}
    tensors = {TEXT: run.text} | run.model.state_dict()
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    header |= {SEAL: sealed(header, tensors)}
    text = json.dumps(header, sort_keys=True)  # one entry: safetensors keeps no order of two
    write_bytes(save(tensors, {"run": text}), path)


def sealed(header: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """A digest of all that a checkpoint holds: safetensors itself has no checksum."""
    found = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def load_run(path: Path | str) -> TrainedRun:
    """Read what `save_run` wrote; no other file is needed.

    Raises:
        UserError: the file is missing, unreadable, damaged, not of a run, or of another
            architecture.
    """
    try:
        check_readable(path)
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["run"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        seal = header.pop(SEAL, None)  # runs of version 0.2.0 have none
        if unknown := sorted(set(header) - {*HEADER, "settings"}):
            raise KeyError(unknown[0])
        harmed = seal is not None and seal != sealed(header, tensors)
        values = {name: header[name] for name in HEADER}
        settings = RunSettings.from_dict(header["settings"])
        values["pixels"] = tuple(map(tuple, values["pixels"]))
        text = tensors[TEXT]
        model = Recogniser(settings.model, vision_of(values["architecture"]), text)
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint. Train the run first.") from None
    except UserError:
        raise
    except Exception as error:  # of safetensors, JSON, or of torch for a size that cannot be
        raise UserError(
            f"{path}: not a checkpoint of a run ({error}). Delete it: the run is trained again."
        ) from None
    if TEXT not in model.state_dict():  # a linear head
        del tensors[TEXT]
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(
            f"{path}: the weights are not those of its settings ({str(error).splitlines()[1]}). "
            "They come from other code: delete the file and the run is trained again."
        ) from None
    if harmed:
        raise UserError(
            f"{path}: not a checkpoint of a run (its numbers are not those that were written). "
            "Delete it: the run is trained again."
        )
    return TrainedRun(model=model.eval(), settings=settings, text=text, **values)
