"""The stages align and extract, by their command lines, on a small release made here."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import av
import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import simplejpeg
import skimage.data

from dfer.clips.media import is_inside
from dfer.clips.shard import REJECTS_SCHEMA
from dfer.clips.store import ClipStore
from dfer.clips.video import ClipError
from dfer.faces.settings import LandmarkSettings
from dfer.faces.similarity import face_transform, transforms, warp
from dfer.faces.track import MISSING, Backend, Face
from dfer.prepare.align import LANDMARKS_SCHEMA, align_clip, to_rows

PHOTO = skimage.data.astronaut()[:256, 96:352]  # her face in the middle
GREY = np.full_like(PHOTO, 128)


def write_video(path: Path, frames: list[np.ndarray]) -> None:
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv444p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def as_stored(frame: np.ndarray) -> np.ndarray:
    """What one JPEG of quality 95 makes of a frame."""
    return simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(frame, 95, "RGB", "444"))


def panned(count: int) -> list[np.ndarray]:
    return [np.roll(PHOTO, 3 * i, axis=1) for i in range(count)]


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    """A release in which much is wrong; its shard list is `shard.parquet`."""
    root = tmp_path_factory.mktemp("release")
    face = PHOTO
    write_video(root / "good.mp4", panned(12))
    write_video(root / "nobody.mp4", [GREY] * 6)
    write_video(root / "seldom.mp4", [GREY] * 6 + [face] * 2)
    write_video(root / "gaps.mp4", [GREY] * 2 + panned(4) + [GREY] * 3 + panned(1))
    write_video(root / "odd.mp4", [frame[:201, :203] for frame in panned(5)])
    write_video(root / "cut.mp4", panned(12))
    data = (root / "cut.mp4").read_bytes()
    (root / "cut.mp4").write_bytes(data[: len(data) * 95 // 100])
    (root / "empty.mp4").touch()
    (root / "images").mkdir()
    for number in range(1, 12):
        picture = panned(11)[number - 1]
        cv2.imwrite(str(root / "images" / f"{number}.png"), picture[..., ::-1])
    rows = [
        (name.partition(".")[0], name, "video" if "." in name else "frames", "happy", None)
        for name in (
            "cut.mp4",
            "empty.mp4",
            "gaps.mp4",
            "good.mp4",
            "images",
            "missing.mp4",
            "nobody.mp4",
            "odd.mp4",
            "seldom.mp4",
        )
    ]
    columns = ["clip", "path", "media", "label", "subject"]
    pd.DataFrame(rows, columns=columns).to_parquet(root / "shard.parquet")
    return root


def stage(name: str, *arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", f"dfer.prepare.{name}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def align(root: Path, out: Path, shard: Path | None = None) -> subprocess.CompletedProcess:
    return stage(
        "align",
        *("--shard-list", shard or root / "shard.parquet", "--root", root),
        *("--landmark-settings", '{"backend": "dlib", "every": 4}'),
        *("--out", out / "landmarks.parquet", "--out-rejects", out / "rejects-align.parquet"),
    )


def extract(root: Path, out: Path, *more: object, size: int = 96) -> subprocess.CompletedProcess:
    return stage(
        "extract",
        *("--shard-list", root / "shard.parquet", "--root", root, "--size", size, *more),
        *("--out", out / "store.arrow", "--out-rejects", out / "rejects-extract.parquet"),
    )


def with_landmarks(out: Path) -> list[object]:
    rejects = out / "rejects-align.parquet"
    return ["--landmarks", out / "landmarks.parquet", "--rejects", rejects]


@pytest.fixture(scope="module")
def done(release, tmp_path_factory) -> Path:
    """What the two stages wrote, one after the other; `log` has what they said."""
    out = tmp_path_factory.mktemp("done")
    first = align(release, out)
    assert first.returncode == 0, first.stderr
    second = extract(release, out, *with_landmarks(out))
    assert second.returncode == 0, second.stderr
    (out / "log").write_text(first.stderr + second.stderr)
    return out


def test_landmarks_have_one_row_a_frame_and_say_how_they_were_found(done):
    assert pq.read_schema(done / "landmarks.parquet").equals(LANDMARKS_SCHEMA)
    table = pd.read_parquet(done / "landmarks.parquet")
    found = table.groupby("clip")["found"].agg(lambda words: "".join(word[0] for word in words))
    assert found.to_dict() == {
        "gaps": "mmdcccmmmd",
        "good": "dcccdcccdccc",
        "images": "dcccdcccdcc",
        "odd": "dcccd",
    }
    for _, rows in table.groupby("clip"):
        assert rows["frame"].tolist() == list(range(len(rows)))
    missing = table["found"] == "missing"
    assert table.loc[missing, ["x0", "y0", "x1", "y1", "score"]].isna().all(axis=None)
    assert table.loc[missing, "points"].isna().all()
    assert table["score"].notna().tolist() == (table["found"] == "detected").tolist()
    assert all(len(points) == 136 for points in table.loc[~missing, "points"])


def test_landmarks_follow_the_face(done):
    table = pd.read_parquet(done / "landmarks.parquet")
    points = np.stack(table.loc[table["clip"] == "good", "points"]).reshape(12, 68, 2)
    shift = (points - points[0]).mean(1)
    assert np.abs(shift[:, 0] - 3 * np.arange(12)).max() < 1.5
    assert np.abs(shift[:, 1]).max() < 1.5


def test_every_clip_that_is_not_there_has_a_reason(done, release):
    for name in ("align", "extract"):
        schema = pq.read_schema(done / f"rejects-{name}.parquet")
        assert schema.equals(REJECTS_SCHEMA)
    rejects = pd.read_parquet(done / "rejects-align.parquet").set_index("clip")
    assert set(rejects["stage"]) == {"align"}
    assert rejects["path"].to_dict()["missing"] == "missing.mp4"
    for clip, words in {
        "cut": "frames can be decoded",
        "empty": "is an empty file",
        "missing": "does not exist",
        "nobody": "no face found in any of the 6 frames",
        "seldom": "a face in only 2 of 8 frames, less than the share 0.3",
    }.items():
        assert words in rejects.loc[clip, "reason"]
    clips = set(pd.read_parquet(release / "shard.parquet")["clip"])
    assert clips == set(rejects.index) | set(ClipStore([done / "store.arrow"]).clips)
    assert len(pd.read_parquet(done / "rejects-extract.parquet")) == 0


def test_landmarks_say_who_decoded_the_clip(done):
    landmarks = pd.read_parquet(done / "landmarks.parquet")
    decoders = landmarks.groupby("clip")["decoder"].unique().map(list).to_dict()
    video = "decord" if find_spec("decord") else "PyAV"
    assert decoders == {"gaps": [video], "good": [video], "images": ["Pillow"], "odd": [video]}


@pytest.mark.slow
def test_what_was_done_to_frames_is_logged_and_stands_with_the_landmarks(tmp_path):
    frames = [np.ascontiguousarray(frame[:, ::-1]) for frame in panned(4)]
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = PHOTO.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.set_display_rotation(0, hflip=True)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    row = {"clip": ["a"], "path": ["a.mp4"], "media": ["video"]}
    pd.DataFrame(row).to_parquet(tmp_path / "shard.parquet")
    process = align(tmp_path, tmp_path)
    note = "mirrored as its display matrix says"
    assert f"[1/1] a: 4 frames, {note}\n" in process.stderr
    landmarks = pd.read_parquet(tmp_path / "landmarks.parquet")
    assert set(landmarks["decoder"]) == {f"PyAV; {note}"}


def test_the_log_counts_the_clips_and_sums_up(done):
    log = (done / "log").read_text()
    assert "[4/9] good: 12 frames\n" in log
    assert "[3/9] gaps: 10 frames, 5 without a face\n" in log
    assert "[1/9] cut: REJECTED: cut.mp4: only" in log
    assert "align: 4 clips done, 0 of them with lost frames; 5 rejected" in log
    assert "extract: 4 clips done, 0 of them with lost frames; 0 rejected" in log


def test_extracted_faces_are_all_frames_of_the_clip_and_stand_still(done):
    store = ClipStore([done / "store.arrow"])
    assert {clip: store.length(clip) for clip in store.clips} == {
        "gaps": 10,
        "good": 12,
        "images": 11,
        "odd": 5,
    }
    faces = store.frames("images", range(11))
    assert faces.shape == (11, 96, 96, 3)
    # Her face moves by 30 pixels through the clip; cut out, its middle hardly changes.
    middle = faces[:, 24:72, 24:72].astype(int)
    assert np.abs(middle - middle[0]).mean() < 12
    assert np.abs(PHOTO.astype(int) - panned(11)[10]).mean() > 30


def test_extracted_faces_are_the_frames_under_their_landmarks(done):
    store = ClipStore([done / "store.arrow"])
    table = pd.read_parquet(done / "landmarks.parquet")
    points = table[table["clip"] == "images"]["points"].iloc[7].reshape(68, 2)
    expected = warp(panned(11)[7], face_transform(points, 96), 96)
    got = store.frames("images", [7])[0]
    assert np.array_equal(got, as_stored(expected))


def test_frames_without_a_face_take_the_transform_of_the_nearest_with_one():
    rng = np.random.default_rng(0)
    faces = [rng.uniform(50, 150, (68, 2)) for _ in range(3)]
    nothing = None
    points = [nothing, faces[0].ravel(), nothing, nothing, nothing, faces[1], faces[2], nothing]
    found = [face_transform(face, 96) for face in faces]
    expected = [found[k] for k in (0, 0, 0, 0, 1, 1, 2, 2)]  # frame 3 is as near to 1 as to 5
    assert np.array_equal(transforms(points, 96), np.stack(expected))


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(done, release, tmp_path):
    assert align(release, tmp_path).returncode == 0
    assert extract(release, tmp_path, *with_landmarks(tmp_path)).returncode == 0
    for name in ("landmarks", "rejects-align", "rejects-extract"):
        file = f"{name}.parquet"
        assert (tmp_path / file).read_bytes() == (done / file).read_bytes()
    assert (tmp_path / "store.arrow").read_bytes() == (done / "store.arrow").read_bytes()


def test_crops_are_packed_without_landmarks(release, tmp_path):
    """Frames of any shape become squares; nothing is aligned."""
    result = extract(release, tmp_path, size=64)
    assert result.returncode == 0, result.stderr
    store = ClipStore([tmp_path / "store.arrow"])
    assert store.clips == ["gaps", "good", "images", "nobody", "odd", "seldom"]
    frames = store.frames("images", range(11))
    expected = PHOTO.reshape(64, 4, 64, 4, 3).mean((1, 3)).round().astype(np.uint8)
    assert frames.shape == (11, 64, 64, 3)
    assert np.abs(frames[0].astype(int) - as_stored(expected)).mean() < 0.5
    rejects = pd.read_parquet(tmp_path / "rejects-extract.parquet").set_index("clip")
    assert sorted(rejects.index) == ["cut", "empty", "missing"]
    assert set(rejects["stage"]) == {"extract"}


def test_crops_of_the_right_size_keep_their_pixels(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.png"), PHOTO[..., ::-1])
    row = ("a", "clip", "frames", "happy", None)
    columns = ["clip", "path", "media", "label", "subject"]
    pd.DataFrame([row], columns=columns).to_parquet(tmp_path / "shard.parquet")
    assert extract(tmp_path, tmp_path, size=256).returncode == 0
    (frame,) = ClipStore([tmp_path / "store.arrow"]).frames("a", [0])
    assert np.array_equal(frame, as_stored(PHOTO))


def test_a_clip_that_changed_since_it_was_aligned_is_rejected(release, done, tmp_path):
    other = tmp_path / "release"
    other.mkdir()
    write_video(other / "good.mp4", panned(7))
    write_video(other / "odd.mp4", panned(9))
    shard = pd.read_parquet(release / "shard.parquet")
    shard = shard[shard["clip"].isin(["good", "odd"])]
    shard.to_parquet(other / "shard.parquet")
    result = extract(other, tmp_path, *with_landmarks(done))
    assert result.returncode == 0, result.stderr
    assert ClipStore([tmp_path / "store.arrow"]).clips == []
    reasons = pd.read_parquet(tmp_path / "rejects-extract.parquet").set_index("clip")["reason"]
    assert "good.mp4 has 7 frames but landmarks for 12" in reasons["good"]
    assert "odd.mp4 has 9 frames but landmarks for 5" in reasons["odd"]


def test_landmarks_of_other_clips_are_an_error(release, done, tmp_path):
    other = pd.read_parquet(release / "shard.parquet").assign(clip=lambda t: "new " + t["clip"])
    other.to_parquet(tmp_path / "shard.parquet")
    result = stage(
        "extract",
        *("--shard-list", tmp_path / "shard.parquet", "--root", release, "--size", 96),
        *with_landmarks(done),
        *("--out", tmp_path / "store.arrow", "--out-rejects", tmp_path / "rejects.parquet"),
    )
    assert result.returncode == 1
    assert "'new cut' is neither in the landmarks nor" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "store.arrow").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["../secret.mp4", "/etc/passwd", "//etc/passwd", "a/../../b.mp4", ""]
)
def test_paths_that_leave_the_root_stop_the_stage(release, tmp_path, path):
    assert not is_inside(path)
    row = ("a", path, "video", "happy", None)
    columns = ["clip", "path", "media", "label", "subject"]
    pd.DataFrame([row], columns=columns).to_parquet(tmp_path / "shard.parquet")
    for name, more in (
        ("align", ["--landmark-settings", '{"backend": "dlib"}']),
        ("extract", ["--size", 64]),
    ):
        result = stage(
            name,
            *("--shard-list", tmp_path / "shard.parquet", "--root", release, *more),
            *("--out", tmp_path / "out", "--out-rejects", tmp_path / "rejects"),
        )
        assert result.returncode == 1
        assert result.stderr.startswith("error: ")
        assert "clip 'a' has the path" in result.stderr
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_empty_shard_gives_empty_tables_of_the_right_types(release, tmp_path):
    pd.read_parquet(release / "shard.parquet").iloc[:0].to_parquet(tmp_path / "shard.parquet")
    assert align(release, tmp_path, tmp_path / "shard.parquet").returncode == 0
    assert pq.read_schema(tmp_path / "landmarks.parquet").equals(LANDMARKS_SCHEMA)
    result = stage(
        "extract",
        *("--shard-list", tmp_path / "shard.parquet", "--root", release, "--size", 96),
        *with_landmarks(tmp_path),
        *("--out", tmp_path / "store.arrow", "--out-rejects", tmp_path / "rejects.parquet"),
    )
    assert result.returncode == 0, result.stderr
    assert ClipStore([tmp_path / "store.arrow"]).clips == []


def test_wrong_settings_and_roots_are_one_line(release, tmp_path):
    common = (
        *("--shard-list", release / "shard.parquet"),
        *("--out", tmp_path / "out", "--out-rejects", tmp_path / "rejects"),
    )
    settings = ("--landmark-settings", '{"backend": "x"}')
    result = stage("align", "--root", release, *settings, *common)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "name one of dlib, face_alignment" in result.stderr
    settings = ("--landmark-settings", '{"backend": "dlib"}')
    result = stage("align", "--root", tmp_path / "nowhere", *settings, *common)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "nowhere: no such folder" in result.stderr


def test_the_share_of_frames_with_a_face_decides_exactly():
    """3 of 10 frames are enough for 0.3, and not for more."""

    class Sometimes(Backend):
        def detect(self, frame):
            there = frame[0, 0, 0] < 3
            return np.array([[10.0, 10, 50, 50, 1]]) if there else np.zeros((0, 5))

        def landmarks(self, frame, box):
            return np.random.default_rng(0).uniform(10, 50, (68, 2)).astype(np.float32)

    frames = [np.full((64, 64, 3), number, np.uint8) for number in range(10)]
    faces = align_clip(frames, Sometimes(), LandmarkSettings("dlib", every=1, min_face_share=0.3))
    assert [face.found for face in faces] == ["detected"] * 3 + ["missing"] * 7
    with pytest.raises(ClipError, match=r"in only 3 of 10 frames, less than the share 0\.31"):
        align_clip(frames, Sometimes(), LandmarkSettings("dlib", every=1, min_face_share=0.31))


def test_rows_of_a_clip():
    points = np.arange(136, dtype=np.float32).reshape(68, 2)
    faces = [MISSING, Face(np.array([1.0, 2, 3, 4]), 0.5, points, "detected")]
    first, second = to_rows("a", faces).to_dict("records")
    assert first["found"] == "missing" and first["points"] is None and np.isnan(first["x0"])
    assert [second[key] for key in ("x0", "y0", "x1", "y1", "score")] == [1, 2, 3, 4, 0.5]
    assert second["points"].tolist() == list(range(136))


@pytest.mark.slow
def test_aligning_with_dlib_needs_no_torch():
    program = (
        "import sys, dfer.prepare.extract, dfer.prepare.align; "
        "from dfer.faces.backends import open_backend; "
        "from dfer.faces.settings import LandmarkSettings; open_backend(LandmarkSettings('dlib')); "
        "print('torch' in sys.modules, 'face_alignment' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert out.stdout.split() == ["False", "False"], out.stderr
