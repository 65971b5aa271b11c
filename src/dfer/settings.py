"""The resolved settings of one run, as typed values.

A run's identity is its content: dataset, fold, seed and a `RunSettings`. Two tables that need the
same settings share the run (`RunSettings.key`), whatever names their variants have. Defaults are
those of the paper (Section 4.1) and, where it is silent, of `config/README.md`.

`model.method` chooses the method. The paper's own is `bidirectional` (`ModelSettings`); each other
has a file of settings in `dfer.methods`, and its model under the same name in `dfer.models.peers`.
"""

import dataclasses
import hashlib
import json
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

OWN = "bidirectional"  # the paper's method
LATER = {"later": True}
DIVISORS = {"pairs": 2, "snippets": 7}  # sampler → what T must be a multiple of


def later(default: Any) -> Any:
    """A field that settings did not always have: at its default it is left out of their text.

    So the runs that were made before keep their names.
    """
    return field(default=default, metadata=LATER)


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

    module: ClassVar[str] = "dfer.models.recogniser"
    uses_clip: ClassVar[bool] = True
    # Parts of the model, as `train.part_lr` and `train.frozen` name them; and those that the method
    # itself does not train, whatever these say.
    parts: ClassVar[tuple[str, ...]] = (
        *("image", "interfit", "msta", "biehpro", "linear", "logit_scale"),
    )
    untrained: ClassVar[tuple[str, ...]] = ()
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

    @property
    def name(self) -> str:
        """What the model consists of, as run folders are called."""
        parts = ["interfit"] * self.interfit + ["msta"] * (self.aggregation == "msta")
        if self.head == "linear":
            parts += ["linear"]
        elif self.blocks:
            parts += [f"biehpro{self.blocks}" + "-text" * (self.prompts == "text")]
        return "+".join(parts or ["backbone"])

    def faults(self, words: tuple[str, ...]) -> list[str]:
        """What does not go together, for classes with these words."""
        found = []
        if self.head == "linear" and self.blocks:
            found.append("head: linear has no text for BiEhPro; set blocks: 0")
        if len(self.kernels) != len(self.strides):
            found.append("as many strides as kernels are needed")
        return found


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
    # How the aspect ratio is drawn. log: log-uniform in `crop_ratio`, as torchvision. swapped:
    # uniform in it, then width and height change places half of the time, as DFER-CLIP's loader.
    crop_law: Literal["log", "swapped"] = later("log")
    rotation: float = later(0.0)  # largest angle in degrees, to either side


