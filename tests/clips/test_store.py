"""The clip store: what goes in comes out, from many processes, and damage has a name."""

import hashlib
import multiprocessing
import os
import pickle
import subprocess
import sys
import zlib

import numpy as np
import pyarrow as pa
import pytest
import simplejpeg

from dfer.clips.store import SCHEMA, ClipStore, ShardWriter
from dfer.errors import UserError


def smooth(rng: np.random.Generator, count: int, size: int = 64) -> np.ndarray:
    """Random smooth pictures (count, size, size, 3), as JPEG likes them."""
    y, x = np.mgrid[:size, :size] / size
    a, b, c = rng.uniform(-2, 2, (3, count, 1, 1, 3))
    waves = np.sin(3 * (a * x[..., None] + b * y[..., None]) + c)
    return (127 + 120 * waves).astype(np.uint8)


@pytest.fixture(scope="module")
def clips() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"clip {number:02d}": smooth(rng, 3 + number % 4) for number in range(12)}


@pytest.fixture(scope="module")
def store(clips, tmp_path_factory) -> ClipStore:
    """Three shards of four clips, written against the order of the ids."""
    folder = tmp_path_factory.mktemp("store")
    names = sorted(clips, reverse=True)
    for shard in range(3):
        with ShardWriter(folder / f"{shard}.arrow") as writer:
            for name in names[shard::3]:
                assert writer.add(name, clips[name]) == len(clips[name])
    return ClipStore([folder / f"{shard}.arrow" for shard in range(3)])


def test_frames_come_back_in_any_order_and_with_repeats(store, clips):
    assert store.clips == sorted(clips)
    for name, frames in clips.items():
        assert store.length(name) == len(frames)
        indices = np.array([len(frames) - 1, 0, 1, 1, 0])
        got = store.frames(name, indices)
        assert got.dtype == np.uint8
        assert got.shape == (5, 64, 64, 3)
        difference = got.astype(int) - frames[indices]
        assert np.abs(difference).mean() < 1
        assert np.abs(difference).max() <= 12
        assert np.array_equal(got[2], got[3])


def test_the_file_is_what_the_format_says(store, clips):
    """Read with plain pyarrow, as another program would."""
    with pa.memory_map(str(store.paths[0])) as source:
        table = pa.ipc.open_file(source)
        batches = [table.get_batch(i) for i in range(table.num_record_batches)]
        assert all(batch.num_rows == 1 for batch in batches)
        name, frames, sums = batches[0].to_pylist()[0].values()
    assert len(frames) == len(clips[name])
    place = f"{name} 1/{len(frames)}".encode()
    assert sums[1] == zlib.crc32(place + frames[1])
    height, width, colours, subsampling = simplejpeg.decode_jpeg_header(frames[0])
    assert (height, width, colours, subsampling) == (64, 64, "YCbCr", "444")
    expected = simplejpeg.encode_jpeg(clips[name][0], 95, "RGB", "444")
    assert frames[0] == expected


def test_an_iterable_of_frames_is_stored_like_an_array(tmp_path, clips):
    frames = clips["clip 03"]
    with ShardWriter(tmp_path / "a.arrow") as writer:
        writer.add("x", frames)
    with ShardWriter(tmp_path / "b.arrow") as writer:
        writer.add("x", (frame for frame in frames))
    assert (tmp_path / "a.arrow").read_bytes() == (tmp_path / "b.arrow").read_bytes()


def test_frames_that_are_views_are_stored_as_they_look(tmp_path, clips):
    frames = clips["clip 03"][:, ::-1, ::-1, ::-1]
    with ShardWriter(tmp_path / "a.arrow") as writer:
        writer.add("x", frames)
    got = ClipStore([tmp_path / "a.arrow"]).frames("x", range(len(frames)))
    assert np.abs(got.astype(int) - frames).mean() < 1


