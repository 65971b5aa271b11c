"""The configuration, checked in one go, before anything is made of it.

The schema (workflow/schemas/config.schema.yaml) says which keys there are and what they hold; a
misspelt key is answered with the nearest valid one. What a schema cannot say is checked here.
"""

import datetime
import difflib
import json
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from dfer.dag.experiment import ALL, Experiment, enabled_variants
from dfer.datasets import layouts
from dfer.errors import UserError
from dfer.faces import backends
from dfer.tuning.study import tunable


def check_config(config: dict[str, Any], schema: Path, files: Iterable[Path] = ()) -> None:
    """Check a whole configuration and list all that is wrong with it at once.

    Args:
        files: those that it was read from, as far as they are known.

    Raises:
        UserError: one line a fault: where, what, and the nearest valid name.
    """
    misread = list(_no_text(config))
    if written := _misread_files(files, keys=bool(misread)) or misread:
        raise UserError("\n  ".join(["the configuration does not hold:", *written]))
    in_c = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # as safe, and five times as fast
    rules = in_c(schema.read_text(encoding="utf-8")).get_single_data()
    validator = Draft202012Validator(rules)
    faults = sorted(validator.iter_errors(config), key=lambda e: [str(p) for p in e.absolute_path])
    lines = list(dict.fromkeys(line for fault in faults for line in _explain(fault)))
    if not lines:
        lines = [*_unsound_datasets(config), *_unknown_variants(config)]
        lines += [*_unknown_protocols(config), *_unsound_corrections(config)]
    if not lines:
        experiment = Experiment(config)
        lines = list(_unsound_studies(config, experiment, rules))
        lines = lines or [*_unsound_settings(experiment), *_pointless_corrections(experiment)]
    if lines:
        raise UserError("the configuration does not hold:\n  " + "\n  ".join(lines))


def nearest(name: str, known: Collection[str]) -> str:
    """ " — did you mean 'x'?", or the names there are."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"there is {', '.join(sorted(known))}"


def _explain(fault: ValidationError) -> Iterable[str]:
    """A schema's fault as lines that a person can act on."""
    where = ".".join(map(str, fault.absolute_path)) or "top level"
    if fault.validator == "additionalProperties":
        known = fault.schema.get("properties", {})
        for name in sorted(set(fault.instance) - set(known)):
            yield f"{where}: no key {name!r}; {nearest(str(name), known)}"
    elif fault.validator == "required":
        for name in fault.validator_value:  # of as many faults as there are missing keys
            if name not in fault.instance:
                yield f"{where}: the key {name!r} is missing"
    elif fault.validator == "enum":
        choices = [str(choice) for choice in fault.validator_value]
        yield f"{where}: no choice {fault.instance!r}; {nearest(str(fault.instance), choices)}"
    elif fault.validator == "type" and "string" in fault.validator_value and _is_scalar(fault):
        yield f"{where}: {fault.message}; put it in quotes"
    else:
        yield f"{where}: {fault.message}"


def _is_scalar(fault: ValidationError) -> bool:
    """Whether what stands where text is wanted is something that YAML reads other than as text."""
    return isinstance(fault.instance, bool | int | float | datetime.date)


def _no_text(values: Any, where: str = "top level") -> Iterable[str]:
    """Keys that YAML has read as something else than text."""
    if isinstance(values, list):
        values = dict(enumerate(values))
    elif isinstance(values, dict):
        for key in values:
            if not isinstance(key, str):
                yield f"{where}: a key is read as {key!r}, which is no text; put it in quotes"
    else:
        return
    for key, value in values.items():
        yield from _no_text(value, f"{key}" if where == "top level" else f"{where}.{key}")


def _misread_files(files: Iterable[Path], *, keys: bool) -> list[str]:
    """Keys that a file has twice, of which YAML keeps the last; and those that are no text.

    Args:
        keys: whether to look for those that are no text.
    """
    found = []
    for file in files:
        try:
            loader = yaml.SafeLoader(file.read_text(encoding="utf-8"))
            root = loader.get_single_node()
        except (OSError, ValueError, yaml.YAMLError):
            continue  # Snakemake has told of it, or reads it as JSON
        name = os.path.relpath(file) if file.is_relative_to(Path.cwd()) else file
        found += [f"{name}, {fault}" for fault in _misread(loader, root, keys)]
    return found


