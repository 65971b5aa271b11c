"""What trainings depend on: the contents of a clip store, whatever its files' dates."""

import numpy as np
import pytest

from dfer.clips.store import ShardWriter
from dfer.errors import UserError
from dfer.files import read_parquet
from dfer.prepare import contents

FRAMES = {f"c{n}": np.full((n + 1, 32, 32, 3), 9 * n, np.uint8) for n in range(4)}


def table(folder, shards):
    """Write shards of these clips, and what the stage says of them."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.arrow" for number in range(len(shards))]
    for path, clips in zip(paths, shards, strict=True):
        with ShardWriter(path) as writer:
            for clip, frames in clips.items():
                writer.add(clip, frames)
    words = ["--store", *map(str, paths), "--out", str(folder / "contents.parquet")]
    contents.main(contents.parser().parse_args(words))
    return read_parquet(folder / "contents.parquet", contents.CONTENTS)


def shards(**changes):
    frames = FRAMES | changes
    return [{name: frames[name] for name in names} for names in (("c2", "c0"), ("c1", "c3"))]


def test_clips_and_frames_are_counted(tmp_path):
    found = table(tmp_path, shards())
    assert found.shard.tolist() == ["0.arrow", "1.arrow"]
    assert found.clips.tolist() == [2, 2] and found.frames.tolist() == [4, 6]


def test_equal_shards_have_equal_contents_wherever_they_are_packed(tmp_path):
    table(tmp_path / "a", shards())
    table(tmp_path / "b", shards())
    one, other = ((tmp_path / name / "contents.parquet").read_bytes() for name in "ab")
    assert one == other


def test_a_pixel_or_an_order_is_another_digest_of_its_shard_alone(tmp_path):
    before = table(tmp_path / "before", shards()).digest.tolist()
    brighter = FRAMES["c3"].copy()
    brighter[0, :16] += 40
    after = table(tmp_path / "after", shards(c3=brighter)).digest.tolist()
    assert after[0] == before[0] and after[1] != before[1]
    turned = [dict(reversed(clips.items())) for clips in shards()]
    assert not set(table(tmp_path / "turned", turned).digest) & set(before)


def test_a_lost_shard_is_named_with_the_remedy(tmp_path):
    table(tmp_path, shards())
    (tmp_path / "1.arrow").unlink()
    words = ["--store", str(tmp_path / "0.arrow"), str(tmp_path / "1.arrow"), "--out", "unused"]
    with pytest.raises(UserError, match=r"1\.arrow: no such file.*delete contents\.parquet"):
        contents.main(contents.parser().parse_args(words))
