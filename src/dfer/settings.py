"""The resolved settings of one run, as typed values.

A run's identity is its content: dataset, fold, seed and a `RunSettings`. Two tables that need the
same settings share the run (`RunSettings.key`), whatever names their variants have. Defaults are
those of the paper (Section 4.1) and, where it is silent, of `config/README.md`.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class BackboneSettings:
    """The CLIP that a run starts from."""

    model: str = "ViT-B-32-quickgelu"  # open_clip's name, or the path of a JSON configuration
    weights: str | None = "openai"  # open_clip's pretrained tag, or the path of a checkpoint
    # backbone: by mean and std of the images it was trained on. none: values in 0…1 as they are.
    normalise: Literal["backbone", "none"] = "backbone"


@dataclass(frozen=True)
class ModelSettings:
    """What stands between CLIP's image tower and the logits (Section 3)."""

    frames: int = 8  # T
    interfit: bool = True  # Eq. 2–3 in every layer
    aggregation: Literal["msta", "mean"] = "msta"  # Eq. 4–8, or the mean over frames
    kernels: tuple[int, ...] = (5, 5, 7)  # ks_i of Eq. 4, as printed
    strides: tuple[int, ...] = (3, 3, 1)  # ss_i of Eq. 4
    head: Literal["text", "linear"] = "text"  # cosine with class text, or Linear ("w/o text")
    blocks: int = 2  # M of Eq. 10; 0 leaves BiEhPro out
    prompts: Literal["both", "text"] = "both"  # "text": V̂ = V ("w/o VP", Table 5)
    pairing: Literal["pair", "joint"] = "pair"  # (K_j, V) alone as in Eq. 10, or all K_j together
    alpha: float = 0.1  # initial α of Eq. 11
    beta: float = 0.1  # initial β of Eq. 11
    temperature: float = 0.01  # τ of Eq. 12
    learn_temperature: bool = False  # τ as a parameter (CLIP's logit scale)


@dataclass(frozen=True)
class AugmentSettings:
    """Random changes of a training clip, the same for all its frames (Section 4.1)."""

    crop_scale: tuple[float, float] = (0.8, 1.0)  # area of the random resized crop
    crop_ratio: tuple[float, float] = (0.9, 1.1)  # its aspect ratio
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.05  # in turns of the colour circle
    flip: float = 0.5  # probability of a horizontal flip


@dataclass(frozen=True)
class TrainSettings:
    """The optimisation (Section 4.1)."""

    share: float = 1.0  # of each class's train clips; the smaller share lies in the larger one
    epochs: int = 100
    batch: int = 32
    lr: float = 2e-5
    min_lr: float = 2e-7
    lr_factor: float = 1.0  # lr of InterFIT, MSTA, BiEhPro and the linear head over lr
    warmup_epochs: int = 5
    weight_decay: float = 5e-4  # not on biases and 1-D parameters
    betas: tuple[float, float] = (0.9, 0.98)
    max_gradient_norm: float | None = None
    gradient_checkpointing: bool = False  # less memory, more time, the same numbers (`ImageTower`)
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # `dfer.training.device`
    # Which epoch's weights are evaluated. last: no choice is made. val: the best WAR on a tenth of
    # the train set that is held out. test: the best WAR on the test set itself, as most published
    # codes do; an optimistic choice, so it is named wherever its numbers stand.
    checkpoint: Literal["last", "val", "test"] = "last"
    augment: AugmentSettings = field(default_factory=AugmentSettings)


@dataclass(frozen=True)
class RunSettings:
    """All that decides a run's numbers, but dataset, fold and seed."""

    backbone: BackboneSettings = field(default_factory=BackboneSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    train: TrainSettings = field(default_factory=TrainSettings)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "RunSettings":
        """Settings from nested plain values; what is left out has its default.

        Raises:
            TypeError: a name that there is not.
        """
        return _build(cls, values)

    def to_json(self) -> str:
        """One line, sorted, every default written out."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=False)

    @property
    def key(self) -> str:
        """A folder name: what the model consists of, then a digest of all settings."""
        model = self.model
        parts = ["interfit"] * model.interfit + ["msta"] * (model.aggregation == "msta")
        if model.head == "linear":
            parts += ["linear"]
        elif model.blocks:
            parts += [f"biehpro{model.blocks}" + "-text" * (model.prompts == "text")]
        digest = hashlib.sha256(self.to_json().encode()).hexdigest()[:8]
        return "+".join(parts or ["backbone"]) + "." + digest


def unused_modules(settings: RunSettings) -> set[str]:
    """Modules that runs of these settings do not use, so that an edit there leaves them alone."""
    model = settings.model
    used = {
        "dfer.models.interfit": model.interfit,
        "dfer.models.msta": model.aggregation == "msta",
        "dfer.models.biehpro": model.head == "text" and model.blocks > 0,
    }
    return {module for module, is_used in used.items() if not is_used}


def _build(cls: type, values: dict[str, Any]) -> Any:
    """A dataclass from a dict: nested dataclasses built, lists made tuples, numbers typed."""
    known = {f.name: f for f in dataclasses.fields(cls)}
    if unknown := sorted(set(values) - set(known)):
        raise TypeError(f"{cls.__name__} has no {', '.join(unknown)}; it has {', '.join(known)}")
    built = {}
    for name, value in values.items():
        kind = known[name].type
        if dataclasses.is_dataclass(kind):
            value = _build(kind, value)
        elif isinstance(value, list):
            value = tuple(value)
        elif kind in (float, float | None) and value is not None:
            value = float(value)  # so that 1 and 1.0 are the same run; YAML reads 2e-5 as a string
        built[name] = value
    return cls(**built)
