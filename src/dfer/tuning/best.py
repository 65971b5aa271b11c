"""All trials of a study → its best settings, a table of the trials, and a storage of Optuna.

    python -m dfer.tuning.best --study '{"name": "full", …}' --trials trials/0.0.json …
        --out-best best.yaml --out-table trials.parquet --out-storage study.journal

`best.yaml` holds no date and no path: equal trials give equal bytes. `study.journal` is what
`optuna-dashboard study.journal` opens.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from dfer.errors import UserError, stage
from dfer.files import atomic, write_parquet, write_text
from dfer.tuning.replay import replay
from dfer.tuning.study import Study, Trial, nested, read_trials


def best_of(trials: Sequence[Trial], study: Study) -> Trial:
    """The complete trial of the best score; of equals the cheapest, then the first.

    Raises:
        UserError: no trial was completed.
    """
    complete = [trial for trial in trials if trial.state == "COMPLETE"]
    if not complete:
        reasons = Counter(trial.reason for trial in trials).most_common(3)
        raise UserError(
            f"the study {study.name!r} on {study.dataset} has no complete trial of {len(trials)}:\n"
            + "\n".join(f"  {number} × {reason}" for reason, number in reasons)
            + "\nChange the space, or give the study more rounds."
        )
    return min(complete, key=lambda trial: (-trial.values[0], trial.values[1:], trial.number))


def front(trials: Sequence[Trial]) -> list[Trial]:
    """The Pareto front of score (more is better) and cost (less is better), cheapest first."""
    found: list[Trial] = []
    complete = [trial for trial in trials if trial.state == "COMPLETE"]
    for trial in sorted(complete, key=lambda t: (t.values[1], -t.values[0], t.number)):
        if not found or trial.values[0] > found[-1].values[0]:
            found.append(trial)
    return found


def report(trials: Sequence[Trial], study: Study) -> dict[str, Any]:
    """The content of `best.yaml`; `settings` are as a variant has them in the configuration."""
    states = Counter(trial.state for trial in trials)
    content = {
        "study": study.name,
        "dataset": study.dataset,
        "fold": study.fold,
        "space": study.space,
        "trials": {"complete": states["COMPLETE"], "pruned": states["PRUNED"]}
        | {"failed": states["FAIL"]},
    } | entry(best_of(trials, study), study)
    first = trials[0]
    if first.state == "COMPLETE" and first.parameters == study.own_parameters():
        content["variant_as_it_stands"] = entry(first, study)
    if len(study.objectives) > 1:
        content["front"] = [entry(trial, study) for trial in front(trials)]
    return content


def entry(trial: Trial, study: Study) -> dict[str, Any]:
    """A complete trial: its number, its scores, its settings."""
    return {
        "trial": trial.number,
        "scores": dict(zip(study.objectives, trial.values, strict=True)),
        "settings": nested(trial.parameters),
    }


def table(trials: Sequence[Trial], study: Study) -> pa.Table:
    """One row a trial: number, round, state, one column an objective and a parameter, curve."""
    rows = []
    for trial in trials:
        values = trial.values or [None] * len(study.objectives)
        row = {"trial": trial.number, "round": trial.number // study.width, "state": trial.state}
        row |= dict(zip(study.objectives, values, strict=True))
        row |= {name: trial.parameters[name] for name in sorted(study.space)}
        row |= {"epochs": len(trial.curve), "curve": trial.curve, "reason": trial.reason}
        rows.append(row)
    numbers = [(name, pa.float64()) for name in study.objectives]
    plain = pa.Table.from_pylist(rows)
    schema = pa.schema([(f.name, dict(numbers).get(f.name, f.type)) for f in plain.schema])
    return plain.cast(schema.set(schema.get_field_index("curve"), _CURVE))


_CURVE = pa.field("curve", pa.list_(pa.float64()))  # score after each epoch, in %


def write_storage(trials: Sequence[Trial], study: Study, path: str) -> None:
    """Write the study as a journal file of Optuna."""
    with atomic(path) as temporary:
        replay(study, trials, storage=JournalStorage(JournalFileBackend(str(temporary))))


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--study", required=True, help="JSON: a study")
    add("--trials", nargs="+", required=True, help="finished trials; all of the study")
    add("--out-best", required=True, help="output (the best settings, as YAML)")
    add("--out-table", required=True, help="output (all trials)")
    add("--out-storage", required=True, help="output (the study as a journal file of Optuna)")
    return top


def main(args: argparse.Namespace) -> None:
    """Close a study, and name the trials that failed."""
    study = Study.from_json(args.study)
    trials = read_trials(args.trials, study)
    for trial in trials:
        if trial.state == "FAIL":
            print(f"trial {trial.number} failed: {trial.reason} {trial.parameters}")
    content = report(trials, study)
    rows = table(trials, study)
    write_parquet(rows.to_pandas(), args.out_table, rows.schema)
    write_storage(trials, study, args.out_storage)
    write_text(yaml.safe_dump(content, sort_keys=True, allow_unicode=True), args.out_best)
    print(yaml.safe_dump({key: content[key] for key in ("trials", "trial", "scores", "settings")}))


if __name__ == "__main__":
    stage(main, parser())
