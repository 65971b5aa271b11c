"""Figures: what is drawn is what the tables say, equal data are equal bytes, no torch to draw."""

import io
import json
import shutil
import subprocess
import sys
import time
import warnings
from xml.etree import ElementTree

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import simplejpeg
import torch
from conftest import CLASSES
from PIL import Image

from dfer.analysis import examples, features, relevance, tsne
from dfer.analysis import maps as analysis_maps
from dfer.clips.loader import EvaluationClips
from dfer.clips.sampling import sample_frames
from dfer.clips.store import ClipStore
from dfer.errors import UserError
from dfer.figures import (
    blocks,
    confusion,
    figure2,
    figure4,
    figure5,
    learning,
    recall,
    shares,
    style,
)
from dfer.figures.heat import heat_over
from dfer.files import read_parquet, write_parquet
from dfer.models.checkpoint import load_run
from dfer.models.sealed import save_sealed
from dfer.prepare.splits import SPLITS
from dfer.provenance import modules
from dfer.settings import RunSettings
from dfer.training import evaluate, scores, train

NAMES = ["blocks", "confusion", "figure2", "figure4", "figure5", "learning", "recall", "shares"]
RUNS = {"Baseline": "clip.1", "Full model": "full.2"}
COMPARISON = style.Comparison("Demo", True, CLASSES, RUNS)
T, GRID = 4, 3
CLASSES_7 = ["happy", "sad", "neutral", "angry", "surprise", "disgust", "fear"]


def made_up(folds=(1, 2), seeds=(0, 1)):
    """Predictions, metrics, histories, features, points, examples and maps of two variants."""
    rng = np.random.default_rng(0)
    found = {name: [] for name in ("predictions", "metrics", "history", "features", "points")}
    for key in RUNS.values():
        for fold in folds:
            for seed in seeds:
                labels, predicted = np.arange(15) % 3, rng.integers(0, 3, 15)
                names = {"dataset": "demo", "run": key, "fold": fold, "seed": seed}
                clips = [f"f{fold}-{i:02d}" for i in range(15)]
                table = pd.DataFrame({"clip": clips, "label": [CLASSES[i] for i in labels]})
                table = table.assign(**names, prediction=[CLASSES[i] for i in predicted])
                found["predictions"].append(table)
                measured = scores.measure(labels, predicted, CLASSES)
                found["metrics"].append(measured.assign(**names, protocol="", checkpoint="last"))
                epochs = pd.DataFrame({"epoch": np.arange(1, 5), "loss": rng.random(4)})
                epochs = epochs.assign(war=100 * rng.random(4), split="train", run=key)
                found["history"].append(epochs.assign(file=f"{key}-{fold}-{seed}"))
                if seed == 0:
                    cosines = {f"similarity_{name}": rng.normal(size=15) for name in CLASSES}
                    found["features"].append(table.assign(**cosines))
                    found["points"].append(table.assign(x=rng.random(15), y=rng.random(15)))
    tables = {name: pd.concat(parts, ignore_index=True) for name, parts in found.items()}
    rows, maps = [], []
    for i, label in enumerate(CLASSES):
        frames = rng.integers(0, 255, (T, 64, 64, 3), dtype=np.uint8)
        jpegs = [simplejpeg.encode_jpeg(frame, 95, "RGB") for frame in frames]
        clip = f"f1-{i:02d}"
        rows.append({"fold": 1, "clip": clip, "label": label, "why": "disagreement"})
        rows[-1]["frames"] = jpegs
        for key in RUNS.values():
            flat = rng.dirichlet(np.ones(T * GRID**2)).reshape(T, -1).astype(np.float32)
            shared = {"run": key, "fold": 1, "clip": clip, "label": label, "prediction": CLASSES[0]}
            maps += [shared | {"frame": t, "map": flat[t]} for t in range(T)]
    columns = ["dataset", "run", "metric", "value", "std", "low", "high", "folds", "seeds"]
    summary = [
        ("demo", key, metric, value, 1.5, value - 3, value + 2, 2, 2)
        for key, value in (("clip.1", 60.0), ("full.2", 64.0))
        for metric in ("UAR", "WAR")
    ]
    tables["summary"] = pd.DataFrame(summary, columns=columns)
    return tables | {"examples": pd.DataFrame(rows), "maps": pd.DataFrame(maps)}


