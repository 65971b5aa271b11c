"""One trial of a study: a training with suggested parameters, scored on the validation tenth.

    python -m dfer.tuning.trial --study '{"name": "full", …}' --asked rounds/1.json --number 5
        --trials trials/0.0.json … --splits splits/1.parquet --store store/*.arrow
        --text text.safetensors --classes '{"happy": "happiness", "sad": "sadness"}'
        --run-folders runs/ --out trials/1.1.json

The fold's test clips are never read. The pruner compares with trials of earlier rounds only, so
it does not matter which trials of a round run side by side or first. A killed trial goes on from
the epoch it saved last (`<out>.state.pt`). A training that diverges, or does not fit into the GPU,
is a failed trial: it is recorded with the reason, and the study goes on. What a variant's run below
`--run-folders` has trained already (with the checkpoint rule `val`, too) is not trained again.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from dfer.clips.store import ClipStore
from dfer.errors import UserError, stage
from dfer.files import read_parquet
from dfer.models import flops
from dfer.provenance import digest
from dfer.settings import RunSettings
from dfer.training.device import loader_workers, machine, pick_device
from dfer.training.events import event_log
from dfer.training.loop import HISTORY, Diverged, train
from dfer.training.text import read_features
from dfer.training.train import decisive, identify, read_clips
from dfer.tuning.replay import distributions, replay
from dfer.tuning.study import Study, Trial, read_trials, write_trial
from dfer.tuning.suggest import read_asked


class Pruning:
    """Whether a training should stop, as `dfer.training.loop.train` asks before each epoch.

    It is told the whole history each time, so that a resumed training is decided upon as an
    uninterrupted one.
    """

    def __init__(self, study: Study, before: Sequence[Trial], parameters: dict[str, Any]) -> None:
        replayed = replay(study, before)
        replayed.enqueue_trial(parameters)
        self.study, self.replayed = study, replayed
        self.trial = replayed.ask(distributions(study))
        self.told, self.pruned = 0, False

    def __call__(self, history: list[dict[str, Any]]) -> bool:
        """True if the trial is to be given up after the epochs of `history`."""
        for epoch, score in enumerate(curve(self.study, history), 1):
            if epoch > self.told and not self.pruned:
                self.told = epoch
                self.trial.report(score, epoch)
                self.pruned = self.trial.should_prune()
        return self.pruned

    @property
    def rungs(self) -> dict[str, float]:
        """What successive halving noted, which later rounds compare with."""
        noted = self.replayed.trials[self.trial.number].system_attrs
        return {key: noted[key] for key in sorted(noted) if key.startswith("completed_rung_")}


def curve(study: Study, history: list[dict[str, Any]]) -> list[float]:
    """The score on the validation clips after each epoch."""
    return [study.score(row) for row in history if row["split"] == "val"]


def attempt(
    study: Study,
    number: int,
    parameters: dict[str, Any],
    before: Sequence[Trial],
    *,
    splits: Path | str,
    store: ClipStore,
    text: Path | str | None,
    classes: Mapping[str, str],
    runs: Path | None,
    state_path: Path,
    threads: int,
    watch: Callable[[list[dict[str, Any]]], None] | None = None,
) -> Trial:
    """Train and score one trial, or find that it should be given up, or that it fails.

    Args:
        before: finished trials of earlier rounds.
        splits, text: paths of the clips of the fold and of the features of the class words.
        classes: label → class word, in class order.
        runs: folder of the dataset's runs, which are not trained again; None: none are known.
        state_path: where the state is kept that a killed training goes on from.
        watch: as of `dfer.training.loop.train`.
    """
    device = pick_device(threads)
    settings = study.trial_settings(parameters)
    given = {"classes": list(classes), "fold": study.fold, "seed": study.seed}
    data, monitor = read_clips(splits, store, settings, **given)
    features, words = read_features(text, len(classes)), list(classes.values())
    surroundings = decisive(machine(settings, device, threads))
    identity = identify(
        settings, dataset=study.dataset, splits=splits, text=text, store=store, **given
    )
    pruning = Pruning(study, before, parameters) if len(study.objectives) == 1 else None
    name = f"{study.dataset} {study.name} trial {number}"
    history = None
    if runs is not None:
        folder = runs / settings.key / f"fold{study.fold}-seed{study.seed}"
        history = trained_already(folder, identity, surroundings)
    if history is not None:
        print(f"{name}: is the training of {folder}")
        history = as_far_as_kept(history, pruning)
    else:
        try:
            _, table = train(
                settings,
                data,
                monitor,
                words,
                features,
                state_path,
                fingerprint=digest([identity, surroundings]),
                seed=study.seed,
                device=device,
                workers=loader_workers(device, threads),
                name=name,
                stop=pruning,
                watch=watch,
            )
        except (Diverged, torch.OutOfMemoryError) as error:
            reason = str(error).splitlines()[0].removeprefix(f"{name}: ")
            return Trial(number, parameters, "FAIL", [], [], {}, reason)
        history = table.to_dict("records")
        if pruning:  # one that was killed after its last epoch has not been told
            pruning([row for row in history if row["epoch"] < settings.train.epochs])
    scores, rungs = curve(study, history), pruning.rungs if pruning else {}
    if pruning and pruning.pruned:
        reason = (
            f"pruned by {study.pruner['name']} after epoch {len(scores)} of "
            f"{settings.train.epochs}, at a score of {scores[-1]:.1f}"
        )
        return Trial(number, parameters, "PRUNED", [], scores, rungs, reason)
    (chosen,) = [row for row in history if row["split"] == "val" and row["chosen"]]
    values = [study.score(chosen), *costs(study, settings, words)]
    return Trial(number, parameters, "COMPLETE", values, scores, rungs, "")


def trained_already(
    folder: Path, identity: dict[str, Any], machine: dict[str, Any]
) -> list[dict[str, Any]] | None:
    """The history of the run in `folder`, if it is this very training on such a machine.

    Args:
        identity: as of `dfer.training.train.identify`.
        machine: as of `dfer.training.train.decisive`.
    """
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        history = read_parquet(folder / "history.parquet", HISTORY).to_dict("records")
        made = {key: record.get(key) for key in identity}
        made["environment"] = {key: record.get("environment", {}).get(key) for key in machine}
    except (OSError, ValueError, AttributeError, UserError):
        return None
    asked = json.loads(json.dumps(identity | {"environment": machine}))
    return history if made == asked else None


def as_far_as_kept(history: list[dict[str, Any]], pruning: Pruning | None) -> list[dict[str, Any]]:
    """The history up to the epoch at which `pruning` would have ended the training."""
    for epoch in sorted({row["epoch"] for row in history}):
        before = [row for row in history if row["epoch"] < epoch]
        if pruning is not None and pruning(before):
            return before
    return history


def costs(study: Study, settings: RunSettings, words: Sequence[str]) -> list[float]:
    """The true multiply–accumulates of one clip (G), where they are an objective."""
    if "macs" not in study.objectives:
        return []
    return [flops.count(settings.model, settings.backbone, words).macs_true / 1e9]


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--study", required=True, help="JSON: a study")
    add("--asked", required=True, help="parameters of a round (dfer.tuning.suggest)")
    add("--number", type=int, required=True, help="number of the trial, from 0 through all rounds")
    add("--trials", nargs="*", default=[], help="finished trials; of earlier rounds")
    add("--splits", required=True, help="clips of a fold (dfer.prepare.splits)")
    add("--store", nargs="+", required=True, help="shards of the clip store")
    add("--text", help="features of the class words (dfer.training.text); of methods on CLIP")
    add("--classes", required=True, help="JSON: label → class word, in class order")
    add("--run-folders", type=Path, help="folder of the dataset's runs; left out: none are known")
    add("--threads", type=int, default=1, help="threads to compute with")
    add("--tensorboard", action="store_true", help="write event files for TensorBoard, too")
    add("--out", required=True, help="output (what became of the trial)")
    return top


def main(args: argparse.Namespace) -> None:
    """Run one trial and write what became of it."""
    study = Study.from_json(args.study)
    parameters = read_asked(args.asked, study)[args.number % study.width]
    print(f"trial {args.number}: {parameters}", flush=True)
    state_path = Path(args.out).with_suffix(".state.pt")
    trial = attempt(
        study,
        args.number,
        parameters,
        read_trials(args.trials, study),
        splits=args.splits,
        store=ClipStore(args.store),
        text=args.text,
        classes=json.loads(args.classes),
        runs=args.run_folders,
        state_path=state_path,
        threads=args.threads,
        watch=event_log(Path(args.out).with_suffix(".tensorboard"), args.tensorboard),
    )
    write_trial(trial, study, args.out)
    state_path.unlink(missing_ok=True)
    values = ", ".join(f"{value:.2f}" for value in trial.values)
    print(f"trial {trial.number}: {trial.state} {values or trial.reason}")


if __name__ == "__main__":
    stage(main, parser())
