"""Prior correction of saved predictions: against numpy, without a look at test labels."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import write_inputs

from dfer.errors import UserError
from dfer.files import read_parquet, write_parquet
from dfer.prepare.splits import SPLITS
from dfer.settings import RunSettings
from dfer.training import correct, evaluate, held_out, scores, train

WORDS = {"happy": "happiness", "sad": "sadness", "neutral": "neutral"}
BASE = {
    "backbone": {"model": "config/backbone/tiny.json", "weights": None},
    "model": {"frames": 8, "blocks": 1},
    "train": {"epochs": 2, "batch": 6, "lr": 3e-3, "min_lr": 3e-5, "warmup_epochs": 1},
}


def call(stage, *words):
    stage.main(stage.parser().parse_args(list(map(str, words))))


def settings(**recipe):
    return RunSettings.from_dict(BASE | {"train": BASE["train"] | recipe})


def corrects(folder, out="corrected", prior=1, **other):
    """The stage on the runs of `folder`; its output folder."""
    files = {
        "uncorrected": folder / "run/predictions.parquet",
        "record": folder / "run/run.json",
        "held-out": folder / "holding/held_out.parquet",
        "splits": folder / "splits.parquet",
        "out-predictions": folder / out / "predictions.parquet",
        "out-metrics": folder / out / "metrics.parquet",
        "out-record": folder / out / "correction.json",
    } | other
    flags = [word for name, path in files.items() for word in (f"--{name}", path)]
    call(correct, "--run-key", "corrected.00000000", "--prior", prior, *flags)
    return folder / out


def make_runs(folder):
    """A run, evaluated, and the like that held out a tenth; of fold 1, whose sad clips are rare."""
    splits = read_parquet(folder / "splits.parquet")
    rare = splits[(splits.split == "train") & (splits.label == "sad") & ~splits.held_out]
    splits = splits.drop(rare.index[rare.fold == 1][2:])
    write_parquet(splits, folder / "splits.parquet", SPLITS)
    where = ["--splits", folder / "splits.parquet"]
    where += ["--store", *sorted((folder / "store").iterdir())]
    recipes = {"run": {"prior": 0.0, "share": 0.8}, "holding": {"hold_out": True, "share": 0.8}}
    for name, recipe in recipes.items():
        out = folder / name
        call(
            train,
            *("--dataset", "tiny", "--classes", json.dumps(WORDS), "--landmark-settings", "null"),
            *("--fold", 1, *where, "--text", folder / "text.safetensors", "--seed", 0),
            *("--settings", settings(**recipe).to_json()),
            *("--out-checkpoint", out / "checkpoint.safetensors"),
            *("--out-history", out / "history.parquet", "--out-record", out / "run.json"),
        )
    checkpoint = ["--checkpoint", folder / "run/checkpoint.safetensors", *where]
    outputs = ["--out-predictions", folder / "run/predictions.parquet"]
    call(evaluate, *checkpoint, *outputs, "--out-metrics", folder / "run/metrics.parquet")
    checkpoint = ["--checkpoint", folder / "holding/checkpoint.safetensors", *where]
    call(held_out, *checkpoint, "--out", folder / "holding/held_out.parquet")
    return folder


@pytest.fixture(scope="module")
def made(tiny_store, tmp_path_factory):
    return make_runs(write_inputs(tiny_store, tmp_path_factory.mktemp("made")))


# ── The equations ───────────────────────────────────────────────────────────────────────────────


def test_the_temperature_is_the_best_of_a_fine_grid():
    """Of logits that are five times as far apart as their odds are."""
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 2, (400, 4))
    labels = np.array([rng.choice(4, p=np.exp(z) / np.exp(z).sum()) for z in odds])
    s = 5 * odds

    def cross_entropy(theta):
        total = 0.0
        for row, label in zip(s / theta, labels, strict=True):
            for j, z in enumerate(row):
                target = (400 * (j == label) + 1) / (400 + 4)
                total -= target * (z - np.log(np.exp(row).sum()))
        return total / len(s)

    grid = np.arange(3.0, 8.0, 0.01)
    best = grid[np.argmin([cross_entropy(theta) for theta in grid])]
    found = correct.fitted_temperature(s, labels)
    assert found == pytest.approx(best, abs=0.01) and found == pytest.approx(5, rel=0.2)
    assert correct.fitted_temperature(7 * s, labels) == pytest.approx(7 * found, rel=1e-3)


def test_a_few_clips_that_are_all_right_do_not_make_sure_of_everything():
    """Of 3 clips and classes the targets are 4/6 and 1/6: odds of 4, so that 9 / θ = ln 4."""
    s, labels = np.eye(3) * 9, np.arange(3)
    assert correct.fitted_temperature(s, labels) == pytest.approx(9 / np.log(4), rel=1e-4)
    many, more = np.tile(s, (1000, 1)), np.tile(labels, 1000)
    assert correct.fitted_temperature(many, more) == pytest.approx(9 / np.log(3001), rel=1e-4)


def test_a_temperature_of_logits_that_are_all_wrong_stays_within_its_bounds():
    found = correct.fitted_temperature(np.eye(3) * 9, (np.arange(3) + 1) % 3)
    assert found == pytest.approx(correct.TEMPERATURES[1], rel=1e-4)


def test_the_correction_by_hand():
    rng = np.random.default_rng(1)
    s, shares = rng.normal(0, 20, (30, 3)), np.array([0.7, 0.25, 0.05])
    found = correct.corrected(s, np.log(shares), 0.8, 6.0)
    expected = [[z / 6 - 0.8 * np.log(p) for z, p in zip(row, shares, strict=True)] for row in s]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    probabilities = np.exp(s / 6) / shares**0.8  # which is the same choice
    assert found.argmax(1).tolist() == probabilities.argmax(1).tolist()


# ── The stage ───────────────────────────────────────────────────────────────────────────────────


def test_the_stage_does_what_the_equations_say(made):
    out = corrects(made)
    before, after = (read_parquet(f / "predictions.parquet") for f in (made / "run", out))
    record = json.loads((out / "correction.json").read_text())
    splits = read_parquet(made / "splits.parquet").query("fold == 1 and split == 'train'")
    assert splits.label.value_counts().to_dict() == {"happy": 6, "neutral": 6, "sad": 3}
    learnt = {"happy": 5 / 12, "sad": 2 / 12, "neutral": 5 / 12}  # of each 0.8, rounded
    assert record["shares"] == pytest.approx(learnt)
    held = read_parquet(made / "holding/held_out.parquet")
    assert set(held["clip"]) == set(splits["clip"][splits.held_out])
    theta = correct.fitted_temperature(scores.logits_of(held), scores.class_indices(held, "label"))
    assert record["temperature"] == theta and record["fitted_on"] == len(held)
    expected = scores.logits_of(before) / theta - np.log(list(learnt.values()))
    np.testing.assert_allclose(scores.logits_of(after), expected, rtol=1e-5, atol=1e-5)
    assert (scores.logits_of(after).argmax(1) == scores.class_indices(after, "prediction")).all()
    alike = ["dataset", "protocol", "checkpoint", "fold", "seed", "clip", "label"]
    pd.testing.assert_frame_equal(before[alike], after[alike])
    assert set(after.run) == {"corrected.00000000"}
    metrics = read_parquet(out / "metrics.parquet").set_index("metric")
    assert metrics.value["WAR"] == pytest.approx(100 * (after.label == after.prediction).mean())
    assert set(metrics.run) == {"corrected.00000000"}


def test_no_prior_changes_no_prediction(made):
    out = corrects(made, "none", prior=0)
    before, after = (read_parquet(f / "predictions.parquet") for f in (made / "run", out))
    assert after.prediction.tolist() == before.prediction.tolist()


def test_more_of_the_prior_means_more_of_the_rare(made):
    counts = []
    for prior in (0, 1, 3, 30):
        out = corrects(made, f"prior{prior}", prior=prior)
        counts.append((read_parquet(out / "predictions.parquet").prediction == "sad").sum())
    assert counts == sorted(counts) and counts[-1] == 18


@pytest.mark.slow
def test_no_test_label_reaches_prior_temperature_or_predictions(made, tiny_store, tmp_path):
    """Both trainings and all that follows, with the labels of the test clips turned round."""
    other = write_inputs(tiny_store, tmp_path)
    splits = read_parquet(other / "splits.parquet")
    test = splits.split == "test"
    turn = dict(zip(WORDS, [*list(WORDS)[1:], "happy"], strict=True))
    splits.loc[test, "label"] = splits.label[test].map(turn)
    write_parquet(splits, other / "splits.parquet", SPLITS)
    outs = [corrects(made), corrects(make_runs(other))]
    for name in (
        *("run/checkpoint.safetensors", "run/history.parquet"),
        *("holding/checkpoint.safetensors", "holding/held_out.parquet"),
        "corrected/correction.json",
    ):
        assert (made / name).read_bytes() == (other / name).read_bytes(), name
    first, second = (read_parquet(out / "predictions.parquet") for out in outs)
    assert (first.label.map(turn) == second.label).all()
    pd.testing.assert_frame_equal(first.drop(columns="label"), second.drop(columns="label"))


# ── What is refused ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(fold=2), "of another dataset, fold or seed"),
        (lambda t: t.assign(seed=1), "of another dataset, fold or seed"),
        (lambda t: t.assign(clip="c0-05"), "c0-05 is no held-out train clip of the fold"),
    ],
)
def test_held_out_clips_of_something_else_are_refused(made, tmp_path, change, message):
    """c0-05 is a test clip of fold 1."""
    table = change(read_parquet(made / "holding/held_out.parquet"))
    write_parquet(table, tmp_path / "held_out.parquet")
    with pytest.raises(UserError, match=message):
        corrects(made, **{"held-out": tmp_path / "held_out.parquet"})


def test_a_run_that_held_nothing_out_has_no_such_clips(made, tmp_path):
    with pytest.raises(UserError, match=r"has held out no train clips.*train\.hold_out: true"):
        call(
            held_out,
            *("--checkpoint", made / "run/checkpoint.safetensors"),
            *("--splits", made / "splits.parquet", "--out", tmp_path / "held_out.parquet"),
            *("--store", *sorted((made / "store").iterdir())),
        )