@pytest.fixture(scope="module")
def data():
    return made_up()


def drawn(name, data):
    """The figure `name` of made-up tables."""
    if name == "blocks":
        comparison = style.Comparison("Demo", True, CLASSES, {"1": "clip.1", "2": "full.2"})
        return blocks.draw(data["summary"], comparison)
    if name == "shares":
        lines = {"w/o text": {"0.5": "full.2"}, "w/ text": {"1.0": "full.2", "0.25": "clip.1"}}
        comparison = style.Comparison("Demo", True, CLASSES, lines)
        return shares.draw(data["summary"], comparison)
    if name == "figure5":
        return figure5.draw(data["points"], COMPARISON)
    if name == "figure4":
        return figure4.draw(data["examples"], data["maps"], COMPARISON)
    if name == "learning":
        return learning.draw(data["history"], COMPARISON)
    if name == "figure2":
        return figure2.draw(data["examples"], data["features"], COMPARISON)
    return {"confusion": confusion, "recall": recall}[name].draw(data["metrics"], COMPARISON)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def words(figure):
    return " ".join(text.get_text() for text in figure.texts)


@pytest.mark.slow
def test_equal_data_are_equal_bytes_and_whole_files(data, tmp_path):
    for name in NAMES:
        style.save(drawn(name, data), tmp_path / "a" / name)
    time.sleep(1.1)  # a file that carried the time would differ
    for name in NAMES:
        style.save(drawn(name, data), tmp_path / "b" / name)
    for name in NAMES:
        made = {form: (tmp_path / f"a/{name}.{form}").read_bytes() for form in style.FORMATS}
        for form, content in made.items():
            assert content == (tmp_path / f"b/{name}.{form}").read_bytes(), f"{name}.{form}"
        assert made["pdf"].startswith(b"%PDF-") and made["pdf"].rstrip().endswith(b"%%EOF")
        assert made["pdf"].count(b"/Type /Page ") == 1
        assert ElementTree.fromstring(made["svg"]).tag == "{http://www.w3.org/2000/svg}svg"
        picture = Image.open(io.BytesIO(made["png"]))
        picture.load()
        assert min(picture.size) > 300 and len(picture.convert("RGB").getcolors(1 << 24)) > 20


@pytest.mark.parametrize("name", NAMES)
def test_synthetic_data_are_called_so_in_the_figure(name, data):
    assert "Demo (synthetic)" in words(drawn(name, data))
    assert "says nothing about the paper" in words(drawn(name, data))
    real = style.Comparison("DFEW", False, CLASSES, {"1": "clip.1", "2": "full.2"})
    assert "synthetic" not in words(blocks.draw(data["summary"], real))


def outside(figure):
    """By how many inches what is drawn leaves the figure."""
    style.settle(figure)
    drawn, page = figure.get_tightbbox(), figure.get_size_inches()
    return max(-drawn.x0, -drawn.y0, drawn.x1 - page[0], drawn.y1 - page[1])


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_cut_off(name, data):
    assert outside(drawn(name, data)) <= 0


@pytest.mark.parametrize("figure", [confusion, recall])
@pytest.mark.parametrize("classes", [CLASSES_7, [*CLASSES_7, *"abc", "disappointment"]])
def test_nothing_of_many_classes_is_cut_off(figure, classes):
    labels = np.arange(10 * len(classes)) % len(classes)
    metrics = [
        scores.measure(labels, labels[::-1], classes).assign(run=key, fold=fold, seed=0)
        for key in RUNS.values()
        for fold in (1, 2)
    ]
    comparison = style.Comparison("Demo", True, classes, RUNS)
    assert outside(figure.draw(pd.concat(metrics), comparison)) <= 0


