"""An Optuna study, made anew from the files of its finished trials.

No process of Optuna outlives a job, and none is shared: each job replays what is finished into a
study in memory. What a sampler suggests and a pruner decides depends on those files alone, so a
study is the same run job after job, on many cores, or killed and resumed.
"""

import difflib
import inspect
import warnings
from collections.abc import Iterable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution

from dfer.errors import UserError
from dfer.tuning.study import Study, Trial

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def replay(
    study: Study, trials: Iterable[Trial], *, seed: int = 0, storage: Any = None
) -> optuna.Study:
    """An Optuna study that has finished `trials`, given in the order of their numbers.

    Args:
        seed: of the sampler.
        storage: of Optuna; None keeps the study in memory.
    """
    sampler = build(optuna.samplers, study.sampler, seed=seed)
    replayed = optuna.create_study(
        study_name=f"{study.dataset} {study.name}",
        storage=storage,
        directions=["minimize" if name == "macs" else "maximize" for name in study.objectives],
        sampler=sampler,
        pruner=build(optuna.pruners, study.pruner),
    )
    with warnings.catch_warnings(action="ignore"):  # experimental since Optuna 3.2
        replayed.set_metric_names(list(study.objectives))
    space = distributions(study)
    for trial in trials:
        replayed.add_trial(
            optuna.trial.create_trial(
                params=trial.parameters,
                distributions=space,
                values=trial.values or None,
                intermediate_values=dict(enumerate(trial.curve, 1)),
                state=optuna.trial.TrialState[trial.state],
                user_attrs={"reason": trial.reason} if trial.reason else {},
                system_attrs=trial.rungs,
            )
        )
    return replayed


def distributions(study: Study) -> dict[str, BaseDistribution]:
    """The space as Optuna's distributions, by name, sorted."""
    return {name: build(optuna.distributions, study.space[name]) for name in sorted(study.space)}


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a trial may have the value."""
    try:
        optuna.trial.create_trial(
            params={"value": value}, distributions={"value": distribution}, value=0.0
        )
    except ValueError:
        return False
    return True


def build(module: Any, config: dict[str, Any], **further: Any) -> Any:
    """The object of Optuna that a configuration names.

    Args:
        module: of Optuna, which has it.
        config: `name`, and the object's arguments.
        further: arguments that are given if the object has them.

    Raises:
        UserError: an argument that it does not have, or does not take.
    """
    name = config["name"]
    arguments = {key: value for key, value in config.items() if key != "name"}
    kind = getattr(module, name)
    known = inspect.signature(kind).parameters
    if unknown := sorted(set(arguments) - set(known)):
        close = difflib.get_close_matches(unknown[0], known, n=1) or known
        raise UserError(f"{name} has no {unknown[0]!r}; there is {', '.join(close)}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # Optuna widens or narrows a space with one
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            return kind(**arguments, **{k: v for k, v in further.items() if k in known})
        except (TypeError, ValueError, UserWarning) as error:
            raise UserError(f"{name}: {error}") from error


def optuna_faults(study: Study) -> Iterable[str]:
    """What Optuna refuses of a study's space, sampler and pruner, as ".key: reason"."""
    parts = {f".space.{name}": (optuna.distributions, c) for name, c in study.space.items()}
    parts |= {".sampler": (optuna.samplers, study.sampler)}
    parts |= {".pruner": (optuna.pruners, study.pruner)}
    for key, (module, config) in parts.items():
        try:
            build(module, config)
        except UserError as error:
            yield f"{key}: {error}"
    if len(study.objectives) > 1 and study.pruner["name"] != "NopPruner":
        yield ".pruner: Optuna prunes by one objective only; leave the pruner out, or macs"
