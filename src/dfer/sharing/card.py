"""The model card of a run, as Hugging Face's hub shows it: results, protocol, limits.

Its front matter has the metrics where the hub looks for them. A number stands with its interval,
with the clips that it is of, and the rule by which the weights were chosen. Of synthetic data the
card says so before all else.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from dfer.errors import UserError
from dfer.files import read_parquet
from dfer.tables.summary import summarise
from dfer.training.scores import RUN, measure

if TYPE_CHECKING:  # torch, which an upload can do without
    from dfer.models.checkpoint import TrainedRun

RULES = {
    "last": "the last epoch: no choice is made",
    "val": "the epoch with the best WAR on a tenth of the train clips, held out",
    "test": "the epoch with the best WAR on the test clips themselves, which flatters the numbers",
}
METRICS = {  # name → what it is, as the hub calls it
    "WAR": ("accuracy", "WAR: accuracy, %"),
    "UAR": ("recall", "UAR: mean recall over classes, %"),
}
SYNTHETIC = (
    "**SYNTHETIC.** Trained and tested on rendered faces, never on people. Its numbers show that "
    "the workflow works. What it says of a real face means nothing."
)
AGREEMENT = (
    "DFEW, FERV39k and MAFW are given under agreement with their authors, for research. Whether "
    "weights trained on them may be passed on, to whom and for what, is for that agreement to say."
)


class Scores(NamedTuple):
    """How good a run is on the test clips of its fold.

    Attributes:
        metrics: rows of `dfer.tables.summary.SUMMARY`, by metric.
        recalls: in %, by label; NaN where a class has no test clip.
        clips: test clips, by label.
    """

    metrics: pd.DataFrame
    recalls: pd.Series
    clips: pd.Series


def scores(run: "TrainedRun", path: Path) -> Scores | None:
    """What the predictions of a run say of it; None where it has not been evaluated.

    Raises:
        UserError: they are unreadable, or of another run.
    """
    if not path.exists():
        return None
    table = read_parquet(path, [*RUN, "clip", "label", "prediction"])
    theirs = {tuple(row) for row in table[["dataset", "fold", "seed"]].itertuples(index=False)}
    if theirs != {(run.dataset, run.fold, run.seed)} or not {*table.label} <= {*run.classes}:
        raise UserError(
            f"{path}: not the predictions of the run beside it ({run.dataset}, fold {run.fold}, "
            f"seed {run.seed}). Evaluate the run again."
        )
    labels, found = (
        pd.Categorical(table[name], run.classes).codes.astype(np.int64)
        for name in ("label", "prediction")
    )
    measured = measure(labels, found, run.classes)
    recall = measured[measured.metric == "recall"].set_index("label")
    return Scores(summarise(table).set_index("metric"), recall.value, recall.clips)


def model_card(
    run: "TrainedRun", record: dict[str, Any] | None, found: Scores | None, licence: str | None
) -> str:
    """The text of README.md.

    Args:
        record: the run's run.json; None where there is none.
        found: of `scores`.
        licence: of the weights, as the hub calls it; None: none is given.
    """
    parts = [f"# {run.settings.model.name}, trained on {run.dataset}", _opening(run)]
    if run.synthetic:
        parts.insert(1, f"> {SYNTHETIC}")
    parts += ["## Results", *_results(run, found)]
    parts += ["## Protocol", _protocol(run, record)]
    parts += ["## Use it", _usage()]
    parts += ["## Limits", _list(_limits(run, found))]
    parts += ["## Licence", _licence(run, licence)]
    return f"---\n{_front_matter(run, found, licence)}\n---\n\n" + "\n\n".join(parts) + "\n"


def _front_matter(run: "TrainedRun", found: Scores | None, licence: str | None) -> str:
    """What the hub reads, in YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    dataset = {
        "task_type": "video-classification",
        "task_name": "Dynamic facial expression recognition",
        "dataset_type": run.dataset,
        "dataset_name": run.dataset + " (SYNTHETIC: rendered faces)" * run.synthetic,
        "dataset_config": f"fold {run.fold}",
        "dataset_split": "test",
    }
    results = [
        EvalResult(
            **dataset,
            metric_type=kind,
            metric_name=name,
            metric_value=round(float(found.metrics.value[metric]), 2),
        )
        for metric, (kind, name) in METRICS.items()
        if found is not None
    ]
    data = ModelCardData(
        library_name="dfer",
        license=licence,
        pipeline_tag="video-classification",
        tags=["facial-expression-recognition", *["synthetic"] * run.synthetic],
        model_name=f"{run.settings.model.name} on {run.dataset}",
        eval_results=results or None,
    )
    return data.to_yaml()