@dataclass(frozen=True)
class TrainSettings:
    """The optimisation (Section 4.1)."""

    # Of each class's train clips; a smaller share lies in the larger one.
    share: float = later(1.0)
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
    sampler: str = later("segments")  # of `dfer.clips.sampling.SAMPLERS`, or freq_hd
    drop_last: bool = later(False)  # leave out an epoch's last batch where it is smaller
    optimiser: Literal["adamw", "adam", "sgd"] = later("adamw")  # adam: decay as part of gradients
    momentum: float = later(0.9)  # of SGD
    eps: float = later(1e-8)  # of AdamW and Adam
    label_smoothing: float = later(0.0)  # share of the target that all classes have alike
    # λ of the prior correction: the cross-entropy is of s_j + λ ln π_j, π_j the share of class j in
    # the clips that are trained on; predictions are by s alone. 0: none.
    prior: float = later(0.0)
    balanced: bool = later(False)  # an epoch has as many clips of each class, and no more clips
    hold_out: bool = later(False)  # leave the held-out tenth out, whatever the checkpoint rule
    decay_all: bool = later(False)  # weight decay on biases and 1-D parameters, too
    # cosine: warm-up, then half a cosine to `min_lr`. step: × `gamma` at each of `milestones`.
    # coop: 1e-5 in the first epoch, then a cosine by epoch. constant: `lr`. plateau: × `gamma`
    # where the loss of training has not fallen for more than `patience` epochs.
    schedule: Literal["cosine", "step", "coop", "constant", "plateau"] = later("cosine")
    milestones: tuple[int, ...] = later((30, 40))  # of the step schedule, in epochs
    gamma: float = later(0.1)  # of the step schedule and of plateaus
    patience: int = later(10)  # of plateaus, in epochs
    restart: int = later(0)  # epochs after which the cosine begins again; 0: never
    # Part of the model → its learning rate in place of `lr`.
    part_lr: dict[str, float] = field(default_factory=dict, metadata=LATER)
    frozen: tuple[str, ...] = later(())  # parts of the model that are not trained
    # One after the other, each what differs from the settings above for its `epochs`; together
    # they are all epochs. Each begins with a new optimiser.
    stages: tuple[dict[str, Any], ...] = later(())

    @property
    def holds_out(self) -> bool:
        """Whether a tenth of the train clips is not trained on."""
        return self.hold_out or self.checkpoint == "val"

    def with_share(self, share: float) -> "TrainSettings":
        """This recipe for a share of the train clips and as many steps, so for more epochs."""
        always, by_schedule = ("epochs", "warmup_epochs", "restart"), ("milestones", "patience")

        def more(name: str, value: Any) -> Any:
            if name not in always + by_schedule:
                return value
            if isinstance(value, int):
                return round(value / share)
            return tuple(round(epochs / share) for epochs in value)

        schedules = {self.schedule, *(stage.get("schedule") for stage in self.stages)}
        used = ("milestones",) * ("step" in schedules) + ("patience",) * ("plateau" in schedules)
        own = {name: more(name, getattr(self, name)) for name in always + used}
        stages = tuple({name: more(name, v) for name, v in one.items()} for one in self.stages)
        if stages:
            own["epochs"] = sum(one["epochs"] for one in stages)
        return dataclasses.replace(self, share=share, stages=stages, **own)

    def stage(self, epoch: int) -> tuple["TrainSettings", int]:
        """The recipe of an epoch, counted from 0, and the first epoch of its stage."""
        first = 0
        for changes in self.stages:
            if epoch < first + changes["epochs"]:
                return dataclasses.replace(self, **_typed(TrainSettings, changes), stages=()), first
            first += changes["epochs"]
        return self, 0

    def faults(self, parts: tuple[str, ...]) -> list[str]:
        """What does not go together, for a model of these parts."""
        if self.stages:
            found, first = [], 0
            for number, changes in enumerate(self.stages, 1):
                own, _ = self.stage(first)
                found += [f"stage {number}: {fault}" for fault in own.faults(parts)]
                first += changes["epochs"]
            if first != self.epochs:
                found.append(
                    f"the stages have {first} epochs together, and epochs is {self.epochs}"
                )
            return found
        found = []
        if self.prior and self.balanced:
            found.append("prior: in balanced epochs all classes have the same; set one of the two")
        if self.schedule == "cosine":
            if self.warmup_epochs >= self.epochs:
                found.append("warmup_epochs must be smaller than epochs")
            if self.min_lr > self.lr:
                found.append("min_lr is above lr")
            if self.restart and self.warmup_epochs:
                found.append(
                    "restart: a cosine that begins again has no warm-up; set warmup_epochs: 0"
                )
        elif self.warmup_epochs:
            found.append(f"schedule: {self.schedule} has no warm-up; set warmup_epochs: 0")
        for key, named in (("part_lr", self.part_lr), ("frozen", self.frozen)):
            for part in named:
                if part not in parts:
                    found.append(f"{key}: no part {part!r}; there is {', '.join(parts)}")
        if parts and not set(parts) - set(self.frozen):
            found.append("frozen: nothing is left to train")
        return found