def _misread(loader: yaml.SafeLoader, root: yaml.Node | None, keys: bool) -> Iterable[str]:
    """The faults of one file, in the order of its lines, each with its line."""
    todo, known, faults = [root], set(), []
    while todo:
        node = todo.pop()
        if id(node) in known:  # by an alias
            continue
        known.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            todo += node.value
        elif isinstance(node, yaml.MappingNode):
            todo += [value for _, value in node.value]
            seen: dict[Any, int] = {}
            for name, _ in node.value:
                if not isinstance(name, yaml.ScalarNode) or name.value == "<<":
                    continue
                key, line = loader.construct_object(name), name.start_mark.line + 1
                if key in seen:
                    text = f"the key {name.value} stands here and in line {seen[key]}; keep one"
                    faults.append((line, text))
                elif keys and not isinstance(key, str):
                    text = f"the key {name.value} is read as {key!r}; put it in quotes"
                    faults.append((line, f'{text}: "{name.value}"'))
                seen.setdefault(key, line)
    return [f"line {line}: {text}" for line, text in sorted(faults)]


def _unsound_datasets(config: dict[str, Any]) -> Iterable[str]:
    """What the schema allows of each key of a dataset but not of all together."""
    datasets = [(f"datasets.{name}", values) for name, values in config["datasets"].items()]
    if "pretrain" in config:
        datasets.append(("pretrain.dataset", config["pretrain"]["dataset"]))
    for where, values in datasets:
        layout, source = values["layout"], values["source"]
        if layout not in layouts.LAYOUTS:
            yield f"{where}.layout: no layout {layout!r}; {nearest(layout, layouts.LAYOUTS)}"
        elif source not in layouts.sources(layout):
            has = ", ".join(layouts.sources(layout))
            yield f"{where}.source: layout {layout} has no source {source!r}; it has {has}"
        if ("root" in values) == ("render" in values):
            yield f"{where}: give either `root` (a release on disk) or `render` (the demo)"
        elif "{" in values.get("root", "") or "}" in values.get("root", ""):
            yield f"{where}.root: Snakemake takes braces in a path for wildcards; link the folder"
        elif "render" in values and layout != "csv":
            yield f"{where}.layout: what is rendered has the layout csv"
        for label, word in values["classes"].items():
            if not word.strip():
                yield f"{where}.classes.{label}: the class word is blank; CLIP has to read it"
        words = [" ".join(word.lower().split()) for word in values["classes"].values()]  # as CLIP
        for word in sorted({word for word in words if words.count(word) > 1}):
            yield f"{where}.classes: two classes have the word {word!r}"
        if "landmarks" in values:
            try:
                backends.read_settings(values["landmarks"])
            except UserError as error:
                yield f"{where}.landmarks: {str(error).removeprefix('landmark settings: ')}"
        elif source == "video":
            yield f"{where}: source: video needs `landmarks` (which backend aligns it)"


def _unsound_settings(experiment: Experiment) -> Iterable[str]:
    """Settings that the schema allows apart but that do not go together."""
    for dataset in experiment.datasets:
        for variant in experiment.variants:
            settings = experiment.settings(dataset, variant)
            where, words = f"variants.{variant} (on {dataset})", _words(experiment, dataset)
            yield from (f"{where}: {fault}" for fault in settings.faults(words))


def _words(experiment: Experiment, dataset: str) -> tuple[str, ...]:
    """The class words of a dataset."""
    return tuple(experiment.datasets[dataset].classes.values())


def _unknown_variants(config: dict[str, Any]) -> Iterable[str]:
    """Names that `enable` has and no variant."""
    enabled = config.get("enable", [])
    if isinstance(enabled, str):
        if enabled != ALL:
            yield f"enable: {enabled!r} is no list; write [{enabled}], or all for every variant"
        return
    for name in enabled:
        if name not in config["variants"]:
            yield f"enable: no variant {name!r}; {nearest(name, config['variants'])}"


def _unsound_corrections(config: dict[str, Any]) -> Iterable[str]:
    """Corrected variants with settings of their own, or of variants that cannot be corrected."""
    known, on = config["variants"], enabled_variants(config)
    for name, values in known.items():
        if "corrected" not in values:
            continue
        where, base = f"variants.{name}.corrected", values["corrected"]["variant"]
        if others := sorted(set(values) - {"corrected", "enabled"}):
            yield f"variants.{name}: what is corrected has no {', '.join(others)} of its own"
        if base not in known:
            yield f"{where}.variant: no variant {base!r}; {nearest(base, known)}"
        elif {"tuned", "corrected"} & set(known[base]):
            yield f"{where}.variant: {base!r} is itself tuned or corrected; name one that is not"
        elif name in on and base not in on:
            yield f"{where}.variant: {base!r} is off; name it in `enable`"


