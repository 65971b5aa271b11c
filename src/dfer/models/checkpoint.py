"""A trained run as one safetensors file, which is whole in itself.

The tensors are the weights and the class texts' features; the header says all else that is needed
to use them. No pickle, no CLIP checkpoint, no configuration and no path is read with it, so a run's
folder works from anywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dfer.errors import UserError
from dfer.models.backbone import PixelStatistics, normaliser
from dfer.models.method import Method, make
from dfer.models.sealed import read_sealed, save_sealed
from dfer.settings import RunSettings

TEXT = "text"  # the tensor of the class texts' features
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

    model: Method
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
        return self.model.image_size

    @property
    def normalise(self) -> Callable[[Tensor], Tensor]:
        """The function from frames (…, 3, H, W) uint8 to float32 as the model wants them."""
        return normaliser(self.pixels, self.device)


def save_run(run: TrainedRun, path: Path | str) -> None:
    """Write a run whole; equal runs give equal bytes."""
    header = {name: getattr(run, name) for name in HEADER} | {"settings": run.settings.to_dict()}
    save_sealed(header, {TEXT: run.text} | run.model.state_dict(), path)


def load_run(path: Path | str) -> TrainedRun:
    """Read what `save_run` wrote; no other file is needed.

    Raises:
        UserError: the file is missing, unreadable, damaged, not of a run, or of another
            architecture.
    """
    try:
        header, tensors = read_sealed(path)
        if unknown := sorted(set(header) - {*HEADER, "settings"}):
            raise KeyError(unknown[0])
        values = {name: header[name] for name in HEADER}
        settings = RunSettings.from_dict(header["settings"])
        values["pixels"] = tuple(map(tuple, values["pixels"]))
        text = tensors[TEXT]
        model = make(settings.model, values["architecture"], values["words"], text)
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint. Train the run first.") from None
    except UserError:
        raise
    except Exception as error:  # of `read_sealed`, or a header that no run of this version has
        raise UserError(
            f"{path}: not a checkpoint of a run ({error}). Delete it: the run is trained again."
        ) from None
    if TEXT not in model.state_dict():  # a linear head, or a method that reads texts of its own
        del tensors[TEXT]
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(
            f"{path}: the weights are not those of its settings ({str(error).splitlines()[1]}). "
            "They come from other code: delete the file and the run is trained again."
        ) from None
    return TrainedRun(model=model.eval(), settings=settings, text=text, **values)
