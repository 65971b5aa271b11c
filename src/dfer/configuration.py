"""The configuration, checked in one go and resolved into the settings of runs.

The schema (workflow/schemas/config.schema.yaml) says which keys there are and what they hold; a
misspelt key is answered with the nearest valid one. What a schema cannot say is checked here.
"""

import dataclasses
import difflib
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from dfer.files import UserError
from dfer.settings import RunSettings
from dfer.tuning.study import Study, tunable


def check_config(config: dict[str, Any], schema: Path) -> None:
    """Check a whole configuration and list all that is wrong with it at once.

    Raises:
        UserError: one line a fault: where, what, and the nearest valid name.
    """
    rules = yaml.safe_load(schema.read_text(encoding="utf-8"))
    validator = Draft202012Validator(rules)
    faults = sorted(validator.iter_errors(config), key=lambda e: [str(p) for p in e.absolute_path])
    lines = [line for fault in faults for line in _explain(fault)]
    if not lines:
        lines = list(_unsound_studies(config, rules)) or list(_unsound_settings(config))
    if lines:
        raise UserError("the configuration does not hold:\n  " + "\n  ".join(lines))


def dataset_settings(config: dict[str, Any], dataset: str, variant: str) -> RunSettings:
    """Settings of a variant on a dataset.

    Later ones win, key by key: the defaults, the configuration's, the dataset's, the variant's.
    A tuned variant starts from the one that its study tunes; what the study finds comes last, once
    it is known (`best.yaml`).
    """
    values: dict[str, Any] = {}
    layers = [config, config["datasets"][dataset], config["variants"][variant]]
    if study := config["variants"][variant].get("tuned"):
        layers.insert(2, config["variants"][config["tuning"][study]["variant"]])
    for layer in layers:
        for section in ("clip", "model", "train"):
            values[section] = _merge(values.get(section, {}), layer.get(section, {}))
    return RunSettings.from_dict(values)


def study_of(config: dict[str, Any], dataset: str, name: str) -> Study:
    """A study of the configuration on a dataset."""
    what = config["tuning"][name]
    settings = dataclasses.asdict(dataset_settings(config, dataset, what["variant"]))
    settings["train"] |= {"checkpoint": "val"}
    if "epochs" in what:
        settings["train"]["epochs"] = what["epochs"]
    return Study(
        name=name,
        dataset=dataset,
        fold=what.get("fold", config["datasets"][dataset]["folds"][0]),
        seed=what.get("seed", 0),
        width=what["width"],
        objectives=tuple(what.get("objectives", ["uar"])),
        space=what["space"],
        sampler=what.get("sampler", {"name": "TPESampler"}),
        pruner=what.get("pruner", {"name": "NopPruner"}),
        settings=json.loads(json.dumps(settings)),
    )


def study_datasets(config: dict[str, Any], name: str) -> list[str]:
    """The datasets that a study runs on: those it names, or all."""
    return config["tuning"][name].get("datasets", list(config["datasets"]))


def nearest(name: str, known: Collection[str]) -> str:
    """ " — did you mean 'x'?", or the names there are."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"there is {', '.join(sorted(known))}"


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        nested = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _merge(below[key], value) if nested else value
    return merged


def _explain(fault: ValidationError) -> Iterable[str]:
    """A schema's fault as lines that a person can act on."""
    where = ".".join(map(str, fault.absolute_path)) or "top level"
    if fault.validator == "additionalProperties":
        known = fault.schema.get("properties", {})
        for name in sorted(set(fault.instance) - set(known)):
            yield f"{where}: no key {name!r}; {nearest(str(name), known)}"
    elif fault.validator == "required":
        missing = [name for name in fault.validator_value if name not in fault.instance]
        yield f"{where}: the key {missing[0]!r} is missing"
    elif fault.validator == "enum":
        choices = [str(choice) for choice in fault.validator_value]
        yield f"{where}: no choice {fault.instance!r}; {nearest(str(fault.instance), choices)}"
    else:
        yield f"{where}: {fault.message}"


