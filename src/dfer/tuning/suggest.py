"""The parameters of a study's next round, from all trials of the rounds before.

    python -m dfer.tuning.suggest --study '{"name": "full", …}' --trials trials/0.0.json …
        --out rounds/1.json

The sampler is seeded with the study's seed and the number of finished trials. Trial 0 is the
variant as it stands, as far as its settings lie in the space: what is found is never worse than it.
"""

import argparse
import json

from dfer.errors import UserError, stage
from dfer.files import write_text
from dfer.tuning.replay import contains, distributions, replay
from dfer.tuning.study import Damaged, Study, read_record, read_trials


def read_asked(path: str, study: Study) -> list[dict]:
    """Parameters of each trial of a round.

    Raises:
        UserError: the file is damaged, empty, or of another study.
    """
    asked = read_record(path, study).get("asked") or []
    if not isinstance(asked, list) or not all(isinstance(a, dict) for a in asked):
        raise Damaged(f"{path}: not a round of {study.name!r}. Delete it and run again.")
    if any(parameters.keys() != study.space.keys() for parameters in asked):
        raise Damaged(f"{path}: not the parameters of {study.name!r}. Delete it and run again.")
    if len(asked) != study.width:
        raise UserError(
            f"{path}: a round of {study.name!r} has {study.width} trials, this one {len(asked)}. "
            "Delete it and run again."
        )
    return asked


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--study", required=True, help="JSON: a study")
    add("--trials", nargs="*", default=[], help="finished trials; of whole rounds")
    add("--out", required=True, help="output (parameters of the next round)")
    return top


def main(args: argparse.Namespace) -> None:
    """Ask for one round and write it."""
    study = Study.from_json(args.study)
    trials = read_trials(args.trials, study)
    replayed = replay(study, trials, seed=study.seed + len(trials))
    space = distributions(study)
    if not trials:
        own = study.own_parameters()
        inside = {name: value for name, value in own.items() if contains(space[name], value)}
        replayed.enqueue_trial(inside)
    asked = [replayed.ask(space).params for _ in range(study.width)]
    record = {"study": study.to_dict(), "asked": asked}
    write_text(json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n", args.out)
    for number, parameters in enumerate(asked, len(trials)):
        print(f"trial {number}: {parameters}")


if __name__ == "__main__":
    stage(main, parser())
