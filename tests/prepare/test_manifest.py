"""The manifest stage: what it writes, and the releases that it refuses."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from releases import random_lists, write_mafw_lists

from dfer.datasets.consistency import check
from dfer.datasets.release import FOLD_COLUMNS
from dfer.errors import UserError
from dfer.prepare.manifest import FOLD_SCHEMA, MANIFEST_SCHEMA, main, parser, shard_of

CLASSES = {"happy": "happiness", "sad": "sadness"}


def csv_release(root: Path, clips: int = 30) -> Path:
    """A CSV release of empty videos: two classes by turns, folds 1 to 3."""
    rows = ["clip,path,label,fold,subject"]
    (root / "v").mkdir(parents=True)
    for i in reversed(range(clips)):
        (root / f"v/{i}.mp4").touch()
        rows.append(f"c{i:02d},v/{i}.mp4,{'sad' if i % 2 else 'happy'},{i // 2 % 3 + 1},")
    (root / "labels.csv").write_text("\n".join(rows))
    return root


def arguments(root: Path, out: Path, *, shards=4, layout="csv", classes=CLASSES):
    return [
        *("--layout", layout, "--root", str(root), "--source", "video"),
        *("--classes", json.dumps(classes), "--shards", str(shards)),
        *("--out-manifest", str(out / "manifest.parquet"), "--out-fold-lists", str(out / "folds")),
        *("--out-shard-lists", str(out / "shards")),
    ]


def run_main(root: Path, out: Path, **options) -> None:
    main(parser().parse_args(arguments(root, out, **options)))


# ── Shards ──────────────────────────────────────────────────────────────────────────────────────


@given(st.text(), st.integers(1, 1000))
def test_shard_of_is_the_contract(clip, shards):
    digest = hashlib.blake2b(clip.encode("utf-8"), digest_size=8).hexdigest()
    assert shard_of(clip, shards) == int(digest, 16) % shards


@pytest.mark.parametrize("form", ["{:05d}", "Action/Happy/{:04d}", "s{0}-{0}"])
def test_shards_are_balanced(form):
    counts = np.bincount([shard_of(form.format(i), 64) for i in range(100_000)], minlength=64)
    assert counts.min() > 0.8 * 100_000 / 64
    assert counts.max() < 1.2 * 100_000 / 64


# ── Files ───────────────────────────────────────────────────────────────────────────────────────


def test_files(tmp_path):
    out = tmp_path / "results"
    run_main(csv_release(tmp_path / "release"), out, shards=50)
    manifest = pq.read_table(out / "manifest.parquet")
    assert manifest.schema == MANIFEST_SCHEMA
    clips = manifest.to_pandas()
    assert clips["clip"].tolist() == [f"c{i:02d}" for i in range(30)]
    assert clips["path"].tolist() == [f"v/{i}.mp4" for i in range(30)]
    assert clips["subject"].isna().all()
    for fold in (1, 2, 3):
        rows = pq.read_table(out / f"folds/{fold}.parquet")
        assert rows.schema == FOLD_SCHEMA
        assert rows["clip"].to_pylist() == clips["clip"].tolist()
        tested = [row["clip"] for row in rows.to_pylist() if row["split"] == "test"]
        assert tested == [f"c{i:02d}" for i in range(30) if i // 2 % 3 + 1 == fold]
    lists = [out / f"shards/{i}.parquet" for i in range(50)]
    assert sorted((out / "shards").iterdir()) == sorted(lists)
    parts = [pq.read_table(path) for path in lists]
    assert any(part.num_rows == 0 for part in parts)
    for number, part in enumerate(parts):
        assert part.schema == MANIFEST_SCHEMA  # an empty one too
        ids = part["clip"].to_pylist()
        assert ids == [clip for clip in clips["clip"] if shard_of(clip, 50) == number]
    together = pd.concat(part.to_pandas() for part in parts).sort_values("clip")
    pd.testing.assert_frame_equal(together.reset_index(drop=True), clips)


def test_bytes_do_not_depend_on_the_order_of_the_table(tmp_path):
    root = csv_release(tmp_path / "release")
    run_main(root, tmp_path / "one")
    header, *rows = (root / "labels.csv").read_text().splitlines()
    (root / "labels.csv").write_text("\n".join([header, *reversed(rows)]))
    run_main(root, tmp_path / "two")
    for path in (tmp_path / "one").rglob("*.parquet"):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == other.read_bytes()


def test_a_new_clip_touches_one_shard(tmp_path):
    root = csv_release(tmp_path / "release")
    run_main(root, tmp_path / "one", shards=8)
    (root / "v/new.mp4").touch()
    with (root / "labels.csv").open("a") as file:
        file.write("\nnew,v/new.mp4,sad,1,")
    run_main(root, tmp_path / "two", shards=8)
    changed = [
        i
        for i in range(8)
        if (tmp_path / f"one/shards/{i}.parquet").read_bytes()
        != (tmp_path / f"two/shards/{i}.parquet").read_bytes()
    ]
    assert changed == [shard_of("new", 8)]


def test_clips_that_are_not_on_disk_stay_and_are_named(tmp_path, capsys):
    lists = {part: rows for part, rows in random_lists("mafw", share=36).items() if part[0] == 1}
    listed = {clip for rows in lists.values() for clip, _ in rows}
    write_mafw_lists(tmp_path / "mafw", lists)
    (tmp_path / "mafw/data/clips").mkdir(parents=True)
    classes = {label: label for rows in lists.values() for _, label in rows}
    run_main(tmp_path / "mafw", tmp_path / "out", layout="mafw", classes=classes)
    assert set(pd.read_parquet(tmp_path / "out/manifest.parquet")["clip"]) == listed
    assert f"{len(listed)} listed clips are not on disk" in capsys.readouterr().out


@pytest.mark.slow
def test_command_line(tmp_path):
    """By hand: one line on stderr for a mistake, and no torch for a cheap stage."""
    root = csv_release(tmp_path / "release")
    command = [sys.executable, "-m", "dfer.prepare.manifest"]
    (root / "labels.csv").unlink()
    done = subprocess.run(
        [*command, *arguments(root, tmp_path / "out")], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {root}/labels.csv: no such file.")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
    code = "import sys, dfer.prepare.manifest; print([m for m in sys.modules if m.startswith(%r)])"
    for module in ("torch", "dfer.datasets.dfew", "dfer.datasets.table"):
        loaded = subprocess.run(
            [sys.executable, "-c", code % module], capture_output=True, text=True, check=True
        )
        assert loaded.stdout == "[]\n"


@pytest.mark.parametrize(
    "classes", ["happy", "[]", "{}", '{"happy": 1}', '{"happy": " "}', "{'happy': 'x'}"]
)
def test_classes_must_be_an_object_of_texts(tmp_path, classes):
    command = arguments(tmp_path, tmp_path)
    command[command.index("--classes") + 1] = classes
    with pytest.raises(SystemExit):
        parser().parse_args(command)


# ── Checks ──────────────────────────────────────────────────────────────────────────────────────


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Four clips in two folds, all well."""
    clips = pd.DataFrame(
        [(c, f"{c}.mp4", "video", "sad" if c in "bd" else "happy", None) for c in "abcd"],
        columns=MANIFEST_SCHEMA.names,
    )
    folds = pd.DataFrame(
        [(c, k, "test" if (c in "ab") == (k == 1) else "train") for k in (1, 2) for c in "abcd"],
        columns=FOLD_COLUMNS,
    )
    return clips, folds


