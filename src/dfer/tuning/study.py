"""A study: what is tuned, over which space, by which score; and the files of its trials.

A study runs in rounds of `width` trials. `dfer.tuning.suggest` asks for a round's parameters,
`dfer.tuning.trial` trains one trial, `dfer.tuning.best` closes the study. Trial n is place
n % width of round n // width, both from 0. This module is plain data: it imports neither Optuna
nor torch.
"""

import dataclasses
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from dfer.errors import UserError
from dfer.files import write_text
from dfer.settings import ModelSettings, RunSettings, TrainSettings

# `epochs` is the study's budget, `checkpoint` its protocol, the others are the machine's.
FIXED = ("train.epochs", "train.checkpoint", "train.precision", "train.gradient_checkpointing")


@dataclass(frozen=True)
class Study:
    """All that decides which parameters are tried and how they score, but data and code.

    The number of rounds is not here: a study may be given more of them and goes on.
    """

    name: str
    dataset: str
    fold: int
    seed: int  # of the sampler and of every training
    width: int  # trials a round
    objectives: tuple[str, ...]  # uar, war or mean (of both), in %; then perhaps macs
    space: dict[str, dict[str, Any]]  # "model.blocks" → Optuna's distribution: name, arguments
    sampler: dict[str, Any]  # Optuna's: name, arguments
    pruner: dict[str, Any]  # Optuna's: name, arguments
    settings: dict[str, Any]  # of every trial's `RunSettings`, where the space does not say

    @classmethod
    def from_json(cls, text: str) -> "Study":
        """The study that `to_json` wrote."""
        values = json.loads(text)
        return cls(**values | {"objectives": tuple(values["objectives"])})

    def to_json(self) -> str:
        """One line, sorted."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they come back from JSON."""
        return json.loads(self.to_json())

    def trial_settings(self, parameters: dict[str, Any]) -> RunSettings:
        """Settings of a trial: the study's, with its parameters in their places."""
        return RunSettings.from_dict(overlay(self.settings, nested(parameters)))

    def own_parameters(self) -> dict[str, Any]:
        """The tuned variant's own value of each parameter of the space."""
        own = RunSettings.from_dict(self.settings)
        places = {name: name.partition(".") for name in self.space}
        return {name: getattr(getattr(own, place), key) for name, (place, _, key) in places.items()}

    def score(self, row: dict[str, Any]) -> float:
        """The score of an epoch, in %, from the `uar` and `war` of its row."""
        uar, war = row["uar"], row["war"]
        return {"uar": uar, "war": war, "mean": (uar + war) / 2}[self.objectives[0]]


TrialState = Literal["COMPLETE", "PRUNED", "FAIL"]  # Optuna's names


class Damaged(UserError):
    """A file of a study that cannot be read."""


@dataclass(frozen=True)
class Trial:
    """What became of one trial."""

    number: int
    parameters: dict[str, Any]
    state: TrialState
    values: list[float]  # one an objective, of the chosen epoch; empty unless complete
    curve: list[float]  # score after each epoch that was trained
    rungs: dict[str, float]  # what a pruner by successive halving noted
    reason: str  # why it was pruned or failed


def write_trial(trial: Trial, study: Study, path: Path | str) -> None:
    """Write a finished trial as JSON, with the study it belongs to."""
    record = {"study": study.to_dict(), "trial": dataclasses.asdict(trial)}
    write_text(json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n", path)


def read_trials(paths: Iterable[Path | str], study: Study) -> list[Trial]:
    """Finished trials of `study`, by number.

    Raises:
        UserError: a file is damaged, or of a study with another space or other settings.
    """
    trials = [_trial(read_record(path, study).get("trial"), study, path) for path in paths]
    return sorted(trials, key=lambda trial: trial.number)


def _trial(values: Any, study: Study, path: Path | str) -> Trial:
    """A trial from its record, checked: what is computed with it is of the right kind."""
    try:
        trial = Trial(**values)
        done = trial.state == "COMPLETE"
        sound = (
            isinstance(trial.number, int)
            and trial.state in get_args(TrialState)
            and trial.parameters.keys() == study.space.keys()
            and len(trial.values) == len(study.objectives) * done
            and all(map(math.isfinite, [*trial.values, *trial.curve, *trial.rungs.values()]))
            and isinstance(trial.reason, str)
        )
    except (TypeError, AttributeError, OverflowError):
        sound = False
    if not sound:
        raise Damaged(
            f"{path}: not a finished trial of {study.name!r}. Delete it and run again: the trial "
            "is made anew."
        )
    return trial


def read_record(path: Path | str, study: Study) -> dict[str, Any]:
    """A JSON file of `study`.

    Raises:
        Damaged: it cannot be read.
        UserError: it is of a study with another space or other settings.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        begun = record["study"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(
            f"{path}: not a file of a study ({type(error).__name__}). Delete it and run again: "
            "the stage that writes it will make it anew."
        ) from error
    refuse_changes(begun, study, path)
    return record


def refuse_changes(begun: dict[str, Any], study: Study, path: Path | str) -> None:
    """Raise a UserError that says what changed, if a study was begun as something else.

    Trials of another space or of other settings cannot be compared with new ones, and to begin
    again would throw them away: a person has to decide.

    Args:
        begun: the study as its first file has it.
        path: of that file.
    """
    if changes := list(differences(begun, study.to_dict())):
        raise UserError(
            f"the study {study.name!r} on {study.dataset} was begun as another one ({path}):\n  "
            + "\n  ".join(changes)
            + "\nGive the changed study a name of its own, put the configuration back, or delete "
            f"results/{study.dataset}/tuning/{study.name} to begin it anew."
        )


def differences(old: Any, new: Any, name: str = "") -> Iterable[str]:
    """One line "name: old → new" for each value in which two nested dicts differ."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if old != new:
            yield f"{name}: {old} → {new}"
        return
    for key in sorted(old.keys() | new.keys()):
        inner = f"{name}.{key}" if name else key
        yield from differences(old.get(key, "nothing"), new.get(key, "nothing"), inner)


def tunable(model: type = ModelSettings) -> dict[str, type]:
    """Parameters that a space may name, "section.key" → type; those of one plain value.

    Args:
        model: class of the method's settings.
    """
    found = {}
    for section, default in (("model", model()), ("train", TrainSettings())):
        settings = type(default)
        for field in dataclasses.fields(settings):
            value, name = getattr(default, field.name), f"{section}.{field.name}"
            if isinstance(value, bool | int | float | str) and name not in FIXED:
                found[name] = type(value)
    return found


def nested(parameters: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """{"model.blocks": 2} → {"model": {"blocks": 2}}."""
    sections: dict[str, dict[str, Any]] = {}
    for name, value in parameters.items():
        section, _, key = name.partition(".")
        sections.setdefault(section, {})[key] = value
    return sections


def overlay(settings: dict[str, Any], changes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Settings (backbone, model, train) with some keys of some sections changed."""
    return settings | {name: settings[name] | keys for name, keys in changes.items()}


def tuned_settings(own: RunSettings, path: Path | str) -> RunSettings:
    """The settings of a run with what a study has found, as `best.yaml` has it.

    Raises:
        UserError: the file is damaged.
    """
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["settings"]
        return RunSettings.from_dict(overlay(own.to_dict(), found))
    except Exception as error:  # a YAML parser raises errors of many classes
        raise UserError(
            f"{path}: not the result of a study ({type(error).__name__}). Delete it and run again: "
            "the study is closed anew."
        ) from error
