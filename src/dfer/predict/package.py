"""A trained run as a package: its files, and its configuration, which is read without torch.

    model.safetensors    the checkpoint: weights, class texts, and all that is needed to use them
    model.onnx           optional: frames (B, T, 3, S, S) uint8 → logits (B, #class)
    config.json          the checkpoint's header again, for people and for `model.onnx`
    README.md            the model card

`dfer export` writes one, as a folder or a zip; `dfer.load` and `dfer predict` read it.
"""

import dataclasses
import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from dfer.errors import UserError
from dfer.files import sha256

WEIGHTS, GRAPH, CONFIG, CARD = "model.safetensors", "model.onnx", "config.json", "README.md"
LIBRARY = "dfer"
FORMAT = 1  # of config.json; a later one may be unreadable to this version


@dataclass(frozen=True)
class Config:
    """What config.json says.

    Attributes:
        dfer_version: that exported it.
        run: key of the run's settings.
        settings: of the run, as `dfer.settings.RunSettings.to_dict` gives them.
        architecture … seed: as in `dfer.models.checkpoint.TrainedRun`.
        frames: T.
        image_size: S, pixels a side.
        sampler: which frames of a clip are seen (`dfer.clips.sampling`).
        sha256: of the package's large files, by name.
    """

    dfer_version: str
    run: str
    settings: dict[str, Any]
    architecture: dict[str, Any]
    pixels: list[list[float]]
    dataset: str
    classes: list[str]
    words: list[str]
    landmarks: dict[str, Any] | None
    synthetic: bool
    fold: int
    seed: int
    frames: int
    image_size: int
    sampler: str
    sha256: dict[str, str]

    def to_json(self) -> str:
        """The text of config.json."""
        values = {"library_name": LIBRARY, "format": FORMAT} | dataclasses.asdict(self)
        return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


def read_config(path: Path) -> Config:
    """Read a config.json.

    Raises:
        UserError: it is missing, damaged, or not of a package of this project and version.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or values.pop("library_name", None) != LIBRARY:
            raise UserError(
                f"{path.parent}: a model of something else than dfer, by its {CONFIG}. Give what "
                "`dfer export` wrote."
            )
        if (written := values.pop("format", None)) != FORMAT:
            raise UserError(
                f"{path}: of format {written}, and this dfer reads {FORMAT}. Use the version "
                f"that exported it ({values.get('dfer_version')})."
            )
        return Config(**values)
    except FileNotFoundError:
        raise UserError(
            f"{path.parent}: not a package of dfer: there is no {CONFIG} in it. Give a folder that "
            "`dfer export` wrote, whole."
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: not a configuration ({error}). Export the run again.") from None


def other_version(source: object, config: Config, error: Exception) -> UserError:
    """What to say of a whole package that this version cannot use."""
    return UserError(
        f"{source}: exported by dfer {config.dfer_version}, and this is "
        f"{metadata.version('dfer')}, which cannot use it ({error}). Install that version."
    )


def check_content(path: Path, config: Config, name: str) -> None:
    """Refuse a file of a package that is not as it was exported.

    Args:
        path: of the file.
        name: under which `config` knows it.

    Raises:
        UserError: it is missing, damaged, or of another export.
    """
    if name not in config.sha256:
        raise UserError(
            f"{path}: this package was exported without {name}. "
            + (
                "Export the run again, with --with-onnx."
                if name == GRAPH
                else "Export the run again."
            )
        )
    try:
        found = sha256(path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}). Copy the package whole."
        ) from None
    if found != config.sha256[name]:
        raise UserError(
            f"{path}: not the file that {CONFIG} beside it names: damaged, or of another export. "
            "Copy or export the package again."
        )
