"""Features of a variant's test clips in the plane, fold by fold (Fig. 5).

    python -m dfer.analysis.tsne --features runs/a/*/features.parquet --out tsne.parquet

t-SNE of van der Maaten & Hinton (scikit-learn), from the directions of the features, as Eq. 12
compares nothing else. It starts from the PCA, with a fixed seed and in one thread, so equal
features give equal bytes. The paper names no parameters; these are scikit-learn's defaults, with a
lower perplexity where a fold has few clips. Sizes of clusters and their distances mean nothing.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from dfer.errors import UserError, stage
from dfer.files import read_parquet, write_parquet

PERPLEXITY = 30
POINTS = pa.schema(
    [
        ("run", pa.string()),
        ("fold", pa.int32()),
        ("seed", pa.int32()),
        ("clip", pa.string()),
        ("label", pa.string()),
        ("x", pa.float32()),
        ("y", pa.float32()),
    ]
)


def embed(features: np.ndarray) -> np.ndarray:
    """(clips, D) → (clips, 2), float32.

    Raises:
        UserError: fewer than four clips.
    """
    if len(features) < 4:
        raise UserError(f"t-SNE of {len(features)} clips: a fold needs at least 4")
    directions = features / np.linalg.norm(features, axis=1, keepdims=True)
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    with threadpool_limits(1):
        return TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(directions)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--features", nargs="+", required=True, help="features of runs (dfer.analysis.features)")
    add("--out", type=Path, required=True, help="output (a point a clip)")
    return top


def main(args: argparse.Namespace) -> None:
    """Embed the features of each fold by themselves."""
    columns = ["run", "fold", "seed", "clip", "label", "feature"]
    parts = []
    for path in sorted(args.features):
        table = read_parquet(path, columns)
        points = embed(np.stack(table.pop("feature")))
        parts.append(table.assign(x=points[:, 0], y=points[:, 1]))
    write_parquet(pd.concat(parts, ignore_index=True), args.out, POINTS)


if __name__ == "__main__":
    stage(main, parser())