def test_min_size_takes_the_smallest_scale_that_is_large_enough(tmp_path):
    frames = smooth(np.random.default_rng(1), 2, size=224)
    with ShardWriter(tmp_path / "a.arrow") as writer:
        writer.add("x", frames)
    store = ClipStore([tmp_path / "a.arrow"])
    for least, side in {112: 112, 113: 140, 100: 112, 28: 28, 224: 224, 250: 224}.items():
        got = store.frames("x", [0, 1], min_size=least)
        assert got.shape == (2, side, side, 3)
    half = frames.reshape(2, 112, 2, 112, 2, 3).mean((2, 4))
    assert np.abs(store.frames("x", [0, 1], min_size=112) - half).mean() < 2


def test_unknown_clips_and_frames_are_errors(store):
    with pytest.raises(UserError, match="'nobody' is in none of the 3 shards"):
        store.frames("nobody", [0])
    for index in (-1, 3):
        with pytest.raises(IndexError, match="has 3 frames"):
            store.frames("clip 00", [index])


def test_an_empty_shard_is_a_whole_shard(tmp_path, store):
    with ShardWriter(tmp_path / "empty.arrow"):
        pass
    assert ClipStore([tmp_path / "empty.arrow"]).clips == []
    assert ClipStore([tmp_path / "empty.arrow", *store.paths]).clips == store.clips


def test_one_clip_in_two_shards_is_an_error(tmp_path, clips):
    for name in ("a", "b"):
        with ShardWriter(tmp_path / f"{name}.arrow") as writer:
            writer.add("x", clips["clip 00"])
    with pytest.raises(UserError, match=r"'x' is in two shards.*a\.arrow.*b\.arrow"):
        ClipStore([tmp_path / "a.arrow", tmp_path / "b.arrow"]).length("x")


def digest(store: ClipStore) -> str:
    """Of all frames of all clips, read in an order of this process's own."""
    names = list(store.clips)
    np.random.default_rng(os.getpid()).shuffle(names)
    found = {name: store.frames(name, range(store.length(name))).tobytes() for name in names}
    return hashlib.sha256(b"".join(found[name] for name in sorted(names))).hexdigest()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_many_processes_read_the_same(store, method):
    """The store is open in the parent already, as it is when a loader's workers fork."""
    expected = digest(store)
    with multiprocessing.get_context(method).Pool(3) as pool:
        assert set(pool.map(digest, [store] * 6)) == {expected}


def test_a_pickled_store_carries_no_frames(store):
    store.frames("clip 00", [0])
    pickled = pickle.dumps(store)
    assert len(pickled) < 5000
    assert digest(pickle.loads(pickled)) == digest(store)


@pytest.mark.parametrize("seed", range(8))
def test_a_shard_cut_anywhere_is_named_with_its_remedy(store, tmp_path, seed):
    whole = store.paths[1].read_bytes()
    cut = int(np.random.default_rng(seed).integers(len(whole))) if seed else 0
    path = tmp_path / "cut.arrow"
    path.write_bytes(whole[:cut])
    with pytest.raises(UserError, match=r"cut\.arrow: not a whole shard.*Delete it and run again"):
        ClipStore([store.paths[0], path]).length("clip 00")


def test_a_damaged_frame_names_shard_and_clip(store, tmp_path, clips):
    data = bytearray(store.paths[0].read_bytes())
    start = data.find(simplejpeg.encode_jpeg(clips["clip 11"][0], 95, "RGB", "444"))
    data[start : start + 40] = bytes(40)
    path = tmp_path / "damaged.arrow"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"damaged\.arrow.*clip 11"):
        ClipStore([path]).frames("clip 11", [0])


def test_a_flipped_bit_never_reads_as_another_face(store, tmp_path, clips):
    """Most of a JPEG's flipped bits decode without an error."""
    whole = store.paths[0].read_bytes()
    encoded = simplejpeg.encode_jpeg(clips["clip 11"][0], 95, "RGB", "444")
    start, rng = whole.find(encoded), np.random.default_rng(0)
    for place in start + rng.choice(len(encoded), 20, replace=False):
        data = bytearray(whole)
        data[place] ^= 1 << rng.integers(8)
        path = tmp_path / f"{place}.arrow"
        path.write_bytes(data)
        with pytest.raises(UserError, match=r"arrow: not a whole shard.*clip 11.*frame 0"):
            ClipStore([path]).frames("clip 11", [1, 0])


