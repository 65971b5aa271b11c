"""What a configuration describes, as typed values: datasets, variants, studies, the demo's CLIP.

The rules ask here, and nowhere else, what there is to do. A configuration is checked first
(`dfer.dag.configuration`), so that nothing here can be missing or misspelt.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dfer import provenance
from dfer.demo.dataset import Rendering
from dfer.faces import backends
from dfer.faces.settings import LandmarkSettings
from dfer.settings import OWN, RunSettings, method_settings
from dfer.tuning.study import Study

SECTIONS = ("backbone", "model", "train")  # of settings, at the top, of a dataset and of a variant
ALL = "all"  # `enable: all` turns every variant on
MAIN_TABLES = (1, 2)  # of the paper: where a tuned variant stands, too
CORRECTED = "corrected"  # what the folder of corrected predictions is called
STILLS = "demo-stills"  # the dataset that the demo's CLIP is pretrained on

Overrides = Mapping[str, Mapping[str, Any]]  # section → key → value


@dataclass(frozen=True)
class Dataset:
    """A dataset of the configuration; the keys are explained in config/README.md."""

    name: str
    title: str
    layout: str  # of the release, see `dfer.datasets.layouts`
    root: str
    source: Literal["video", "crops"]
    shards: int
    folds: tuple[int, ...]
    classes: dict[str, str]  # label in the release → class word, in class order
    synthetic: bool = False
    landmarks: LandmarkSettings | None = None  # None only where the source is crops
    allow_rejects: int = 0
    example_clips: tuple[str, ...] = ()  # of Figures 2 and 4; none: chosen by a rule
    render: Rendering | None = None  # None: the release is on disk

    @classmethod
    def read(cls, name: str, values: Mapping[str, Any]) -> "Dataset":
        """A dataset from its part of a configuration."""
        elsewhere = (*SECTIONS, "figures", "protocols")
        given = {key: value for key, value in values.items() if key not in elsewhere}
        if "render" in values:
            given["render"] = Rendering(**values["render"])
            given["root"] = f"results/{name}/release"
        if "landmarks" in values:
            given["landmarks"] = backends.read_settings(values["landmarks"])
        given["folds"] = tuple(values["folds"])
        given["example_clips"] = tuple(values.get("figures", {}).get("clips", ()))
        return cls(name=name, **given)

    @property
    def is_aligned_here(self) -> bool:
        """Whether faces are found and aligned here, and not by those who made the release."""
        return self.source == "video"


@dataclass(frozen=True)
class Pretraining:
    """How the demo's small CLIP is taught (`dfer.demo.pretrain`)."""

    model: str  # path of an open_clip configuration
    epochs: int
    batch: int
    lr: float
    seed: int
    dataset: Dataset  # the stills


@dataclass(frozen=True)
class Correction:
    """Predictions that are corrected for the class prior (`dfer.training.correct`)."""

    variant: str  # whose predictions
    prior: float = 1.0  # λ


@dataclass(frozen=True)
class Variant:
    """A variant: a name, what it changes, the study and the protocol that complete its settings."""

    name: str
    changes: Overrides
    tuned: str | None = None
    protocol: str | None = None  # None: the one of all others
    corrected: Correction | None = None  # then nothing of its own is trained

    @classmethod
    def read(cls, name: str, values: Mapping[str, Any]) -> "Variant":
        """A variant from its part of a configuration."""
        corrected = values.get("corrected")
        return cls(
            name,
            _sections(values),
            values.get("tuned"),
            values.get("protocol"),
            None if corrected is None else Correction(**corrected),
        )


def enabled_variants(config: Mapping[str, Any]) -> list[str]:
    """The names of a configuration's variants, less those that it turns off."""
    on = config.get("enable", [])
    return [
        name
        for name, values in config["variants"].items()
        if values.get("enabled", True) or on == ALL or name in on
    ]


