"""Tuning: the same study in any order and after any kill, never on test, and what is refused."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
import yaml
from checkout import CONFIG, ROOT
from conftest import CLASSES, write_inputs
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dfer.dag.configuration import check_config
from dfer.errors import UserError
from dfer.files import read_parquet
from dfer.settings import RunSettings
from dfer.training import state as kept
from dfer.training import train as training
from dfer.tuning import best, figures, suggest, trial
from dfer.tuning.replay import build, contains
from dfer.tuning.study import Study, Trial, read_trials, tunable

SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
SPACE = {
    "model.blocks": {"name": "IntDistribution", "low": 1, "high": 2},
    "model.alpha": {"name": "FloatDistribution", "low": 0.01, "high": 1.0, "log": True},
    "train.lr": {"name": "FloatDistribution", "low": 3e-5, "high": 1e-2, "log": True},
}
SETTINGS = {
    "backbone": {"model": "config/backbone/tiny.json", "weights": None},
    "model": {"frames": 4, "interfit": False, "aggregation": "mean", "blocks": 1},
    "train": {"epochs": 4, "batch": 6, "min_lr": 0.0, "warmup_epochs": 1, "checkpoint": "val"},
}


def make_study(**changes):
    values = {
        "name": "small",
        "dataset": "tiny",
        "fold": 1,
        "seed": 3,
        "width": 2,
        "objectives": ("uar",),
        "space": SPACE,
        "sampler": {"name": "TPESampler", "n_startup_trials": 2},
        "pruner": {"name": "MedianPruner", "n_startup_trials": 1},
        "settings": json.loads(RunSettings.from_dict(SETTINGS).to_json()),
    }
    return Study(**values | changes)


@pytest.fixture
def folder(tiny_store, tmp_path):
    """Splits, store and class texts, as a trial reads them."""
    return write_inputs(tiny_store, tmp_path)


def read():
    """The default configuration."""
    return yaml.safe_load((ROOT / "config/config.yaml").read_text())


def numbers_of(rounds, width):
    """(round, place) of all trials of so many rounds, in order."""
    return [(round_, place) for round_ in range(rounds) for place in range(width)]


def call(stage, *words):
    stage.main(stage.parser().parse_args([str(word) for word in words]))


def run_suggest(study, out, round_):
    before = [out / f"trials/{r}.{k}.json" for r, k in numbers_of(round_, study.width)]
    words = ["--study", study.to_json(), "--trials", *before]
    call(suggest, *words, "--out", out / f"rounds/{round_}.json")
    return words


def inputs(folder):
    """What trials and trainings read, as their command lines name it."""
    return [
        *("--splits", folder / "splits.parquet"),
        *("--store", *sorted((folder / "store").iterdir())),
        *("--text", folder / "text.safetensors"),
        *("--classes", json.dumps(dict(zip(CLASSES, CLASSES, strict=True)))),
    ]


def run_trial(folder, study, out, round_, place, *more):
    before = [out / f"trials/{r}.{k}.json" for r, k in numbers_of(round_, study.width)]
    call(
        trial,
        *("--study", study.to_json(), "--asked", out / f"rounds/{round_}.json"),
        *("--number", round_ * study.width + place, "--trials", *before),
        *inputs(folder),
        *("--out", out / f"trials/{round_}.{place}.json", *more),
    )


def close(study, out, rounds):
    trials = [out / f"trials/{r}.{k}.json" for r, k in numbers_of(rounds, study.width)]
    call(
        best,
        *("--study", study.to_json(), "--trials", *trials, "--out-best", out / "best.yaml"),
        *("--out-table", out / "trials.parquet", "--out-storage", out / "study.journal"),
    )
    return yaml.safe_load((out / "best.yaml").read_text())


def run_study(folder, study, name, rounds=3, order=lambda places: places, one=run_trial):
    out = folder / name
    for round_ in range(rounds):
        run_suggest(study, out, round_)
        for place in order(range(study.width)):
            one(folder, study, out, round_, place)
    close(study, out, rounds)
    return out


def contents(out):
    files = [*sorted(out.glob("rounds/*")), *sorted(out.glob("trials/*"))]
    return {p.relative_to(out): p.read_bytes() for p in [*files, out / "best.yaml"]} | {
        "table": (out / "trials.parquet").read_bytes()
    }


@pytest.mark.slow
def test_the_order_of_a_round_and_kills_change_nothing(folder, monkeypatch):
    study = make_study()
    first = run_study(folder, study, "first")
    assert not list(first.glob("trials/*.pt"))
    backwards = run_study(folder, study, "backwards", order=reversed)
    assert contents(backwards) == contents(first)

    real = kept.write_state

    def killed_after_each_epoch(folder, study, out, round_, place):
        """Run a trial again and again, as long as it gets through one epoch and dies."""

        def write_and_die(path, **state):
            real(path, **state)
            raise KeyboardInterrupt

        monkeypatch.setattr(kept, "write_state", write_and_die)
        for _ in range(9):
            try:
                return run_trial(folder, study, out, round_, place)
            except KeyboardInterrupt:
                assert list(out.glob("trials/*.state.pt"))
        raise AssertionError("the trial never ended")

    cut = run_study(folder, study, "cut", one=killed_after_each_epoch)
    assert contents(cut) == contents(first)


def test_a_trial_that_was_killed_when_it_had_trained_is_what_it_would_have_been(
    folder, monkeypatch
):
    """What successive halving noted of its epochs is known again, though none is trained."""
    halving = {"name": "SuccessiveHalvingPruner", "min_resource": 1, "reduction_factor": 2}
    study = make_study(width=1, pruner=halving)
    records = []
    for name in ("whole", "cut"):
        run_suggest(study, folder / name, 0)
        if name == "cut":
            with monkeypatch.context() as patch:
                patch.setattr(trial, "write_trial", lambda *_: (_ for _ in ()).throw(OSError))
                with pytest.raises(OSError):
                    run_trial(folder, study, folder / name, 0, 0)
        run_trial(folder, study, folder / name, 0, 0)
        records.append((folder / name / "trials/0.0.json").read_bytes())
    assert b"completed_rung_" in records[0]
    assert records[0] == records[1]


def test_a_trial_is_the_same_watched_or_not(folder):
    study, records = make_study(width=1), []
    for name, flags in (("plain", []), ("watched", ["--tensorboard"])):
        run_suggest(study, folder / name, 0)
        run_trial(folder, study, folder / name, 0, 0, *flags)
        records.append((folder / name / "trials/0.0.json").read_bytes())
    assert records[0] == records[1]
    assert not (folder / "plain/trials/0.0.tensorboard").exists()
    events = EventAccumulator(str(folder / "watched/trials/0.0.tensorboard")).Reload()
    seen = [(point.step, point.value) for point in events.Scalars("UAR/val")]
    curve = json.loads(records[0])["trial"]["curve"]
    assert seen == [(epoch, np.float32(uar)) for epoch, uar in enumerate(curve, 1)]


def test_pruned_trials_stop_early_and_say_so(folder, capsys):
    """A trial below the threshold is given up; one above it is not."""
    study = make_study(pruner={"name": "ThresholdPruner", "lower": 90.0, "n_warmup_steps": 3})
    out = folder / "pruned"
    run_suggest(study, out, 0)
    asked = json.loads((out / "rounds/0.json").read_text())
    asked["asked"] = [
        {"model.blocks": 1, "model.alpha": 0.1, "train.lr": lr} for lr in (3e-5, 1e-3)
    ]
    (out / "rounds/0.json").write_text(json.dumps(asked))
    for place in (0, 1):
        run_trial(folder, study, out, 0, place)
    slow, quick = read_trials(sorted(out.glob("trials/*.json")), study)
    assert slow.state == "PRUNED" and len(slow.curve) == 3 and slow.curve[-1] < 90
    assert "pruned by ThresholdPruner after epoch 3 of 4" in slow.reason
    assert slow.reason in (printed := capsys.readouterr().out)
    assert "trial 0: epoch 3/4" in printed and "trial 0: epoch 4/4" not in printed
    assert quick.state == "COMPLETE" and len(quick.curve) == 4


def test_what_a_variant_s_run_has_trained_is_not_trained_again(folder, monkeypatch):
    """Trial 0, complete or pruned; where the run is of other code, it is trained after all."""
    strict = {"name": "ThresholdPruner", "lower": 101.0, "n_warmup_steps": 2}
    studies = [make_study(width=1), make_study(width=1, pruner=strict)]

    def first_trial(study, name, *more):
        run_suggest(study, folder / name, 0)
        run_trial(folder, study, folder / name, 0, 0, *more)
        return (folder / name / "trials/0.0.json").read_bytes()

    trained = [first_trial(study, f"trained{i}") for i, study in enumerate(studies)]
    trials = [json.loads(record)["trial"] for record in trained]
    assert [found["state"] for found in trials] == ["COMPLETE", "PRUNED"]

    settings = studies[0].trial_settings(trials[0]["parameters"])
    run = folder / "runs" / settings.key / "fold1-seed3"
    call(
        training,
        *("--dataset", "tiny", "--fold", 1, "--seed", 3, "--settings", settings.to_json()),
        *("--landmark-settings", "null", *inputs(folder)),
        *("--out-checkpoint", run / "checkpoint.safetensors"),
        *("--out-history", run / "history.parquet", "--out-record", run / "run.json"),
    )

    def refuse(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr(trial, "train", refuse)
    runs = ("--run-folders", folder / "runs")
    assert [first_trial(s, f"shared{i}", *runs) for i, s in enumerate(studies)] == trained
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"code": []}))
    with pytest.raises(AssertionError, match="trained again"):
        first_trial(studies[0], "other-code", *runs)


@pytest.mark.parametrize("name", ["MedianPruner", "PercentilePruner", "SuccessiveHalvingPruner"])
def test_a_pruner_decides_as_in_a_study_of_optuna_s_own(name):
    """The same curves told to one live study and to ours, which is made anew for each trial."""
    arguments = {
        "MedianPruner": {"n_startup_trials": 2},
        "PercentilePruner": {"percentile": 40.0, "n_startup_trials": 2},
        "SuccessiveHalvingPruner": {"min_resource": 1, "reduction_factor": 2},
    }[name]
    study = make_study(width=1, pruner={"name": name, **arguments})
    live = optuna.create_study(
        direction="maximize", pruner=getattr(optuna.pruners, name)(**arguments)
    )
    before, states = [], set()
    for number in range(12):
        parameters = {"model.blocks": 1, "model.alpha": 0.1, "train.lr": 1e-3}
        curve = [float((number * 7) % 11 + epoch * ((number * 5) % 4)) for epoch in range(6)]
        pruning = trial.Pruning(study, before, parameters)
        theirs, told = live.ask(), []
        for epoch, value in enumerate(curve, 1):
            told.append({"split": "val", "epoch": epoch, "uar": value, "war": 0.0})
            theirs.report(value, epoch)
            ours = pruning(told)
            assert ours == theirs.should_prune()
            if ours:
                break
        state = "PRUNED" if ours else "COMPLETE"
        states.add(state)
        live.tell(theirs, None if ours else curve[-1], optuna.trial.TrialState[state])
        values = [] if ours else [curve[-1]]
        curve = [row["uar"] for row in told]
        before.append(Trial(number, parameters, state, values, curve, pruning.rungs, ""))
    assert states == {"PRUNED", "COMPLETE"}


@pytest.mark.slow
def test_a_failed_trial_is_recorded_and_the_study_goes_on(folder, capsys):
    space = SPACE | {"train.lr": {"name": "CategoricalDistribution", "choices": [1e18, 1e-3]}}
    study = make_study(space=space, sampler={"name": "RandomSampler"}, width=3)
    out = run_study(folder, study, "failing", rounds=2)
    table = read_parquet(out / "trials.parquet")
    failed = table["train.lr"] == 1e18
    assert set(table.state[failed]) == {"FAIL"} and failed.any() and not failed.all()
    assert table.reason[failed].str.startswith("the loss is").all()
    assert table.uar[failed].isna().all()
    found = yaml.safe_load((out / "best.yaml").read_text())
    assert found["trials"]["failed"] == failed.sum()
    assert f"trial {failed.idxmax()} failed: the loss is" in capsys.readouterr().out


def test_a_study_without_a_complete_trial_says_why(tmp_path):
    study = make_study()
    failed = [Trial(n, {}, "FAIL", [], [], {}, "the loss is nan in epoch 1") for n in range(2)]
    with pytest.raises(UserError, match=r"no complete trial of 2:\n  2 × the loss is nan"):
        best.best_of(failed, study)


def test_damaged_data_is_no_failed_trial(folder):
    """What is wrong with the data is wrong for all trials: the job fails, nothing is recorded."""
    study, out = make_study(), folder / "damaged"
    run_suggest(study, out, 0)
    (folder / "text.safetensors").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"text\.safetensors"):
        run_trial(folder, study, out, 0, 0)
    assert not list(out.glob("trials/*.json"))


def test_trials_never_read_test_clips(folder, monkeypatch):
    from dfer.clips.store import ClipStore

    splits = read_parquet(folder / "splits.parquet").query("fold == 1")
    seen, real = set(), ClipStore.frames

    def frames(self, clip, *args, **options):
        seen.add(clip)
        return real(self, clip, *args, **options)

    monkeypatch.setattr(ClipStore, "frames", frames)
    run_study(folder, make_study(), "study", rounds=1)
    assert seen == set(splits["clip"][splits.split == "train"])


@pytest.mark.parametrize("objective", ["uar", "war", "mean"])
def test_the_score_is_that_of_the_best_validation_epoch(folder, monkeypatch, objective):
    study = make_study(objectives=(objective,), pruner={"name": "NopPruner"}, width=1)
    kept = []
    real = trial.train

    def train(*args, **options):
        model, history = real(*args, **options)
        kept.append(history)
        return model, history

    monkeypatch.setattr(trial, "train", train)
    out = run_study(folder, study, objective, rounds=1)
    history = kept[0].query("split == 'val'").set_index("epoch")
    row = history.loc[history.war.idxmax()]
    expected = {"uar": row.uar, "war": row.war, "mean": (row.uar + row.war) / 2}[objective]
    (done,) = read_trials([out / "trials/0.0.json"], study)
    assert done.values == [expected]
    assert study.settings["train"]["checkpoint"] == "val"


def finished(number, score, macs, lr=1e-3):
    parameters = {"model.blocks": 1 + number % 2, "model.alpha": 0.1, "train.lr": lr}
    return Trial(number, parameters, "COMPLETE", [score, macs], [score], {}, "")


@pytest.mark.slow
def test_two_objectives_give_a_front(folder):
    study = make_study(objectives=("uar", "macs"), pruner={"name": "NopPruner"})
    trials = [
        finished(0, 50.0, 2.0),
        finished(1, 60.0, 3.0),
        finished(2, 60.0, 2.5),
        finished(3, 40.0, 1.0),
        finished(4, 45.0, 2.2),
    ]
    assert [t.number for t in best.front(trials)] == [3, 0, 2]
    ours = optuna.create_study(directions=["maximize", "minimize"])
    for t in trials:
        ours.add_trial(optuna.trial.create_trial(values=t.values))
    assert {t.number for t in ours.best_trials} == {3, 0, 2}
    assert best.best_of(trials, study).number == 2

    out = run_study(folder, study, "two", rounds=2)
    table = read_parquet(out / "trials.parquet")
    cost = table.groupby("model.blocks").macs.agg(["nunique", "first"])
    assert (cost["nunique"] == 1).all()
    from dfer.models.flops import count

    blocks = int(table["model.blocks"].iloc[0])
    settings = study.trial_settings({"model.blocks": blocks})
    expected = count(settings.model, settings.backbone, CLASSES).macs_true / 1e9
    assert cost["first"][blocks] == expected
    found = yaml.safe_load((out / "best.yaml").read_text())
    assert set(found["scores"]) == {"uar", "macs"} and found["front"]
    call(
        figures,
        "--storage",
        out / "study.journal",
        "--figure",
        "pareto",
        "--title",
        "Tiny",
        "--out-stem",
        out / "pareto",
    )
    assert (out / "pareto.svg").stat().st_size > 5000


@pytest.mark.slow
def test_best_is_a_variant_s_settings_and_sorted(folder):
    out = run_study(folder, make_study(), "study", rounds=2)
    text = (out / "best.yaml").read_text()
    found = yaml.safe_load(text)
    assert text == yaml.safe_dump(found, sort_keys=True)
    assert set(found["settings"]["model"]) == {"blocks", "alpha"}
    table = read_parquet(out / "trials.parquet").set_index("trial")
    assert found["scores"]["uar"] == table.uar.max()
    assert found["settings"]["train"]["lr"] == table["train.lr"][found["trial"]]
    assert found["space"] == SPACE
    config = read()
    config["variants"]["found"] = found["settings"]
    check_config(config, SCHEMA)


def test_the_first_trial_is_the_variant_as_it_stands(folder):
    study = make_study()
    out = run_study(folder, study, "study", rounds=1)
    asked = json.loads((out / "rounds/0.json").read_text())["asked"]
    own = {"model.blocks": 1, "model.alpha": 0.1, "train.lr": 2e-5}
    assert study.own_parameters() == own
    # The rate lies below the space: the sampler chooses it, the others are the variant's.
    assert {k: v for k, v in asked[0].items() if k != "train.lr"} == {
        k: v for k, v in own.items() if k != "train.lr"
    }
    assert SPACE["train.lr"]["low"] <= asked[0]["train.lr"] <= SPACE["train.lr"]["high"]
    assert asked[1] != asked[0]
    assert "variant_as_it_stands" not in yaml.safe_load((out / "best.yaml").read_text())


@pytest.mark.slow
def test_the_best_is_never_worse_than_the_variant_as_it_stands(folder):
    space = SPACE | {"train.lr": SPACE["train.lr"] | {"low": 1e-5}}
    study = make_study(space=space)
    out = run_study(folder, study, "study", rounds=2)
    found = yaml.safe_load((out / "best.yaml").read_text())
    stands = found["variant_as_it_stands"]
    assert stands["trial"] == 0
    assert stands["settings"] == {"model": {"alpha": 0.1, "blocks": 1}, "train": {"lr": 2e-5}}
    assert found["scores"]["uar"] >= stands["scores"]["uar"]


@pytest.mark.parametrize(
    ("space", "value", "inside"),
    [
        ({"name": "IntDistribution", "low": 1, "high": 4}, 4, True),
        ({"name": "IntDistribution", "low": 1, "high": 5, "step": 2}, 4, False),
        ({"name": "FloatDistribution", "low": 0.1, "high": 1.0, "step": 0.3}, 0.7, True),
        ({"name": "FloatDistribution", "low": 0.1, "high": 1.0}, 1.1, False),
        ({"name": "CategoricalDistribution", "choices": [1, 3]}, 2, False),
    ],
)
def test_which_values_a_trial_may_have(space, value, inside):
    assert contains(build(optuna.distributions, space), value) is inside


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """A storage with complete, pruned and failed trials, written twice."""
    paths = []
    for name in ("a", "b"):
        study, trials = make_study(), []
        for n in range(12):
            parameters = {
                "model.blocks": 1 + n % 2,
                "model.alpha": 0.01 * (n + 1),
                "train.lr": 1e-4 * (n + 1),
            }
            curve = [20.0 + n + 3 * epoch for epoch in range(4)]
            state = "PRUNED" if n % 4 == 3 else "FAIL" if n == 6 else "COMPLETE"
            values = [curve[-1]] if state == "COMPLETE" else []
            seen = curve[:2] if state == "PRUNED" else curve * (state == "COMPLETE")
            trials.append(Trial(n, parameters, state, values, seen, {}, "" if values else state))
        paths.append(tmp_path_factory.mktemp(name) / "study.journal")
        best.write_storage(trials, study, str(paths[-1]))
    return paths


def test_the_storage_opens_in_optuna(journal):
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(journal[0]))
    )
    study = optuna.load_study(study_name=None, storage=storage)
    assert study.study_name == "tiny small" and study.metric_names == ["uar"]
    assert study.best_trial.number == 10 and study.best_value == 39.0
    states = [t.state.name for t in study.trials]
    assert (states.count("PRUNED"), states.count("FAIL")) == (3, 1)
    assert study.trials[6].user_attrs == {"reason": "FAIL"}
    assert study.trials[3].intermediate_values == {1: 23.0, 2: 26.0}
    assert not list(journal[0].parent.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("figure", ["history", "importances", "slices", "parallel", "curves"])
def test_equal_studies_give_equal_figures(journal, figure):
    made = []
    for storage in journal:
        out = storage.with_name(figure)
        call(
            figures,
            "--storage",
            storage,
            "--figure",
            figure,
            "--title",
            "Tiny (synthetic)",
            "--out-stem",
            out,
        )
        made.append([out.with_suffix(f".{end}").read_bytes() for end in ("pdf", "svg", "png")])
    assert made[0] == made[1]
    assert all(len(content) > 3000 for content in made[0])


def test_a_study_begun_with_another_space_is_refused(tmp_path):
    run_suggest(make_study(), tmp_path, 0)
    low = SPACE["train.lr"] | {"low": 1e-6}
    changed = make_study(space=SPACE | {"train.lr": low}, seed=4)
    with pytest.raises(UserError) as caught:
        suggest.read_asked(tmp_path / "rounds/0.json", changed)
    message = str(caught.value)
    assert "  seed: 3 → 4\n  space.train.lr.low: 3e-05 → 1e-06\n" in message
    assert "name of its own" in message


def test_an_empty_round_is_refused(tmp_path):
    study = make_study()
    run_suggest(study, tmp_path, 0)
    record = json.loads((tmp_path / "rounds/0.json").read_text())
    (tmp_path / "rounds/0.json").write_text(json.dumps(record | {"asked": []}))
    with pytest.raises(UserError, match="has 2 trials, this one 0"):
        suggest.read_asked(tmp_path / "rounds/0.json", study)


STUDY = {
    "variant": "full",
    "rounds": 2,
    "width": 2,
    "epochs": 3,
    "space": {"train.lr": {"name": "FloatDistribution", "low": 1e-4, "high": 1e-2}},
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rounds": 0}, r"tuning\.s\.rounds: 0 is less than the minimum of 1"),
        ({"width": 0}, r"tuning\.s\.width: 0 is less than the minimum of 1"),
        ({"space": {}}, r"tuning\.s\.space"),
        ({"variant": "fll"}, r"tuning\.s\.variant: no variant 'fll'; did you mean 'full'\?"),
        ({"datasets": ["demos"]}, r"no dataset 'demos'; did you mean 'demo'\?"),
        ({"fold": 9}, r"tuning\.s\.fold: demo has no fold 9"),
        ({"objectives": ["wr"]}, r"no choice 'wr'; did you mean 'war'\?"),
        ({"objectives": ["macs"]}, r"tuning\.s\.objectives\.0: no choice 'macs'"),
        ({"sampler": {"name": "TPSampler"}}, r"'TPSampler'; did you mean 'TPESampler'\?"),
        (
            {"sampler": {"name": "TPESampler", "n_startup": 2}},
            r"tuning\.s\.sampler: TPESampler has no 'n_startup'; there is n_startup_trials",
        ),
        (
            {"pruner": {"name": "PercentilePruner"}},
            r"tuning\.s\.pruner: PercentilePruner: .*percentile",
        ),
        (
            {"objectives": ["uar", "macs"], "pruner": {"name": "MedianPruner"}},
            r"prunes by one objective only",
        ),
        (
            {"space": {"model.block": {"name": "IntDistribution", "low": 1, "high": 2}}},
            r"no parameter 'model\.block'; did you mean 'model\.blocks'\?",
        ),
        (
            {"space": {"train.checkpoint": {"name": "CategoricalDistribution", "choices": ["a"]}}},
            r"no parameter 'train\.checkpoint'",
        ),
        (
            {"space": {"model.blocks": {"name": "FloatDistribution", "low": 1, "high": 2}}},
            r"model\.blocks: it is a whole number; take IntDistribution",
        ),
        (
            {"space": {"train.lr": {"name": "FloatDistribution", "low": 1.0, "high": 0.1}}},
            r"tuning\.s\.space\.train\.lr: FloatDistribution: .*low",
        ),
        (
            {"space": {"train.lr": {"name": "FloatDistribution", "low": -1.0, "high": 0.1}}},
            r"tuning\.s\.space\.train\.lr: -1\.0 is less than or equal to the minimum",
        ),
        (
            {"space": {"train.lr": {"name": "FloatDistribution", "low": 1e-7, "high": 0.1}}},
            r"tuning\.s \(on demo\): min_lr is above lr, at \{\"train\.lr\": 1e-07\}",
        ),
        ({"epochs": 1}, r"warmup_epochs must be smaller than epochs"),
    ],
)
def test_a_fault_of_a_study_is_named_with_its_remedy(changes, message):
    with pytest.raises(UserError, match=message):
        check_config(read() | {"tuning": {"s": STUDY | changes}}, SCHEMA)


@pytest.mark.parametrize(
    ("tuned", "message"),
    [
        ("ful", r"variants\.t\.tuned: no study 'ful'; did you mean 'full'\?"),
        ("elsewhere", r"tuning\.elsewhere\.datasets has no 'demo'; add it there"),
    ],
)
def test_a_tuned_variant_needs_its_study(tuned, message):
    config = read()
    other = config["datasets"]["demo"] | {"title": "Other"}
    config["datasets"] = config["datasets"] | {"other": other}
    config["tuning"] = {"full": STUDY, "elsewhere": STUDY | {"datasets": ["other"]}}
    config["variants"] = config["variants"] | {"t": {"tuned": tuned}}
    with pytest.raises(UserError, match=message):
        check_config(config, SCHEMA)


def test_what_can_be_tuned():
    known = tunable()
    assert {"model.blocks", "model.alpha", "model.beta", "train.lr"} <= known.keys()
    assert not {"train.epochs", "train.checkpoint", "model.kernels"} & known.keys()
    assert not {"train.precision", "train.gradient_checkpointing"} & known.keys()


# From here on real Snakemake, on real videos.

TUNED = CONFIG | {
    "datasets": {"mine": CONFIG["datasets"]["mine"] | {"folds": [1]}},
    "variants": CONFIG["variants"] | {"full_tuned": {"tuned": "small"}},
    "tuning": {
        "small": {
            "variant": "full",
            "rounds": 2,
            "width": 2,
            "epochs": 2,
            "seed": 1,
            "space": SPACE,
            "sampler": {"name": "TPESampler", "n_startup_trials": 2},
            "pruner": {"name": "MedianPruner", "n_startup_trials": 1},
        }
    },
    "train": CONFIG["train"] | {"min_lr": 1e-5},
}
BEST = "results/mine/tuning/small/best.yaml"


@pytest.fixture(scope="module")
def packed(prepared, tmp_path_factory):
    """A checkout whose clips are packed and whose class texts are made."""
    tree = prepared.copy(tmp_path_factory.mktemp("checkout"))
    tree.configure(TUNED)
    assert {job.split()[0] for job in tree.jobs(BEST)} == {"suggest", "trial", "best"}
    return tree


def outcome(tree):
    """Every file of the study that should be the same byte by byte."""
    folder = tree.folder / BEST.removesuffix("/best.yaml")
    names = ["best.yaml", "trials.parquet", *(f"trials/{r}.{k}.json" for r, k in numbers_of(2, 2))]
    return {name: (folder / name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def sequential(packed, tmp_path_factory):
    """The study, one job after the other."""
    tree = packed.copy(tmp_path_factory.mktemp("sequential"))
    tree.snakemake("--cores", "1", BEST)
    return tree


@pytest.mark.slow
def test_sequential_parallel_and_interrupted_are_the_same(packed, sequential, tmp_path):
    parallel = packed.copy(tmp_path / "parallel")
    parallel.snakemake("--cores", "2", BEST)
    assert outcome(parallel) == outcome(sequential)

    cut = packed.copy(tmp_path / "cut")
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2", BEST],
        cwd=cut.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    begun = cut.folder / "results/mine/tuning/small/trials"
    until = time.monotonic() + 240
    while not list(begun.glob("1.*.state.pt")) and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (cut.folder / BEST).exists()
    cut.snakemake("--unlock")
    cut.snakemake("--cores", "2", BEST)
    assert outcome(cut) == outcome(sequential)


@pytest.mark.slow
def test_another_space_is_refused_before_anything_is_lost(sequential, tmp_path):
    tree = sequential.copy(tmp_path / "tree")
    before = outcome(tree)
    study = TUNED["tuning"]["small"]
    wider = study["space"] | {"model.blocks": SPACE["model.blocks"] | {"high": 3}}
    tree.configure(TUNED | {"tuning": {"small": study | {"space": wider}}})
    done = tree.snakemake("--cores", "1", BEST, check=False)
    assert done.returncode
    assert "space.model.blocks.high: 2 → 3" in done.stderr + done.stdout
    assert outcome(tree) == before
    tree.configure(TUNED)
    assert tree.jobs(BEST) == {}


@pytest.mark.slow
def test_a_damaged_round_is_named_by_its_trial_and_not_by_every_plan(sequential, tmp_path):
    tree = sequential.copy(tmp_path / "tree")
    (tree.folder / BEST).unlink()  # the study is under way
    path = tree.folder / "results/mine/tuning/small/rounds/0.json"
    path.write_text(path.read_text()[:40])
    assert any(job.startswith("trial mine small 0 ") for job in tree.jobs(BEST))
    done = tree.snakemake("--cores", "2", BEST, check=False)
    said = done.stdout + done.stderr
    assert done.returncode and "rounds/0.json: not a file of a study" in said
    assert "Delete it and run again" in said
    path.unlink()
    tree.snakemake("--cores", "2", BEST)
    assert outcome(tree) == outcome(sequential)


@pytest.mark.slow
def test_a_tuned_row_reads_the_best_and_an_unchanged_best_retrains_nothing(sequential, tmp_path):
    tree = sequential.copy(tmp_path / "tree")
    table = "results/table2.parquet"
    tree.snakemake("--cores", "2", table)
    (run,) = (tree.folder / "results/mine/runs").glob("tuned-small.*")
    record = json.loads((run / "fold1-seed0/run.json").read_text())
    found = yaml.safe_load((tree.folder / BEST).read_text())
    for section, keys in found["settings"].items():
        for key, value in keys.items():
            assert record["settings"][section][key] == value
    assert record["settings"]["train"]["epochs"] == CONFIG["train"]["epochs"]
    assert record["settings"]["train"]["checkpoint"] == "last"
    rows = read_parquet(tree.folder / table).query("variant == 'full_tuned'")
    assert set(rows.source) == {"measured"} and len(rows) == 2
    assert rows.method.str.endswith(", tuned").all()
    assert rows.origin.str.contains("tuned-small").all()
    assert tree.jobs(table) == {}

    done = tree.snakemake("--cores", "2", "--forcerun", "best", "--", table)
    ran = re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):", done.stderr, re.M)
    assert "best" in ran and not {"suggest", "trial", "train"} & set(ran)

    path = tree.folder / BEST
    found["settings"]["train"]["lr"] = 0.00123
    path.write_text(yaml.safe_dump(found))
    trained = [job.split() for job in tree.jobs(table) if job.startswith("train ")]
    assert {words[2].partition(".")[0] for words in trained} == {"tuned-small"}


def test_curves_end_where_pruned_and_the_best_is_thick(journal):
    lines = figures.curves(figures.load(str(journal[0]))).axes[0].lines
    drawn = {float(line.get_ydata()[-1]): line for line in lines if len(line.get_ydata()) > 1}
    thick = [score for score, line in drawn.items() if line.get_linewidth() > 2]
    assert thick == [39.0]  # of trial 10; 11 was pruned
    assert sum(len(line.get_xdata()) == 2 for line in drawn.values()) == 3


def test_figures_of_a_study_that_is_too_small_say_so():
    same = SimpleNamespace(
        trials=[
            SimpleNamespace(state=optuna.trial.TrialState.COMPLETE, values=[50.0]) for _ in "ab"
        ]
    )
    figure = figures.importances(same)
    assert "score the same" in figure.texts[0].get_text()