def _unsound_settings(config: dict[str, Any]) -> Iterable[str]:
    """Settings that the schema allows apart but that do not go together."""
    for dataset, what in config["datasets"].items():
        words = list(what["classes"].values())
        for word in sorted({word for word in words if words.count(word) > 1}):
            yield f"datasets.{dataset}.classes: two classes have the word {word!r}"
        if what["source"] == "video" and "landmarks" not in what:
            yield f"datasets.{dataset}: source: video needs `landmarks` (which backend aligns it)"
        for variant in config["variants"]:
            settings = dataset_settings(config, dataset, variant)
            where = f"variants.{variant} (on {dataset})"
            yield from (f"{where}: {fault}" for fault in _contradictions(settings))


def _contradictions(settings: RunSettings) -> Iterable[str]:
    """What does not go together in one run's settings."""
    if settings.model.head == "linear" and settings.model.blocks:
        yield "head: linear has no text for BiEhPro; set blocks: 0"
    if settings.train.warmup_epochs >= settings.train.epochs:
        yield "warmup_epochs must be smaller than epochs"
    if len(settings.model.kernels) != len(settings.model.strides):
        yield "as many strides as kernels are needed"
    if settings.train.min_lr > settings.train.lr:
        yield "min_lr is above lr"


def _unsound_studies(config: dict[str, Any], rules: dict[str, Any]) -> Iterable[str]:
    """Studies that the schema allows but that cannot run, and variants of no study."""
    studies = config.get("tuning", {})
    for variant, what in config["variants"].items():
        where, study = f"variants.{variant}.tuned", what.get("tuned")
        if study is None:
            continue
        if study not in studies:
            yield f"{where}: no study {study!r}; {nearest(study, studies)}"
            continue
        for dataset in config["datasets"]:
            if dataset not in study_datasets(config, study):
                yield f"{where}: tuning.{study}.datasets has no {dataset!r}; add it there"
    for name in studies:
        faults = list(_unknown_names(config, name)) or list(_unsound_space(config, name, rules))
        yield from (f"tuning.{name}{fault}" for fault in faults)


def _unknown_names(config: dict[str, Any], name: str) -> Iterable[str]:
    """Names in a study that nothing has: its variant, its datasets, the parameters of its space."""
    what, variants, known = config["tuning"][name], config["variants"], tunable()
    if what["variant"] not in variants:
        yield f".variant: no variant {what['variant']!r}; {nearest(what['variant'], variants)}"
    elif "tuned" in variants[what["variant"]]:
        yield f".variant: {what['variant']!r} is itself tuned; name one that is not"
    for dataset in what.get("datasets", []):
        if dataset not in config["datasets"]:
            yield f".datasets: no dataset {dataset!r}; {nearest(dataset, config['datasets'])}"
    for parameter in what["space"]:
        if parameter not in known:
            yield f".space: no parameter {parameter!r}; {nearest(parameter, known)}"
        elif known[parameter] is int and what["space"][parameter]["name"] == "FloatDistribution":
            yield f".space.{parameter}: it is a whole number; take IntDistribution"


def _unsound_space(config: dict[str, Any], name: str, rules: dict[str, Any]) -> Iterable[str]:
    """Arguments that Optuna refuses, and values that a setting cannot have."""
    from dfer.tuning.replay import optuna_faults  # Optuna only where something is tuned

    what = config["tuning"][name]
    for dataset in study_datasets(config, name):
        study = study_of(config, dataset, name)
        if faults := list(optuna_faults(study)):
            yield from faults
            return
        if study.fold not in config["datasets"][dataset]["folds"]:
            yield f".fold: {dataset} has no fold {study.fold}"
        ends = {parameter: _ends(space) for parameter, space in what["space"].items()}
        wrong = []
        for parameter, values in ends.items():
            section, _, key = parameter.partition(".")
            rule = {"$defs": rules["$defs"], **rules["$defs"][section]["properties"][key]}
            faults = Draft202012Validator(rule).iter_errors
            wrong += [f".space.{parameter}: {f.message}" for v in values for f in faults(v)]
        yield from wrong
        if not wrong:
            corners = [{p: values[end] for p, values in ends.items()} for end in (0, -1)]
            found = [
                f" (on {dataset}): {fault}, at {json.dumps(corner)}"
                for corner in corners
                for fault in _contradictions(study.trial_settings(corner))
            ]
            yield from dict.fromkeys(found)


def _ends(space: dict[str, Any]) -> list[Any]:
    """The least and the largest value of a distribution, or all its choices."""
    return space["choices"] if "choices" in space else [space["low"], space["high"]]