def test_a_good_release_passes():
    check(*tables(), CLASSES)


def test_refuses_duplicates():
    clips, folds = tables()
    with pytest.raises(UserError, match="clip 'a' stands twice"):
        check(pd.concat([clips, clips[:1]]), folds, CLASSES)
    clips.loc[1, "path"] = "a.mp4"
    with pytest.raises(UserError, match=r"path 'a\.mp4' stands twice"):
        check(clips, folds, CLASSES)


def test_refuses_labels():
    clips, folds = tables()
    clips.loc[0, "label"] = "Happy "
    with pytest.raises(UserError, match=r"label 'Happy ' \(1 clips, one is 'a'\).*mean 'happy'\?"):
        check(clips, folds, CLASSES)
    clips, folds = tables()
    with pytest.raises(UserError, match=r"label 'sad' .* has no class word"):
        check(clips, folds, {"happy": "happiness"})
    with pytest.raises(UserError, match=r"class 'fear' has no clip.*labels found: happy, sad"):
        check(clips, folds, CLASSES | {"fear": "fear"})
    with pytest.raises(UserError, match="two classes have the same word"):
        check(clips, folds, {"happy": "x", "sad": "x"})


def test_refuses_folds():
    clips, folds = tables()
    two = folds["fold"] == 2
    with pytest.raises(UserError, match="fold 2 has no test clips"):
        check(clips, folds[~two | (folds["split"] == "train")], CLASSES)
    with pytest.raises(UserError, match="fold 2 has no train clips"):
        check(clips, folds[~two | (folds["split"] == "test")], CLASSES)
    with pytest.raises(UserError, match="fold 1 has no train clip of class 'sad'"):
        check(clips, folds[two | (folds["clip"] != "d")], CLASSES)
    both = pd.concat([folds, pd.DataFrame([("a", 1, "train")], columns=folds.columns)])
    with pytest.raises(UserError, match="clip 'a' is in both train and test in fold 1"):
        check(clips, both, CLASSES)
    with pytest.raises(UserError, match="clip 'a' is in test twice in fold 1"):
        check(clips, pd.concat([folds, folds[:1]]), CLASSES)
    stranger = pd.concat([folds, pd.DataFrame([("e", 1, "train")], columns=folds.columns)])
    with pytest.raises(UserError, match="clip 'e' is in a fold but has no label"):
        check(clips, stranger, CLASSES)


def test_a_refusal_names_the_release_and_writes_nothing(tmp_path):
    root = csv_release(tmp_path / "release")
    with pytest.raises(UserError, match=f"^{root}: class 'fear' has no clip"):
        run_main(root, tmp_path / "out", classes=CLASSES | {"fear": "fear"})
    assert not (tmp_path / "out").exists()