def test_recall_of_as_many_variants_as_are_compared_is_told_apart_and_not_cut_off(data):
    """Five, as of what is done for rare classes."""
    names = ["Full model", "Prior-corrected", "Corrected afterwards", "Balanced sampling", "Label"]
    keys = [*RUNS.values()] * 3
    figure = recall.draw(
        data["metrics"],
        style.Comparison("Demo", True, CLASSES, dict(zip(names, keys, strict=False))),
    )
    assert outside(figure) <= 0
    bars = [c for c in figure.axes[0].containers if len(c) == len(CLASSES)]
    colours = [c.patches[0].get_facecolor() for c in bars if hasattr(c, "patches")]
    assert len(colours) == len(set(colours)) == 5


@pytest.mark.parametrize("name", NAMES)
def test_one_run_is_drawn_without_warning(name):
    alone = made_up(folds=(1,), seeds=(0,))
    alone["summary"]["std"] = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn(name, alone)


def test_drawing_needs_no_torch():
    imports = "; ".join(f"import dfer.figures.{name}" for name in NAMES)
    checks = "assert 'torch' not in sys.modules and 'open_clip' not in sys.modules"
    subprocess.run([sys.executable, "-c", f"import sys; {imports}; {checks}"], check=True)


def test_an_edit_of_one_figure_is_an_edit_of_no_other():
    for name in NAMES:
        used = {module for module in modules(f"dfer.figures.{name}") if ".figures." in module}
        shared = {"dfer.figures.style", *["dfer.figures.heat"] * (name == "figure4")}
        assert used == {f"dfer.figures.{name}"} | shared


def test_confusion_is_counted_from_the_predictions(data):
    panels = [axis for axis in drawn("confusion", data).axes if axis.get_title()]
    for axis, (name, key) in zip(panels, RUNS.items(), strict=True):
        rows = data["predictions"][data["predictions"].run == key]
        expected = pd.crosstab(rows.label, rows.prediction).reindex(CLASSES)[CLASSES]
        shares = 100 * expected.to_numpy() / expected.sum(axis=1).to_numpy()[:, None]
        assert axis.get_title() == name
        assert np.allclose(axis.images[0].get_array(), shares)
        assert {text.get_text() for text in axis.texts} == {
            f"{share:.0f}" for share in shares.ravel() if share
        }


def test_recall_is_the_mean_over_runs(data):
    axis = drawn("recall", data).axes[0]
    for bars, key in zip(
        [c for c in axis.containers if len(c) == 3][::2], RUNS.values(), strict=True
    ):
        rows = data["predictions"][data["predictions"].run == key]
        each = rows.assign(hit=rows.label == rows.prediction)
        each = each.groupby(["fold", "seed", "label"]).hit.mean().unstack()[CLASSES]
        assert np.allclose([bar.get_height() for bar in bars], 100 * each.mean())


def test_learning_curves_are_the_histories(data):
    loss, war = drawn("learning", data).axes
    for axis, metric in ((loss, "loss"), (war, "war")):
        thick = [line for line in axis.lines if line.get_linewidth() > 1]
        for line, key in zip(thick, RUNS.values(), strict=True):
            rows = data["history"][data["history"].run == key]
            assert np.allclose(line.get_ydata(), rows.groupby("epoch")[metric].mean())
        assert len(axis.lines) == 2 * (4 + 1)


def test_a_history_is_of_the_run_two_folders_above(tmp_path):
    paths = [f"{key}/fold{fold}-seed0/history.parquet" for key in RUNS.values() for fold in (1, 2)]
    for number, path in enumerate(paths):
        frame = pd.DataFrame({"epoch": [1], "loss": [float(number)], "war": 50.0, "split": "train"})
        write_parquet(frame, tmp_path / path)
    table = learning.read_histories([str(tmp_path / path) for path in paths[::-1]])
    assert table.run.tolist() == ["clip.1", "clip.1", "full.2", "full.2"]
    assert learning.curves(table, "full.2", "loss")["train"].to_numpy().tolist() == [[2, 3]]


