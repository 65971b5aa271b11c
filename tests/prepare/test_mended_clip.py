"""A clip that cannot be decoded stops the run by name; mended, it costs its own shard alone."""

import pandas as pd
import pytest
from checkout import ran

TARGET = "results/mine/splits/1.parquet"
KINDS = ("*.parquet", "*.arrow")


def results(tree):
    found = [path for kind in KINDS for path in (tree.folder / "results").rglob(kind)]
    return {str(path.relative_to(tree.folder)): path.read_bytes() for path in found}


@pytest.mark.slow
def test_a_mended_clip_redoes_its_shard_alone(prepared, tmp_path):
    tree = prepared.copy(tmp_path)
    good = results(tree)
    shards = {
        number: pd.read_parquet(tree.folder / f"results/mine/shards/{number}.parquet")["clip"]
        for number in (0, 1)
    }
    bad = shards[1][0]
    video = tree.folder / f"release/videos/{bad}.mp4"
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) // 3])

    redo = ("--forcerun", "results/mine/landmarks/1.parquet")
    done = tree.snakemake(TARGET, *redo, check=False)
    printed = done.stdout + done.stderr
    assert done.returncode and "1 clips were rejected, 0 are allowed" in printed
    assert f"  {bad}: videos/{bad}.mp4: " in printed
    assert "\n  " + " ".join(redo) + "\n" in printed  # the command that the next lines give

    video.write_bytes(whole)
    done = tree.snakemake(TARGET, check=False)
    assert done.returncode and ran(done)["align"] == 0  # Snakemake cannot know, hence the command
    kinds = ran(tree.snakemake(TARGET, *redo))
    assert kinds["align"] == kinds["extract"] == 1
    assert results(tree) == good
    assert tree.jobs(TARGET) == {}
