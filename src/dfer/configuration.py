"""The configuration, checked in one go and resolved into the settings of runs.

The schema (workflow/schemas/config.schema.yaml) says which keys there are and what they hold; a
misspelt key is answered with the nearest valid one. What a schema cannot say is checked here.
"""

import difflib
import os
import subprocess
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from dfer.files import UserError
from dfer.settings import RunSettings


def check_config(config: dict[str, Any], schema: Path) -> None:
    """Check a whole configuration and list all that is wrong with it at once.

    Raises:
        UserError: one line a fault: where, what, and the nearest valid name.
    """
    validator = Draft202012Validator(yaml.safe_load(schema.read_text(encoding="utf-8")))
    faults = sorted(validator.iter_errors(config), key=lambda e: [str(p) for p in e.absolute_path])
    lines = [line for fault in faults for line in _explain(fault)]
    if not lines:
        lines = list(_unsound_settings(config))
    if lines:
        raise UserError("the configuration does not hold:\n  " + "\n  ".join(lines))


def dataset_settings(config: dict[str, Any], dataset: str, variant: str) -> RunSettings:
    """Settings of a variant on a dataset.

    Later ones win, key by key: the defaults, the configuration's, the dataset's, the variant's.
    """
    values: dict[str, Any] = {}
    for layer in (config, config["datasets"][dataset], config["variants"][variant]):
        for section in ("clip", "model", "train"):
            values[section] = _merge(values.get(section, {}), layer.get(section, {}))
    return RunSettings.from_dict(values)


def device_count() -> int:
    """GPUs that jobs of this machine may use: CUDA_VISIBLE_DEVICES, or what nvidia-smi lists."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([card for card in visible.split(",") if card.strip() not in ("", "-1")])
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


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
            if settings.model.head == "linear" and settings.model.blocks:
                yield f"{where}: head: linear has no text for BiEhPro; set blocks: 0"
            if settings.train.warmup_epochs >= settings.train.epochs:
                yield f"{where}: warmup_epochs must be smaller than epochs"
            if len(settings.model.kernels) != len(settings.model.strides):
                yield f"{where}: as many strides as kernels are needed"
            if settings.train.min_lr > settings.train.lr:
                yield f"{where}: min_lr is above lr"