def _opening(run: "TrainedRun") -> str:
    classes = ", ".join(run.classes)
    return (
        "Dynamic facial expression recognition: a clip of a face goes in, one of "
        f"{len(run.classes)} expressions comes out: {classes}. Method: `{run.settings.method}`, "
        "trained by dfer, an open workflow."
    )


def _results(run: "TrainedRun", found: Scores | None) -> list[str]:
    if found is None:
        return ["This run has not been evaluated."]
    synthetic = " (synthetic)" * run.synthetic
    rows = [
        (METRICS[metric][1], f"{row.value:.2f}", f"{row.low:.2f} to {row.high:.2f}")
        for metric, row in found.metrics.loc[list(METRICS)].iterrows()
    ]
    of_classes = [
        (f"`{label}`", "no test clip" if not clips else f"{recall:.2f}", f"{clips}")
        for label, recall, clips in zip(run.classes, found.recalls, found.clips, strict=True)
    ]
    return [
        f"Measured on the {found.clips.sum()} test clips of fold {run.fold} of "
        f"{run.dataset}{synthetic}.",
        _table(("metric", "value", "95 % interval"), rows),
        "The interval is a bootstrap over these clips. It does not know of other folds and seeds, "
        "whose runs are other models with other numbers.",
        _table(("class", "recall, %", "test clips"), of_classes),
    ]


def _protocol(run: "TrainedRun", record: dict[str, Any] | None) -> str:
    train, model = run.settings.train, run.settings.model
    rows = [
        ("data set", run.dataset + " (synthetic: rendered faces)" * run.synthetic),
        ("fold, seed", f"{run.fold}, {run.seed}"),
        ("weights", f"of {RULES[train.checkpoint]} (`{train.checkpoint}`)"),
        ("protocol", run.settings.protocol or "the workflow's own"),
        ("frames", f"{model.frames} of a clip (`{train.sampler}`), {run.image_size} pixels a side"),
        ("faces", _faces(run)),
        (
            "class words",
            ", ".join(f"{c}: {w}" for c, w in zip(run.classes, run.words, strict=True)),
        ),
        ("settings", f"`{run.settings.key}`, in full in config.json"),
    ]
    if record is not None:
        around = record["environment"]
        rows += [
            ("epochs", f"{record['epoch']} of {train.epochs}"),
            ("trained on", f"{around['device']}, {around.get('precision', 'unknown precision')}"),
            ("torch", around["packages"]["torch"]),
            ("code", around["git"] or "outside a git checkout"),
        ]
    return _table(("", ""), rows)


def _usage() -> str:
    return (
        "```python\nimport dfer\n\n"
        'dfer.load("user/name").predict("clip.mp4")  # or the path of this folder\n```\n\n'
        "Where there is a model.onnx, `dfer predict --onnx model.onnx clip.mp4` needs no torch. "
        "Its input `frames` is (batch, T, 3, S, S) uint8, RGB, aligned faces; `logits` come out."
    )


def _limits(run: "TrainedRun", found: Scores | None) -> list[str]:
    said = [SYNTHETIC] if run.synthetic else []
    said += [
        f"It has seen faces of {run.dataset} alone, in {run.dataset}'s classes. On other people, "
        "light, cameras and cultures it is worse, and nobody has measured by how much.",
        "An expression is not what somebody feels. Do not decide about people by it.",
        "Probabilities are the softmax of its logits. Nobody has calibrated them.",
        "Faces have to be found and cut as in training (config.json, `landmarks`); `dfer` does it.",
    ]
    if run.settings.train.checkpoint == "test":
        said.append("The test clips chose the epoch: its numbers are optimistic.")
    if found is not None and (few := [c for c, n in found.clips.items() if n < 30]):
        said.append(f"Fewer than 30 test clips stand behind the recall of {', '.join(few)}.")
    if run.landmarks is not None and run.landmarks["backend"] == "dlib":
        said.append(
            "dlib's landmark model, which finds the faces, was trained on photographs that were "
            "licensed for research only. It is not part of this package."
        )
    return said


def _licence(run: "TrainedRun", licence: str | None) -> str:
    given = f"Weights: {licence}." if licence else "No licence is given for these weights."
    return given if run.synthetic else f"{given} {AGREEMENT}"


def _faces(run: "TrainedRun") -> str:
    if run.landmarks is None:
        return "as the release crops them"
    return ", ".join(f"{key} {value}" for key, value in run.landmarks.items())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in cells)


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