@dataclass(frozen=True)
class RunSettings:
    """All that decides a run's numbers, but dataset, fold and seed."""

    backbone: BackboneSettings = field(default_factory=BackboneSettings)
    model: Any = field(default_factory=ModelSettings)  # or another method's settings
    train: TrainSettings = field(default_factory=TrainSettings)
    # The name of the protocol (frames, sampler, augmentation, checkpoint rule …) where it is not
    # the same as of all others, so that tables can say so.
    protocol: str = later("")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RunSettings":
        """Settings from nested plain values; what is left out has its default.

        Raises:
            TypeError: a name that there is not.
            ModuleNotFoundError: a method that there is not.
        """
        model = dict(values.get("model", {}))
        method = method_settings(model.pop("method", OWN))
        rest = {name: value for name, value in values.items() if name != "model"}
        if not method.uses_clip:
            rest["backbone"] = {"model": "", "weights": None}  # whichever there may be
        return cls(**_typed(cls, rest), model=method(**_typed(method, model)))

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, every default written out but those of `later` fields."""
        found = _plain(self)
        if type(self.model) is not ModelSettings:
            found["model"]["method"] = self.method
        return found

    def to_json(self) -> str:
        """`to_dict` in one line, sorted."""
        return json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=False)

    def faults(self, words: tuple[str, ...]) -> list[str]:
        """What does not go together, for classes with these words."""
        model, train = self.model, self.train
        found = [*model.faults(words), *train.faults(model.parts)]
        if train.gradient_checkpointing and not model.uses_clip:
            found.append("gradient_checkpointing: only a method on CLIP has it")
        if train.sampler in DIVISORS and model.frames % DIVISORS[train.sampler]:
            found.append(
                f"sampler: {train.sampler} chooses a multiple of {DIVISORS[train.sampler]} frames, "
                f"and T is {model.frames}"
            )
        return found

    @property
    def method(self) -> str:
        """The method's name."""
        own = type(self.model) is ModelSettings
        return OWN if own else self.model.module.rpartition(".")[2]

    @property
    def key(self) -> str:
        """A folder name: what the model consists of, then a digest of all settings."""
        digest = hashlib.sha256(self.to_json().encode()).hexdigest()[:8]
        return f"{self.model.name}.{digest}"


def methods() -> list[str]:
    """The names of all methods."""
    folder = Path(__file__).with_name("methods")
    return [OWN, *sorted(module.name for module in pkgutil.iter_modules([str(folder)]))]


def method_settings(name: str) -> type:
    """The class of a method's settings."""
    return ModelSettings if name == OWN else import_module(f"dfer.methods.{name}").Settings


def unused_modules(settings: RunSettings) -> set[str]:
    """Modules that runs of these settings do not use, so that an edit there leaves them alone."""
    model = settings.model
    used = {
        "dfer.clips.balanced": settings.train.balanced,
        "dfer.clips.freq_hd": settings.train.sampler == "freq_hd",
        "dfer.models.clip_method": model.uses_clip,
        "dfer.models.vit": model.uses_clip,
    }
    if isinstance(model, ModelSettings):
        used |= {
            "dfer.models.interfit": model.interfit,
            "dfer.models.msta": model.aggregation == "msta",
            "dfer.models.biehpro": model.head == "text" and model.blocks > 0,
        }
    return {module for module, is_used in used.items() if not is_used}


def _plain(settings: Any) -> dict[str, Any]:
    """A dataclass as nested dicts, without `later` fields at their defaults."""
    found = {}
    for part in dataclasses.fields(settings):
        value = getattr(settings, part.name)
        if part.metadata.get("later"):
            made = part.default_factory is not dataclasses.MISSING
            if value == (part.default_factory() if made else part.default):
                continue
        found[part.name] = _plain(value) if dataclasses.is_dataclass(value) else value
    return found


def _typed(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a dataclass: nested dataclasses built, lists made tuples, numbers typed."""
    known = {f.name: f for f in dataclasses.fields(cls)}
    if unknown := sorted(set(values) - set(known)):
        raise TypeError(f"{cls.__name__} has no {', '.join(unknown)}; it has {', '.join(known)}")
    built = {}
    for name, value in values.items():
        kind = known[name].type
        if dataclasses.is_dataclass(kind):
            value = kind(**_typed(kind, value))
        elif name == "stages":
            value = tuple(_typed(cls, changes) for changes in value)
        elif isinstance(value, list):
            value = tuple(value)
        elif kind == dict[str, float]:
            value = {key: float(number) for key, number in value.items()}
        elif kind is int:
            value = int(value)  # JSON Schema takes 12.0 for a whole number
        elif kind in (float, float | None) and value is not None:
            value = float(value)  # so that 1 and 1.0 are the same run; YAML reads 2e-5 as a string
        built[name] = value
    return built