def test_every_figure_has_the_same_flags(tmp_path):
    given = ["--title", "DFEW", "--classes", json.dumps({"Happy": "happiness", "Sad": "sadness"})]
    given += ["--variants", json.dumps(RUNS), "--out-stem", str(tmp_path / "figure")]
    own = {
        blocks: ["--summary", "a", "--dataset", "dfew"],
        confusion: ["--metrics", "a", "b"],
        figure2: ["--examples", "a", "--features", "b", "c"],
        figure4: ["--examples", "a", "--maps", "b", "c"],
        figure5: ["--points", "a", "b"],
        learning: ["--histories", "a", "b"],
        recall: ["--metrics", "a", "b"],
        shares: ["--summary", "a", "--dataset", "dfew"],
    }
    for module, flags in own.items():
        args = module.parser().parse_args([*flags, *given])
        comparison = style.Comparison.from_json(
            args.title, args.synthetic, args.classes, args.variants
        )
        assert comparison == style.Comparison("DFEW", False, ["Happy", "Sad"], RUNS)


def test_blocks_have_their_error_bars(data):
    for axis, metric in zip(drawn("blocks", data).axes, ("UAR", "WAR"), strict=True):
        line, _, (bars,) = axis.containers[0]
        assert np.array_equal(line.get_xydata(), [[1, 60], [2, 64]]) and metric in axis.get_ylabel()
        assert np.allclose(
            [part[:, 1] for part in bars.get_segments()], [[58.5, 61.5], [62.5, 65.5]]
        )


def test_shares_are_in_order_with_their_intervals(data):
    """Lines stand a little apart along the shares, so that no interval hides another."""
    (axis,) = drawn("shares", data).axes
    alone, both = (container[0].get_xydata() for container in axis.containers)
    assert np.allclose(alone, [[50, 64]], rtol=0.03) and np.allclose(alone[:, 1], [64])
    assert np.allclose(both[:, 0], [25, 100], rtol=0.03) and np.allclose(both[:, 1], [60, 64])
    assert alone[0, 0] < 50 < both[0, 0] * 2
    bars = axis.containers[1][2][0].get_segments()
    assert np.allclose([part[:, 1] for part in bars], [[57, 62], [61, 66]])


def test_points_are_the_embedding(data):
    axes = drawn("figure5", data).axes
    order = [(key, fold) for key in RUNS.values() for fold in (1, 2)]
    for axis, (key, fold) in zip(axes, order, strict=True):
        rows = data["points"]
        rows = rows[(rows.run == key) & (rows.fold == fold)]
        assert np.allclose(axis.collections[0].get_offsets(), rows[["x", "y"]])
        assert len(np.unique(axis.collections[0].get_facecolors(), axis=0)) == 3


def test_bars_are_the_similarities(data):
    figure = drawn("figure2", data)
    bars = [axis for axis in figure.axes if axis.containers]
    for axis, row in zip(bars, data["examples"].to_dict("records"), strict=True):
        for container, key in zip(axis.containers, RUNS.values(), strict=True):
            found = data["features"]
            found = found[(found.run == key) & (found["clip"] == row["clip"])]
            expected = found[[f"similarity_{name}" for name in CLASSES]].to_numpy()[0]
            assert np.allclose([bar.get_height() for bar in container], expected)


def test_heat_is_that_of_the_maps(data):
    """Against the library's own upsampling."""
    maps = data["maps"]
    hot, prediction = figure4.upsampled_heat(maps, "full.2", "f1-01")
    rows = maps[(maps.run == "full.2") & (maps["clip"] == "f1-01")].sort_values("frame")
    cells = torch.tensor(np.stack(rows["map"])).view(T, GRID, GRID)
    assert np.allclose(hot, relevance.upsample(cells, figure4.SIDE).numpy(), atol=1e-6)
    assert prediction == CLASSES[0]
    grey = np.full((2, 2, 3), 128)
    assert np.array_equal(heat_over(grey, np.zeros((2, 2))), grey)
    assert np.ptp(heat_over(grey, np.ones((2, 2)))[0, 0]) > 0.2 * 255  # in colour


def test_heat_maps_of_another_length_are_refused(data):
    maps = data["maps"][data["maps"].frame < T - 1]
    with pytest.raises(UserError, match="3 frames of a clip and the figure has 4"):
        figure4.draw(data["examples"], maps, COMPARISON)


def test_every_class_of_mafw_has_a_colour():
    assert len(set(style.CLASSES)) == len(style.CLASSES) >= 11