def _pointless_corrections(experiment: Experiment) -> Iterable[str]:
    """Corrected variants of runs that have corrected the prior, or that chose on the test clips."""
    for variant in experiment.variants.values():
        if variant.corrected is None:
            continue
        base = variant.corrected.variant
        for dataset in experiment.datasets:
            where = f"variants.{variant.name}.corrected (on {dataset})"
            recipe = experiment.settings(dataset, base).train
            if recipe.prior or recipe.balanced:
                yield f"{where}: the training of {base!r} has corrected the prior already"
            if recipe.checkpoint == "test":
                yield (
                    f"{where}: {base!r} has checkpoint: test, so that test clips would have a part "
                    "in the temperature; take last or val"
                )


def _unknown_protocols(config: dict[str, Any]) -> Iterable[str]:
    """Protocols that datasets and variants name and that stand nowhere."""
    known = config.get("protocols", {})
    for dataset, values in config["datasets"].items():
        for name in sorted(set(values.get("protocols", {})) - set(known)):
            yield f"datasets.{dataset}.protocols: no protocol {name!r}; {nearest(name, known)}"
    for variant, values in config["variants"].items():
        name = values.get("protocol")
        if name is not None and name not in known:
            yield f"variants.{variant}.protocol: no protocol {name!r}; {nearest(name, known)}"


def _unsound_studies(
    config: dict[str, Any], experiment: Experiment, rules: dict[str, Any]
) -> Iterable[str]:
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
            if dataset not in experiment.study_datasets(study):
                yield f"{where}: tuning.{study}.datasets has no {dataset!r}; add it there"
    for name in studies:
        faults = list(_unknown_names(config, experiment, name)) or list(
            _unsound_space(config, experiment, name, rules)
        )
        yield from (f"tuning.{name}{fault}" for fault in faults)


def _unknown_names(config: dict[str, Any], experiment: Experiment, name: str) -> Iterable[str]:
    """Names in a study that nothing has: its variant, its datasets, the parameters of its space."""
    what, variants, known = config["tuning"][name], config["variants"], tunable()
    if what["variant"] in experiment.variants and "tuned" not in variants[what["variant"]]:
        any_dataset = next(iter(config["datasets"]))
        known = tunable(type(experiment.settings(any_dataset, what["variant"]).model))
    if what["variant"] not in variants:
        yield f".variant: no variant {what['variant']!r}; {nearest(what['variant'], variants)}"
    elif what["variant"] not in experiment.variants:
        yield f".variant: {what['variant']!r} is off; name it in `enable`"
    elif {"tuned", "corrected"} & set(variants[what["variant"]]):
        yield f".variant: {what['variant']!r} is itself tuned or corrected; name one that is not"
    for dataset in what.get("datasets", []):
        if dataset not in config["datasets"]:
            yield f".datasets: no dataset {dataset!r}; {nearest(dataset, config['datasets'])}"
    for parameter in what["space"]:
        if parameter not in known:
            yield f".space: no parameter {parameter!r}; {nearest(parameter, known)}"
        elif known[parameter] is int and what["space"][parameter]["name"] == "FloatDistribution":
            yield f".space.{parameter}: it is a whole number; take IntDistribution"


def _unsound_space(
    config: dict[str, Any], experiment: Experiment, name: str, rules: dict[str, Any]
) -> Iterable[str]:
    """Arguments that Optuna refuses, and values that a setting cannot have."""
    from dfer.tuning.replay import optuna_faults  # Optuna only where something is tuned

    what = config["tuning"][name]
    for dataset in experiment.study_datasets(name):
        study = experiment.study(dataset, name)
        if faults := list(optuna_faults(study)):
            yield from faults
            return
        if study.fold not in config["datasets"][dataset]["folds"]:
            yield f".fold: {dataset} has no fold {study.fold}"
        words, method = _words(experiment, dataset), study.trial_settings({}).method
        ends = {parameter: _ends(space) for parameter, space in what["space"].items()}
        wrong = []
        for parameter, values in ends.items():
            section, _, key = parameter.partition(".")
            section = method if section == "model" else section
            rule = {"$defs": rules["$defs"], **rules["$defs"][section]["properties"][key]}
            faults = Draft202012Validator(rule).iter_errors
            wrong += [f".space.{parameter}: {f.message}" for v in values for f in faults(v)]
        yield from wrong
        if not wrong:
            corners = [{p: values[end] for p, values in ends.items()} for end in (0, -1)]
            found = [
                f" (on {dataset}): {fault}, at {json.dumps(corner)}"
                for corner in corners
                for fault in study.trial_settings(corner).faults(words)
            ]
            yield from dict.fromkeys(found)


def _ends(space: dict[str, Any]) -> list[Any]:
    """The least and the largest value of a distribution, or all its choices."""
    return space["choices"] if "choices" in space else [space["low"], space["high"]]