@pytest.mark.parametrize("harm", ["other order", "other clip", "one frame less"])
def test_whole_frames_in_a_wrong_place_are_seen(store, tmp_path, harm):
    """Each frame's own bytes are right there, and their checksum comes with them."""
    with pa.memory_map(str(store.paths[0])) as source:
        rows = pa.ipc.open_file(source).read_all().to_pylist()
    row = rows[0]
    if harm == "other order":
        row = {name: row[name] if name == "clip" else row[name][::-1] for name in row}
    elif harm == "other clip":
        row = row | {"clip": "another"}
    else:
        row = {name: row[name] if name == "clip" else row[name][:-1] for name in row}
    path = tmp_path / "wrong.arrow"
    with pa.ipc.new_file(str(path), SCHEMA) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist([row], SCHEMA))
    with pytest.raises(UserError, match=r"wrong\.arrow.*frame 0 is not what was written"):
        ClipStore([path]).frames(row["clip"], [0])


def test_other_files_and_missing_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.arrow: no such file"):
        ClipStore([tmp_path / "nowhere.arrow"]).length("x")
    table = pa.table({"a": [1]})
    with pa.ipc.new_file(str(tmp_path / "other.arrow"), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(UserError, match=r"other\.arrow.*columns"):
        ClipStore([tmp_path / "other.arrow"]).length("x")


def test_what_stops_a_writer_leaves_nothing_behind(tmp_path, clips):
    def stop():
        yield clips["clip 00"][0]
        raise KeyboardInterrupt

    for problem in (KeyboardInterrupt, ValueError):
        with pytest.raises(problem), ShardWriter(tmp_path / "a.arrow") as writer:
            writer.add("x", clips["clip 00"])
            writer.add("y", stop() if problem is KeyboardInterrupt else clips["clip 00"][:0])
    assert list(tmp_path.iterdir()) == []


def test_a_clip_that_fails_half_way_leaves_no_trace_in_the_shard(tmp_path, clips):
    def fail():
        yield clips["clip 00"][0]
        raise LookupError

    for name, with_failure in (("a", True), ("b", False)):
        with ShardWriter(tmp_path / name) as writer:
            writer.add("x", clips["clip 00"])
            if with_failure:
                with pytest.raises(LookupError):
                    writer.add("y", fail())
            writer.add("z", clips["clip 01"])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_wrong_use_of_the_writer_is_an_error(tmp_path, clips):
    with ShardWriter(tmp_path / "a.arrow") as writer:
        writer.add("x", clips["clip 00"])
        with pytest.raises(ValueError, match="in this shard already"):
            writer.add("x", clips["clip 00"])
        with pytest.raises(ValueError, match="frames of one size"):
            writer.add("y", [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)])
    assert ClipStore([tmp_path / "a.arrow"]).clips == ["x"]


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 200 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk needs to be root on Linux")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("count", [1, 40])  # full when the file is closed; in the middle
def test_a_full_disk_is_one_clear_error_and_the_old_shard_stands(tiny_disk, count, clips):
    path = tiny_disk / "a.arrow"
    with ShardWriter(path) as writer:
        writer.add("old", clips["clip 00"])
    old = path.read_bytes()
    (tiny_disk / "ballast").write_bytes(bytes(200 * 1024 - len(old) - 8192))
    noise = np.random.default_rng(0).integers(0, 256, (1, 80, 80, 3), dtype=np.uint8)
    with (
        pytest.raises(UserError, match=r"a\.arrow: the disk is full.*run the same command again"),
        ShardWriter(path) as writer,
    ):
        for number in range(count):
            writer.add(str(number), noise)
    assert path.read_bytes() == old
    assert {file.name for file in tiny_disk.iterdir()} == {"a.arrow", "ballast"}


def test_the_store_does_not_import_torch():
    program = "import sys, dfer.clips.store; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert out.stdout.split() == ["False"]