def predictions(first, second):
    keys = {"fold": [1, 1, 1, 2, 2, 2], "clip": list("badcfe"), "label": list("xxyyxy")}
    return [pd.DataFrame(keys | {"prediction": list(p)}) for p in (first, second)]


def test_examples_are_the_first_disagreement_of_each_class():
    chosen = examples.choose(*predictions("xxyyxy", "xyyyyy"), ["x", "y"], [])
    assert chosen.to_dict("list") == {
        "fold": [1, 1],
        "clip": ["a", "d"],
        "label": ["x", "y"],
        "why": ["disagreement", "first of its class"],
    }
    turned = examples.choose(*predictions("xxyyxy", "xxyxyy"), ["y", "x"], [])
    assert turned["clip"].tolist() == ["c", "f"] and set(turned.why) == {"disagreement"}


def test_examples_may_be_named():
    chosen = examples.choose(*predictions("xxyyxy", "xxyyxy"), ["x", "y"], ["e", "b"])
    assert chosen["clip"].tolist() == ["e", "b"] and chosen.fold.tolist() == [2, 1]
    with pytest.raises(UserError, match="names z, which no test set has"):
        examples.choose(*predictions("xxyyxy", "xxyyxy"), ["x", "y"], ["z"])
    first, second = predictions("xxyyxy", "xxyyxy")
    with pytest.raises(UserError, match="other clips"):
        examples.choose(first, second[1:], ["x", "y"], [])


VARIANTS = {
    "full": {"blocks": 1},
    "without_text": {"blocks": 0, "head": "linear"},
}


@pytest.fixture(scope="module")
def trained(tiny_store, tmp_path_factory):
    """Two variants trained and evaluated on fold 1, and their features, examples and maps."""
    folder = tmp_path_factory.mktemp("trained")
    store, splits = tiny_store
    shutil.copytree(store, folder / "store")
    store = ["--store", *shards(folder)]
    write_parquet(splits, folder / "splits.parquet", SPLITS)
    text = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    save_sealed({}, {"features": text}, folder / "text.safetensors")
    shared = ["--splits", folder / "splits.parquet", *store]
    classes = ["--classes", json.dumps({name: name for name in CLASSES})]
    for name, model in VARIANTS.items():
        settings = {
            "backbone": {"model": "config/backbone/tiny.json", "weights": None},
            "model": model,
            "train": {"epochs": 2, "batch": 6, "lr": 3e-3, "min_lr": 3e-5, "warmup_epochs": 1},
        }
        checkpoint = folder / name / "checkpoint.safetensors"
        out = ["--out-checkpoint", checkpoint]
        out += ["--out-history", folder / name / "h", "--out-record", folder / name / "r"]
        run = ["--settings", RunSettings.from_dict(settings).to_json(), "--seed", 0, "--fold", 1]
        run += ["--text", folder / "text.safetensors", "--landmark-settings", "null", *classes]
        stage(train, "--dataset", "tiny", *shared, *run, *out)
        made = ["--out-predictions", folder / name / "p", "--out-metrics", folder / name / "m"]
        stage(evaluate, "--checkpoint", checkpoint, *shared, *made)
        made = ["--out", folder / name / "features", "--run-key", name]
        stage(features, "--checkpoint", checkpoint, *shared, *made)
    stage(
        examples,
        *("--first", folder / "without_text/p", "--second", folder / "full/p"),
        *(*classes, *store, "--frames", 8, "--out", folder / "examples"),
    )
    for name in VARIANTS:
        stage(
            analysis_maps,
            *("--checkpoints", folder / name / "checkpoint.safetensors", "--run-key", name),
            *("--examples", folder / "examples", *store, "--out", folder / name / "maps"),
        )
    return folder


def shards(folder):
    return sorted((folder / "store").glob("*.arrow"))


def stage(module, *arguments):
    module.main(module.parser().parse_args(list(map(str, arguments))))


def test_similarities_times_temperature_are_the_logits(trained):
    found, logits = read_parquet(trained / "full/features"), read_parquet(trained / "full/p")
    assert found["clip"].tolist() == logits["clip"].tolist()
    for name in CLASSES:
        assert np.allclose(found[f"similarity_{name}"] / 0.01, logits[f"logit_{name}"], atol=1e-3)
    assert set(found.run) == {"full"}
    assert not any("similarity" in name for name in read_parquet(trained / "without_text/features"))


