"""A run's folder as training and evaluation leave it, and its package; of a small run."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from small_run import small_run

from dfer.files import write_parquet
from dfer.models.checkpoint import save_run
from dfer.sharing import export

# Labels of ten test clips, and what was predicted: recalls of 100, 50 and 0 %.
LABELS = ["happy"] * 4 + ["sad"] * 4 + ["neutral"] * 2
FOUND = ["happy"] * 4 + ["sad"] * 2 + ["happy"] * 2 + ["sad"] * 2
ENVIRONMENT = {
    "device": "cpu",
    "precision": "float32",
    "packages": {"torch": "2.14.1"},
    "git": "0123456789ab",
    "platform": "Linux-of-somebody",
}


def write_run(folder: Path, **changes: Any) -> Path:
    """A trained and evaluated run; `changes` of `small_run`."""
    run = small_run(**changes)
    save_run(run, folder / "checkpoint.safetensors")
    record = {"environment": ENVIRONMENT, "epoch": 100, "settings": run.settings.to_dict()}
    (folder / "run.json").write_text(json.dumps(record))
    table = pd.DataFrame({"clip": [f"c{i}" for i in range(10)]})
    table = table.assign(label=LABELS, prediction=FOUND, dataset=run.dataset, fold=run.fold)
    table = table.assign(run=run.settings.key, protocol="", checkpoint="last", seed=run.seed)
    write_parquet(table, folder / "predictions.parquet")
    return folder


def call(*words: object) -> None:
    """`dfer export` with these words."""
    export.main(export.parser().parse_args(list(map(str, words))))


def write_package(folder: Path, *words: str, **changes: Any) -> Path:
    """The package of `write_run`, in `folder`/package, with these words more."""
    call(write_run(folder / "run", **changes), "--to", folder / "package", *words)
    return folder / "package"