class Experiment:
    """All that a configuration asks for.

    Attributes:
        datasets: those that runs are trained on, by name.
        stored: the same, and the stills of the demo's CLIP.
        variants: those that are enabled, by name.
        seeds: of the runs; see `table_seeds` and `seeds_of`.
        tensorboard: whether trainings write event files, too.
        remark: what tables say of all that is measured with this configuration.
        shares: of the train clips, that the figure of shares compares.
        studies: names of the studies; see `study`.
        pretraining: of the demo's CLIP; None where another CLIP is used.
        face_model: path of the demo's face model on this disk; None: it is downloaded.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Read a configuration that `check_config` has found sound."""
        self._config = config
        self.datasets = {
            name: Dataset.read(name, values) for name, values in config["datasets"].items()
        }
        variants = config["variants"]
        self.variants = {
            name: Variant.read(name, variants[name]) for name in enabled_variants(config)
        }
        self.seeds: list[int] = config["seeds"]
        self.table_seeds: Mapping[str, list[int]] = config.get("table_seeds", {})
        self.tensorboard: bool = config.get("tensorboard", False)
        self.remark: str = config.get("remark", "")
        self.shares: list[float] = sorted(config.get("shares", []))
        self.studies: list[str] = list(config.get("tuning", {}))
        self.face_model: str | None = config.get("face_model")
        self.pretraining = None
        if "pretrain" in config:
            values = dict(config["pretrain"])
            stills = Dataset.read(STILLS, values.pop("dataset"))
            self.pretraining = Pretraining(dataset=stills, **values)
        self.stored = dict(self.datasets)
        if self.pretraining is not None:
            self.stored[STILLS] = self.pretraining.dataset

    def seeds_of(self, table: int) -> list[int]:
        """The seeds of the runs of a table: its own, or those of all runs."""
        return self.table_seeds.get(str(table), self.seeds)

    def settings(self, dataset: str, variant: str, share: float = 1.0) -> RunSettings:
        """Settings of a variant on a dataset, perhaps with a share of its train clips.

        A smaller share is trained on for as many steps, so for more epochs.

        Later ones win, key by key: the defaults, the configuration's, the dataset's, those of the
        variant's protocol (for all datasets, then for this one), the variant's. A tuned variant
        starts from the one that its study tunes; what the study finds comes last, once it is known
        (`best.yaml`).

        Of what stands below a variant its method takes the keys of `model` that it has; a network
        without CLIP takes none. A corrected variant has the settings of the one that it corrects.
        """
        if (correction := self.variants[variant].corrected) is not None:
            return self.settings(dataset, correction.variant, share)
        layers = [_sections(self._config), _sections(self._config["datasets"][dataset])]
        own = [self.variants[variant]]
        if study := own[0].tuned:
            own.insert(0, self.variants[self.tuned_variant(study)])
        protocol = next((v.protocol for v in reversed(own) if v.protocol), None)
        if protocol is not None:
            here = self._config["datasets"][dataset].get("protocols", {})
            layers.append(_sections(self._config["protocols"][protocol]))
            layers.append(_sections(here.get(protocol, {})))
        changes = [v.changes for v in own]
        methods = [layer.get("model", {}).get("method") for layer in (*layers, *changes)]
        method = next(filter(None, reversed(methods)), OWN)
        own_settings = method_settings(method)
        known = {"method", *(f.name for f in dataclasses.fields(own_settings))}
        if not own_settings.uses_clip:  # T is part of such a network
            known = {"method"}
        values: dict[str, Any] = {section: {} for section in SECTIONS}
        for number, layer in enumerate((*layers, *changes)):
            for section in SECTIONS:
                values[section] = _merge(values[section], layer.get(section, {}))
            if number < len(layers):
                values["model"] = {k: v for k, v in values["model"].items() if k in known}
        if protocol is not None:
            values["protocol"] = protocol
        found = RunSettings.from_dict(values)
        if share == 1:
            return found
        return dataclasses.replace(found, train=found.train.with_share(share))

    def holding_out(self, dataset: str, variant: str, share: float = 1.0) -> RunSettings:
        """The settings of a variant, with a tenth of the train clips held out."""
        found = self.settings(dataset, variant, share)
        if found.train.holds_out:
            return found
        return dataclasses.replace(found, train=dataclasses.replace(found.train, hold_out=True))

    def run_key(self, dataset: str, variant: str, share: float = 1.0) -> str:
        """The folder name of a variant's runs: of its settings, and of the study it waits for.

        Of a corrected variant: of the settings of the one that it corrects, and of λ.
        """
        settings, own = self.settings(dataset, variant, share), self.variants[variant]
        if own.corrected is not None:
            digest = provenance.digest([settings.to_json(), own.corrected.prior])
            return f"{CORRECTED}.{digest[:8]}"
        if own.tuned is None:
            return settings.key
        return f"tuned-{own.tuned}.{provenance.digest([settings.to_json(), own.tuned])[:8]}"

    def table_variants(self, printed: Mapping[int, list[str]]) -> dict[int, list[str]]:
        """Table → the variants of this configuration that stand in it.

        A tuned variant has no row in the paper: it stands in the main tables where its like does.

        Args:
            printed: table → variants of its rows, as config/reported.csv has them.
        """
        tables = {
            table: [name for name in names if name in self.variants]
            for table, names in printed.items()
        }
        rows = {name for names in tables.values() for name in names}
        for variant in self.variants.values():
            if variant.tuned and variant.name not in rows:
                for table in MAIN_TABLES:
                    if self.tuned_variant(variant.tuned) in tables[table]:
                        tables[table].append(variant.name)
        return tables

    def study(self, dataset: str, name: str) -> Study:
        """A study on a dataset."""
        values = self._config["tuning"][name]
        settings = self.settings(dataset, values["variant"]).to_dict()
        settings["train"] |= {"checkpoint": "val"}
        if "epochs" in values:
            settings["train"]["epochs"] = values["epochs"]
        return Study(
            name=name,
            dataset=dataset,
            fold=values.get("fold", self.datasets[dataset].folds[0]),
            seed=values.get("seed", 0),
            width=values["width"],
            objectives=tuple(values.get("objectives", ["uar"])),
            space=values["space"],
            sampler=values.get("sampler", {"name": "TPESampler"}),
            pruner=values.get("pruner", {"name": "NopPruner"}),
            settings=json.loads(json.dumps(settings)),
        )

    def study_datasets(self, name: str) -> list[str]:
        """The datasets that a study is run on: those that it names, or all."""
        return self._config["tuning"][name].get("datasets", list(self.datasets))

    def rounds(self, study: str) -> int:
        """The number of rounds of a study."""
        return self._config["tuning"][study]["rounds"]

    def tuned_variant(self, study: str) -> str:
        """The variant that a study tunes."""
        return self._config["tuning"][study]["variant"]

    def objectives(self, study: str) -> tuple[str, ...]:
        """What a study optimises: uar, war or mean; then perhaps macs."""
        return tuple(self._config["tuning"][study].get("objectives", ["uar"]))


def with_own_files(config: Any, checkout: Path) -> Any:
    """`config` with the files that this repository brings, where the working folder lacks them.

    These are open_clip's configurations (config/backbone/*.json), which are named by paths that are
    relative to the repository; Snakemake's -d may name any folder to work in.
    """
    if isinstance(config, list):
        return [with_own_files(value, checkout) for value in config]
    if not isinstance(config, dict):
        return config
    found = {key: with_own_files(value, checkout) for key, value in config.items()}
    model = found.get("model")
    if isinstance(model, str) and not os.path.exists(model) and (checkout / model).is_file():
        found["model"] = os.path.relpath(checkout / model)
    return found


def _sections(values: Mapping[str, Any]) -> Overrides:
    """The sections of settings in a part of a configuration."""
    return {section: values[section] for section in SECTIONS if section in values}


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with the values of `above`, nested sections key by key."""
    merged = dict(below)
    for key, value in above.items():
        nested = isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
        merged[key] = _merge(below[key], value) if nested else value
    return merged