def test_features_are_what_the_head_reads(trained):
    """Linear(V) of the stored features gives the stored logits."""
    found = read_parquet(trained / "without_text/features")
    model = load_run(trained / "without_text/checkpoint.safetensors").model
    logits = model.linear(torch.tensor(np.stack(found.feature))).detach().numpy()
    stored = read_parquet(trained / "without_text/p")[[f"logit_{name}" for name in CLASSES]]
    assert np.allclose(logits, stored, atol=1e-4)


def test_examples_have_the_frames_that_the_model_sees(trained):
    table = read_parquet(trained / "examples")
    store = ClipStore(shards(trained))
    assert table.label.tolist() == CLASSES
    for row in table.to_dict("records"):
        seen = store.frames(row["clip"], sample_frames(store.length(row["clip"]), 8, None))
        kept = np.stack([simplejpeg.decode_jpeg(jpeg, "RGB") for jpeg in row["frames"]])
        assert kept.shape == seen.shape and np.abs(kept.astype(int) - seen).mean() < 3


def test_maps_are_of_the_predicted_class(trained):
    table = read_parquet(trained / "examples")
    for name in VARIANTS:
        maps = read_parquet(trained / name / "maps")
        run = load_run(trained / name / "checkpoint.safetensors")
        stored = read_parquet(trained / name / "p").set_index("clip").prediction
        assert maps.groupby("clip").size().eq(8).all() and set(maps.run) == {name}
        size = run.image_size
        clips = table["clip"].tolist()
        data = EvaluationClips(ClipStore(shards(trained)), clips, [0] * 3, frames=8, size=size)
        for i, clip in enumerate(clips):
            rows = maps[maps["clip"] == clip].sort_values("frame")
            assert set(rows.prediction) == {stored[clip]}
            asked = torch.tensor([CLASSES.index(stored[clip])])
            frames = run.normalise(torch.from_numpy(data[i][0])[None])
            expected = relevance.relevance(run.model, frames, asked)[0]
            assert np.allclose(np.stack(rows["map"]), expected.flatten(1), atol=1e-6)


def test_an_example_of_a_fold_without_a_model_is_refused(trained, tmp_path):
    table = read_parquet(trained / "examples").assign(fold=[1, 1, 2])
    write_parquet(table, tmp_path / "examples", examples.EXAMPLES)
    with pytest.raises(UserError, match="no checkpoint is of the fold of"):
        stage(
            analysis_maps,
            *("--checkpoints", trained / "full/checkpoint.safetensors"),
            *("--examples", tmp_path / "examples", "--out", tmp_path / "maps"),
            *("--store", *shards(trained)),
        )


def test_the_embedding_keeps_neighbours_and_its_bytes():
    """Three far clusters stay apart: every clip's nearest neighbour is of its own class."""
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 3
    features = rng.normal(size=(60, 16)) * 0.1 + np.eye(3, 16)[labels] * 3
    points = tsne.embed(features.astype(np.float32))
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1) + 1e9 * np.eye(60)
    assert (labels[distances.argmin(axis=1)] == labels).all()
    assert np.array_equal(points, tsne.embed(features.astype(np.float32)))
    scaled = features * rng.choice([0.25, 1.0, 8.0], (60, 1))  # lengths do not count
    assert np.array_equal(points, tsne.embed(scaled.astype(np.float32)))
    with pytest.raises(UserError, match="at least 4"):
        tsne.embed(features[:3])


def test_the_command_line_of_a_figure(data, tmp_path):
    write_parquet(data["metrics"], tmp_path / "metrics.parquet", scores.METRICS)
    command = [sys.executable, "-m", "dfer.figures.recall", "--metrics"]
    command += [tmp_path / "metrics.parquet", "--title", "Demo", "--synthetic"]
    command += ["--classes", json.dumps({name: name for name in CLASSES})]
    command += ["--variants", json.dumps(RUNS), "--out-stem", tmp_path / "out/recall"]
    subprocess.run(command, check=True)
    assert cv2.imread(str(tmp_path / "out/recall.png")) is not None
