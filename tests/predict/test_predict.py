"""Prediction on one's own video, by its command line, on files made here.

The photograph that skimage brings is moved about; the model is a tiny one with fixed weights, whose
classes mean nothing. What is tested is which pixels it is shown, and what is said of them.
"""

import hashlib
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax
from skimage import data
from small_run import CLASSES, TINY, small_run
from unprivileged import unprivileged

from dfer.clips import progress
from dfer.clips.video import ClipError, Frames
from dfer.errors import UserError
from dfer.faces.dlib_68 import Dlib68
from dfer.files import write_parquet
from dfer.models.checkpoint import save_run
from dfer.predict import __main__ as predict
from dfer.predict import clip as clip_module
from dfer.predict import run as run_module
from dfer.predict import strip
from dfer.predict.face import cut_faces, follow
from dfer.predict.footage import Clip
from dfer.predict.windows import Window
from dfer.prepare import align, extract
from dfer.prepare.splits import SPLITS
from dfer.training import evaluate

FACE = data.astronaut()[0:200, 130:330]  # a face of 100 pixels
NTSC = Fraction(24000, 1001)
EVERY_FRAME = '{"backend": "dlib", "every": 1}'
EVERY_FOURTH = '{"backend": "dlib", "every": 4}'


# --- files --------------------------------------------------------------------------------------


def canvas(height: int = 200, width: int = 200) -> np.ndarray:
    return np.full((height, width, 3), 120, np.uint8)


def scene(number: int, height: int = 200, width: int = 240) -> np.ndarray:
    """The face as it moves and changes its light; every frame differs from every other."""
    picture = canvas(height, width)
    face = np.clip(FACE * (0.7 + 0.01 * number), 0, 255).astype(np.uint8)
    x = 20 + round(12 * np.sin(number / 5))
    picture[:, x : x + 200] = face[:height]
    return picture


def write_video(path: Path, frames: list[np.ndarray], rate: Fraction | int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "15"})
        stream.height, stream.width = frames[0].shape[:2]
        even = stream.height % 2 == stream.width % 2 == 0
        stream.pix_fmt = "yuv420p" if even else "yuv444p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    return path


def write_images(folder: Path, frames: list[np.ndarray]) -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{number}.png"), frame[..., ::-1])
    return folder


def turn(path: Path) -> Path:
    """Let a video's header say that it is to be turned by 90°, as phones do."""
    content = bytearray(path.read_bytes())
    matrix = content.find(b"tkhd") + 4 + 40
    one = 0x10000
    content[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 0x40000000)
    path.write_bytes(content)
    return path


# --- runs and calls -----------------------------------------------------------------------------


def save(folder: Path, **run: object) -> Path:
    save_run(small_run(**run), folder / "checkpoint.safetensors")
    return folder


@pytest.fixture(scope="module")
def dlib_68() -> Dlib68:
    return Dlib68()


@pytest.fixture(autouse=True)
def opened_once(dlib_68, monkeypatch) -> None:
    """dlib's model is read once for all tests, which takes half a second."""
    for module in (run_module, align):
        monkeypatch.setattr(module, "open_backend", lambda settings: dlib_68)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    return save(tmp_path_factory.mktemp("run") / "fold1-seed0")


def call(*words: object) -> None:
    predict.main(predict.parser().parse_args(list(map(str, words))))


def table(trained: Path, out: Path, *words: object) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What `--out` says: predictions, rejects."""
    call("--run", trained, "--out", out / "p.parquet", *words)
    return pd.read_parquet(out / "p.parquet"), pd.read_parquet(out / "p.rejects.parquet")


def probabilities(rows: pd.DataFrame) -> np.ndarray:
    return rows[[f"probability_{name}" for name in CLASSES]].to_numpy()


# --- the numbers --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    """Clips of every kind, each one window long."""
    root = tmp_path_factory.mktemp("release")
    moving = [scene(number) for number in range(20)]
    write_video(root / "a" / "plain.mp4", moving)
    gaps = [
        canvas(200, 240) if number in (0, 1, 7, 8, 9, 10) else moving[number]
        for number in range(20)
    ]
    write_video(root / "b" / "gaps.mp4", gaps, NTSC)
    write_video(root / "c" / "odd.mp4", [frame[:199, :233] for frame in moving[:13]])
    write_video(root / "d" / "few.mp4", moving[:3])
    turn(write_video(root / "e" / "turned.mp4", [np.rot90(frame) for frame in moving[:9]]))
    write_images(root / "f" / "images", moving[:12])
    return root


@pytest.mark.slow
@pytest.mark.parametrize("head", ["text", "linear"])
def test_numbers_equal_those_of_evaluate(release, tmp_path, head):
    """The same files through the stages align, extract and evaluate: equal to the last bit."""
    trained = save(tmp_path / "run", model={"head": head, "blocks": int(head == "text")})
    paths = [path for folder in sorted(release.iterdir()) for path in folder.iterdir()]
    manifest = pd.DataFrame(
        {
            "clip": [path.stem for path in paths],
            "path": [path.relative_to(release).as_posix() for path in paths],
            "media": ["frames" if path.is_dir() else "video" for path in paths],
            "label": "happy",
            "subject": None,
        }
    )
    write_parquet(manifest, tmp_path / "shard.parquet")
    splits = manifest.assign(fold=1, split="test", held_out=False)[SPLITS.names]
    write_parquet(splits, tmp_path / "splits.parquet", SPLITS)

    def stage(module, **options: object) -> None:
        words = []
        for key, value in options.items():
            words += [f"--{key.replace('_', '-')}", str(value)]
        module.main(module.parser().parse_args(words))

    shard = {"shard_list": tmp_path / "shard.parquet", "root": release}
    rejects = tmp_path / "rejects.parquet"
    landmarks = tmp_path / "landmarks.parquet"
    stage(align, **shard, landmark_settings=EVERY_FOURTH, out=landmarks, out_rejects=rejects)
    stage(
        extract,
        **shard,
        landmarks=landmarks,
        rejects=rejects,
        out=tmp_path / "store" / "0.arrow",
        out_rejects=tmp_path / "more.parquet",
    )
    stage(
        evaluate,
        checkpoint=trained / "checkpoint.safetensors",
        splits=tmp_path / "splits.parquet",
        store=tmp_path / "store" / "0.arrow",
        batch=1,
        out_predictions=tmp_path / "predictions.parquet",
        out_metrics=tmp_path / "metrics.parquet",
    )
    assert len(pd.read_parquet(rejects)) == len(pd.read_parquet(tmp_path / "more.parquet")) == 0
    expected = pd.read_parquet(tmp_path / "predictions.parquet")
    logits = expected[[f"logit_{name}" for name in CLASSES]].to_numpy()
    assert logits.dtype == np.float32

    rows, refused = table(trained, tmp_path, *paths, "--landmark-settings", EVERY_FOURTH)
    assert refused.empty
    assert rows["file"].tolist() == [str(path) for path in paths]
    assert np.array_equal(probabilities(rows), softmax(logits.astype(np.float64), axis=1))
    as_torch = torch.tensor(logits).double().softmax(1).numpy()
    np.testing.assert_allclose(probabilities(rows), as_torch, rtol=1e-14)
    assert rows["label"].tolist() == expected["prediction"].tolist()
    assert len(np.unique(probabilities(rows)[:, 0])) == len(paths)
    seen = pd.read_parquet(landmarks)
    shares = (seen["found"] != "missing").groupby(seen["clip"]).mean()
    assert rows["face_share"].tolist() == shares[manifest["clip"]].tolist()
    assert 0.3 < shares["gaps"] < 1


@pytest.mark.slow
def test_windows_of_a_long_video_are_clips_of_their_own(trained, tmp_path):
    """Each window equals its frames given as a clip, and its times are those of the frames."""
    video = write_video(tmp_path / "long.mp4", [scene(number) for number in range(60)], NTSC)
    rows, refused = table(
        trained, tmp_path, video, "--window", 1, "--stride", 0.5, "--landmark-settings", EVERY_FRAME
    )
    assert refused.empty
    starts = [0, 12, 24, 36]  # at 0, 0.5, 1 s and what ends with the clip, at 24000/1001 a second
    assert rows["window"].tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(rows["start_s"], np.array(starts) * 1001 / 24000, atol=1e-9)
    np.testing.assert_allclose(rows["end_s"], (np.array(starts) + 24) * 1001 / 24000, atol=1e-9)
    frames = list(Frames(video, "video"))
    folders = [
        write_images(tmp_path / "cut" / str(start), frames[start : start + 24]) for start in starts
    ]
    alone, _ = table(trained, tmp_path, *folders, "--landmark-settings", EVERY_FRAME)
    assert np.array_equal(probabilities(alone), probabilities(rows))
    assert alone["start_s"].isna().all()
    assert len(np.unique(probabilities(rows)[:, 0])) == 4


@pytest.mark.slow
def test_a_turned_video_is_its_upright_frames(trained, tmp_path):
    moving = [np.rot90(scene(number)) for number in range(8)]
    turned = turn(write_video(tmp_path / "turned.mp4", moving))
    upright = list(Frames(turned, "video"))
    assert upright[0].shape == (200, 240, 3)
    folder = write_images(tmp_path / "upright", upright)
    rows, _ = table(trained, tmp_path, turned, folder)
    assert np.array_equal(*probabilities(rows))


def test_of_several_people_the_largest_is_followed_then_the_nearest(trained, dlib_68, tmp_path):
    """The second person, smaller at first and larger at last, changes nothing."""
    half = cv2.resize(FACE, (160, 160), interpolation=cv2.INTER_AREA)
    large = cv2.resize(FACE, (240, 240))

    def picture(number: int, second: bool) -> np.ndarray:
        both = canvas(240, 560)
        both[20:220, 5 * number : 200 + 5 * number] = FACE
        if second and number < 5:
            both[60:220, 400:560] = half
        elif second:
            both[:, 320:] = large
        return both

    alone, together = (
        write_images(tmp_path / str(second), [picture(number, second) for number in range(10)])
        for second in (False, True)
    )
    assert len(dlib_68.detect(picture(2, True))) == len(dlib_68.detect(picture(7, True))) == 2
    rows, _ = table(trained, tmp_path, alone, together, "--landmark-settings", EVERY_FOURTH)
    assert np.array_equal(*probabilities(rows))
    # had the second been there first and larger, it would have been the one
    backwards = write_images(tmp_path / "back", [picture(n, True) for n in reversed(range(10))])
    footage = follow(Clip(backwards, "frames"), dlib_68, 4)
    assert all(face.box[0] > 300 for face in footage.faces)


@pytest.mark.slow
def test_a_window_s_numbers_do_not_depend_on_what_else_is_asked(trained, release, tmp_path):
    one, other = release / "a" / "plain.mp4", release / "c" / "odd.mp4"
    both, _ = table(trained, tmp_path, one, other)
    turned, _ = table(trained, tmp_path, other, one)
    pictures, _ = table(trained, tmp_path, other, "--out-strips", tmp_path / "s")
    assert np.array_equal(probabilities(both), probabilities(turned)[::-1])
    assert np.array_equal(probabilities(turned)[:1], probabilities(pictures))


@pytest.mark.slow
def test_everything_that_is_written_is_the_same_again(trained, release, tmp_path):
    written = []
    for out in (tmp_path / "1", tmp_path / "2"):
        folders = ("--out-overlays", out / "o", "--out-strips", out / "s")
        table(trained, out, release / "b" / "gaps.mp4", *folders, "--window", 0.5)
        files = sorted(path for path in out.rglob("*") if path.is_file())
        written.append(
            {str(f.relative_to(out)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
        )
    assert written[0] == written[1]
    assert sorted(written[0]) == [
        *("o/gaps.mp4", "p.parquet", "p.rejects.parquet", "s/gaps-000.png", "s/gaps-001.png")
    ]


def test_a_pipe_gets_the_table_alone(trained, tmp_path, capsys):
    video = write_video(tmp_path / "clip.mp4", [scene(n) for n in range(10)])
    rows, _ = table(trained, tmp_path, video)
    capsys.readouterr()
    (broken := tmp_path / "broken.mp4").write_bytes(b"no video")
    call("--run", trained, "--out", "-", video, broken)
    said = capsys.readouterr()
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(said.out)), rows, check_dtype=False)
    assert "Predicted: 1 window of 1 clip. Not used: 1 file" in said.err


# --- what cannot be used ------------------------------------------------------------------------


def test_stretches_without_a_face_are_refused_and_listed(trained, tmp_path, capsys):
    frames = [canvas(200, 240) if 10 <= n < 32 else scene(n) for n in range(50)]
    video = write_video(tmp_path / "gone.mp4", frames)
    rows, refused = table(
        trained, tmp_path, video, "--window", 1, "--landmark-settings", EVERY_FRAME
    )
    assert rows["window"].tolist() == [0, 3, 4]
    assert rows["face_share"].tolist() == [1, 0.8, 1]
    assert refused[["window", "start_s", "end_s"]].to_numpy().tolist() == [[1, 1, 2], [2, 2, 3]]
    assert set(refused["reason"]) == {"no face found in any of its frames."}
    printed = capsys.readouterr().out
    assert "5.00 s, a face in 28 of 50 frames" in printed
    assert "2.00 – 3.00 s   not used: no face found" in printed
    assert printed.endswith("Predicted: 3 windows of 1 clip. Not used: 0 files, 2 windows.\n")


def test_a_window_with_too_few_faces_is_refused_as_align_would(trained, tmp_path):
    frames = [canvas(200, 240) if n < 8 else scene(n) for n in range(20)]
    video = write_video(tmp_path / "late.mp4", frames)
    rows, refused = table(
        trained, tmp_path, video, "--window", 1, "--landmark-settings", EVERY_FRAME
    )
    assert rows["window"].tolist() == [1]
    assert refused["reason"].tolist() == [
        "a face in only 20.0% of its frames, less than min_face_share 0.3."
    ]
    more = '{"backend": "dlib", "every": 1, "min_face_share": 0.2}'
    rows, refused = table(trained, tmp_path, video, "--window", 1, "--landmark-settings", more)
    assert rows["face_share"].tolist() == [0.2, 1]
    assert refused.empty


@pytest.fixture
def mixed(tmp_path) -> Path:
    """A folder in which much is wrong."""
    folder = tmp_path / "mixed"
    good = write_video(folder / "2.mp4", [scene(number) for number in range(6)])
    write_video(folder / "10.mp4", [canvas()] * 4)
    (folder / "1.mp4").touch()
    (folder / "3.mp4").write_text("not a video\n")
    (folder / "4.mp4").write_bytes(good.read_bytes()[:2000])
    (folder / "notes.txt").touch()
    return folder


def test_unusable_files_are_named_counted_and_listed(trained, mixed, tmp_path, capsys):
    rows, refused = table(trained, tmp_path, mixed)
    assert rows["file"].tolist() == [str(mixed / "2.mp4")]
    reasons = dict(zip(refused["file"], refused["reason"], strict=True))
    assert list(reasons) == [str(mixed), *(str(mixed / f"{n}.mp4") for n in (1, 3, 4, 10))]
    assert reasons[str(mixed)] == "beside its videos it has what was not used: 1 × .txt."
    assert "empty file" in reasons[str(mixed / "1.mp4")]
    assert "cannot be opened as a video" in reasons[str(mixed / "3.mp4")]
    assert reasons[str(mixed / "10.mp4")] == "no face found in any of the 4 frames."
    assert refused["window"].isna().all()
    printed = capsys.readouterr().out
    for file, reason in reasons.items():
        assert f"{file}: not used: {reason}" in printed
    assert "Predicted: 1 window of 1 clip. Not used: 5 files, 0 windows." in printed


def test_where_nothing_can_be_predicted_the_error_says_why(trained, mixed, tmp_path):
    out = tmp_path / "p.parquet"
    with pytest.raises(UserError, match=r"nothing could be predicted. .*10.mp4: no face found in"):
        call("--run", trained, "--out", out, mixed / "10.mp4")
    assert pd.read_parquet(out).empty
    assert len(pd.read_parquet(tmp_path / "p.rejects.parquet")) == 1
    with pytest.raises(UserError, match=r"1.mp4: .*empty file.*\(and 1 more, see above\)"):
        call("--run", trained, mixed / "1.mp4", mixed / "3.mp4")


def test_tables_have_the_same_columns_and_types_full_or_empty(trained, release, mixed, tmp_path):
    full = table(trained, tmp_path / "full", release / "a" / "plain.mp4", release / "f" / "images")
    with pytest.raises(UserError):
        call("--run", trained, "--out", tmp_path / "p.parquet", mixed / "10.mp4")
    empty = pd.read_parquet(tmp_path / "p.parquet"), pd.read_parquet(tmp_path / "p.rejects.parquet")
    assert full[0].columns.tolist() == empty[0].columns.tolist()
    assert full[0].columns.tolist() == [
        *("file", "window", "start_s", "end_s", "label", "face_share"),
        *(f"probability_{name}" for name in CLASSES),
    ]
    assert full[1].columns.tolist() == empty[1].columns.tolist()
    np.testing.assert_allclose(probabilities(full[0]).sum(1), 1, rtol=1e-12)


def test_a_clip_that_shrinks_while_it_is_read_is_refused(release, dlib_68):
    footage = follow(Clip(release / "f" / "images", "frames"), dlib_68, 4)
    footage.faces.extend(footage.faces[-1:] * 4)
    window = Window(0, 0, 16, 0, 0)
    with pytest.raises(ClipError, match="images has lost frames while it was read"):
        list(cut_faces(footage, [window], 8))


@pytest.mark.parametrize(
    ("sampler", "count", "length"), [("snippets", 35, 12), ("pairs", 16, 4), ("segments", 8, 12)]
)
def test_faces_stand_in_the_order_in_which_the_sampler_chooses_them(
    release, dlib_68, sampler, count, length
):
    footage = follow(Clip(release / "f" / "images", "frames"), dlib_68, 4)
    window = Window(0, 0, length, 0, 0)
    chosen = window.chosen(count, sampler)
    assert (np.diff(chosen) < 0).any() == (sampler != "segments")
    ((_, every),) = cut_faces(footage, [window], length)  # each of its frames, once
    ((_, seen),) = cut_faces(footage, [window], count, sampler)
    assert np.array_equal(seen, every[chosen])


# --- runs and arguments -------------------------------------------------------------------------


def test_a_missing_run_is_answered_with_those_that_there_are(release, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    video = release / "a" / "plain.mp4"
    with pytest.raises(UserError, match=r"results/x: no trained run .* Train one first\."):
        call("--run", "results/x", video)
    for name in ("b", "a"):
        save(tmp_path / "results" / "demo" / "runs" / name / "fold1-seed0")
    with pytest.raises(UserError) as error:
        call("--run", "results/demo/runs/a", video)
    assert str(error.value).splitlines()[1:] == [
        "  results/demo/runs/a/fold1-seed0",
        "  results/demo/runs/b/fold1-seed0",
    ]


def test_runs_of_rendered_faces_say_so(release, trained, tmp_path, capsys):
    video = release / "d" / "few.mp4"
    call("--run", save(tmp_path / "rendered", synthetic=True), video)
    assert "rendered faces: what it says of real ones means nothing" in capsys.readouterr().out
    call("--run", trained, video)
    printed = capsys.readouterr().out
    assert "rendered" not in printed
    assert "trained on mine, fold 1, seed 0: happy, sad, neutral" in printed


def test_a_run_works_from_anywhere_alone(release, tmp_path, monkeypatch):
    """From an empty folder, moved, and without the configuration it started from."""
    made = tmp_path / "made"
    made.mkdir()
    shutil.copy(TINY, made / "tiny.json")
    video = release / "b" / "gaps.mp4"
    monkeypatch.chdir(made)
    run = save(Path("results/mine/runs/key/fold1-seed0"), architecture="tiny.json")
    table(run, made, video)
    expected = (made / "p.parquet").read_bytes()

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = shutil.move(made / run, tmp_path / "moved")
    shutil.rmtree(made)
    monkeypatch.chdir(elsewhere)
    table(moved, tmp_path, video)
    assert (tmp_path / "p.parquet").read_bytes() == expected


@pytest.mark.slow
def test_faces_are_found_with_the_run_s_own_settings(release, trained, tmp_path, monkeypatch):
    """They are followed as in its dataset, unless the command line says otherwise."""
    followed = []
    real = clip_module.follow
    monkeypatch.setattr(
        clip_module, "follow", lambda *words: followed.append(words[2]) or real(*words)
    )
    video = release / "b" / "gaps.mp4"
    rows = {}
    for every in (1, 4):
        landmarks = {"backend": "dlib", "every": every, "min_face_share": 0.05}
        own, _ = table(save(tmp_path / str(every), landmarks=landmarks), tmp_path, video)
        given, _ = table(trained, tmp_path, video, "--landmark-settings", json.dumps(landmarks))
        assert own.equals(given)
        rows[every] = own
    assert followed == [1, 1, 4, 4]
    assert not rows[1].equals(rows[4])
    strict = save(tmp_path / "strict", landmarks={"backend": "dlib", "min_face_share": 1.0})
    with pytest.raises(UserError, match=r"less than min_face_share 1\."):
        table(strict, tmp_path, video)


@pytest.mark.slow
def test_a_run_of_crops_gets_dlib_and_a_note(release, trained, tmp_path, capsys):
    video, note = release / "a" / "plain.mp4", "face crops that came with the release"
    crops = save(tmp_path / "crops", landmarks=None)
    rows, _ = table(crops, tmp_path, video)
    printed = capsys.readouterr().out
    assert note in printed and "--landmark-settings" in printed
    given, _ = table(crops, tmp_path, video, "--landmark-settings", '{"backend": "dlib"}')
    assert rows.equals(given)
    table(trained, tmp_path, video)
    assert note not in capsys.readouterr().out


def test_the_print_out_has_the_top_classes_in_order(trained, release, tmp_path, capsys):
    rows, _ = table(trained, tmp_path, release / "a" / "plain.mp4")
    sure = sorted(zip(-probabilities(rows)[0], CLASSES, strict=True))
    line = "   ".join(f"{name} {-value:.2f}" for value, name in sure)
    assert f"0.00 – 2.00 s   {line}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [("--window", 0), ("--window", -1), ("--window", 2, "--stride", 3), ("--stride", 0)],
)
def test_windows_that_would_miss_frames_are_refused(trained, release, words):
    with pytest.raises(UserError, match="stride no longer than a window"):
        call("--run", trained, release / "d" / "few.mp4", *words)


def test_missing_files_are_told_before_anything_is_read(trained, release, tmp_path, capsys):
    with pytest.raises(UserError, match=r"nowhere.mp4: no such file"):
        call("--run", trained, release / "a" / "plain.mp4", tmp_path / "nowhere.mp4")
    assert capsys.readouterr().out == ""


# --- pictures -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_overlay_and_strips_of_a_long_odd_video(trained, tmp_path):
    frames = [canvas(199, 233) if 10 <= n < 20 else scene(n, 199, 233) for n in range(30)]
    video = write_video(tmp_path / "odd.mp4", frames, NTSC)
    words = ("--window", 0.42, "--out-overlays", tmp_path / "o", "--out-strips", tmp_path / "s")
    rows, refused = table(trained, tmp_path, video, *words, "--landmark-settings", EVERY_FRAME)
    assert rows["window"].tolist() == [0, 2]
    assert refused["window"].tolist() == [1]
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == [
        "odd-000.png",
        "odd-002.png",
    ]
    decoded = list(av.open(str(tmp_path / "o" / "odd.mp4")).decode(video=0))
    assert len(decoded) == 30
    shown = [frame.time for frame in decoded]
    np.testing.assert_allclose(shown, np.arange(30) * 1001 / 24000, atol=1e-4)
    pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in decoded]
    assert pictures[0].shape == (200, 234, 3)
    changed = [np.abs(a[30:190, :233] - b[30:190]) for a, b in zip(pictures, frames, strict=True)]
    assert all(c.max() > 60 for c in changed[:10] + changed[20:])  # a box, and heat
    assert all(c.max() < 30 for c in changed[10:20])


def test_clips_of_one_name_do_not_overwrite_each_other(trained, release, tmp_path):
    clips = [Clip(Path(path), "video") for path in ("a/x.mp4", "b/x.mov", "c/x-2.mp4", "d/x.mp4")]
    assert predict.output_names(clips) == ["x", "x-2", "x-2-2", "x-3"]
    assert predict.output_names([Clip(Path("a/v.2"), "frames")]) == ["v.2"]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--out-overlays", r"plain\.mp4: its overlay would replace this video"),
        ("--out-strips", r"images: pictures would lie among the images of this clip"),
    ],
)
def test_no_output_replaces_what_is_to_be_predicted(trained, release, tmp_path, flag, message):
    shutil.copytree(release, tmp_path / "mine")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    clips = [tmp_path / "mine/a/plain.mp4", tmp_path / "mine/f/images"]
    folder = tmp_path / "link" / ("a" if flag == "--out-overlays" else "f/images")
    before = {path: path.read_bytes() for path in (tmp_path / "mine").rglob("*.*")}
    with pytest.raises(UserError, match=message):
        call("--run", trained, *clips, flag, folder)
    assert before == {path: path.read_bytes() for path in (tmp_path / "mine").rglob("*.*")}


# --- bad input loses nothing --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "name", "message"),
    [
        ("--out", "closed/p.parquet", "closed/p.parquet: you may not write there"),
        ("--out", "a" * 247 + ".parquet", r"a.rejects.parquet: its name is too long"),
        ("--out", "folder", "folder: a folder has that name"),
        ("--out-strips", "closed/s", "closed/s/plain-000.png: you may not write there"),
        ("--out-overlays", "file", "file/plain.mp4: a folder on its way is a file"),
    ],
)
def test_outputs_are_tried_before_the_work(
    flag, name, message, trained, release, tmp_path, monkeypatch
):
    (tmp_path / "closed").mkdir(mode=0o555)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    video = shutil.copy(release / "a" / "plain.mp4", tmp_path)
    monkeypatch.setattr(predict, "open_run", lambda *words, **more: pytest.fail("work began"))
    with unprivileged(tmp_path), pytest.raises(UserError, match=message):
        call("--run", trained, video, flag, tmp_path / name)


@pytest.mark.slow
def test_odd_names_and_closed_files_lose_no_other_s_results(trained, tmp_path, monkeypatch, capsys):
    """Not UTF-8, 255 bytes long, a colon, a line break; a folder and a path that are refused."""
    (tmp_path / "videos").mkdir()
    names = [
        *(os.fsdecode(b"caf\xe9.mp4"), "a:b.mp4", "two\nlines.mp4", "é" * 125 + "x.mp4"),
        "n" * 251 + ".mp4",
    ]
    video = write_video(tmp_path / "one.mp4", [scene(number) for number in range(6)])
    for name in names:
        shutil.copy(video, tmp_path / "videos" / name)
    write_images(tmp_path / "videos" / "shut", [scene(0)]).chmod(0)
    (tmp_path / "run").mkdir()
    shutil.copy(trained / "checkpoint.safetensors", tmp_path / "run")
    monkeypatch.chdir(tmp_path / "videos")
    out = tmp_path / "out"
    outputs = ("--out", out / "p.parquet", "--out-strips", out / "s", "--out-overlays", out / "o")
    words = ["--run", tmp_path / "run", *outputs, "shut", "q" * 300, *names]
    call("--run", trained, video)  # imports what another user may not
    capsys.readouterr()
    with unprivileged(tmp_path):
        call(*words)
    rows, refused = (pd.read_parquet(out / f"p{kind}.parquet") for kind in ("", ".rejects"))
    assert rows["file"].tolist() == ["caf\\xe9.mp4", *names[1:]]
    assert len(np.unique(probabilities(rows), axis=0)) == 1
    assert refused["file"].tolist() == ["shut", "q" * 300]
    assert refused["reason"][0] == "shut cannot be read (Permission denied)."
    assert refused["reason"][1].endswith("… cannot be read (File name too long).")
    printed = capsys.readouterr().out
    assert "\ncaf\\xe9.mp4: 0.60 s" in printed and "Predicted: 5 windows of 5 clips." in printed
    assert len(list((out / "s").iterdir())) == len(list((out / "o").iterdir())) == 5
    (tmp_path / "videos" / "shut").chmod(0o700)


def test_what_was_found_is_kept_when_the_disk_fills(trained, release, tmp_path, monkeypatch):
    def full(path, *words):
        if path.stem.startswith("odd"):
            raise UserError("the disk is full")

    monkeypatch.setattr(strip, "write_strip", full)
    clips = [release / "a" / "plain.mp4", release / "c" / "odd.mp4", release / "d" / "few.mp4"]
    with pytest.raises(UserError, match="full"):
        table(trained, tmp_path, *clips, "--out-strips", tmp_path / "s")
    assert pd.read_parquet(tmp_path / "p.parquet")["file"].tolist() == [str(clips[0])]


def test_a_run_that_may_not_be_read_is_not_called_missing(release, tmp_path):
    run = save(tmp_path / "run")
    (run / "checkpoint.safetensors").chmod(0)
    with unprivileged(tmp_path), pytest.raises(UserError, match=r"you may not read this file"):
        call("--run", run, release / "a" / "plain.mp4")


def test_long_work_shows_life(trained, release, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    video = release / "a" / "plain.mp4"
    table(trained, tmp_path, video, "--out-overlays", tmp_path / "o")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 * 20 + 2 + 1  # frames; windows, twice; the clip
    pattern = r"predict: [01] of 1 clips, \d+ frames, [\d.]+ frames/s, \d\d:\d\d left"
    assert all(re.fullmatch(pattern, line) for line in lines)
    assert lines[-1].startswith("predict: 1 of 1 clips, 60 frames") and "00:00 left" in lines[-1]


@pytest.mark.slow
def test_a_terminal_that_lacks_letters_ends_nothing(trained, tmp_path):
    """The print-out has a dash between times, and file names have what they like."""
    (tmp_path / "videos").mkdir()
    for name in ("恐れ.mp4", os.fsdecode(b"caf\xe9.mp4")):
        (tmp_path / "videos" / name).touch()
    write_video(tmp_path / "videos" / "z.mp4", [scene(number) for number in range(6)])
    command = [sys.executable, "-m", "dfer.predict", "--run", trained, tmp_path / "videos"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    printed = done.stdout.decode("ascii")
    assert "\\u6050\\u308c.mp4: not used: " in printed and "caf\\xe9.mp4: not used: " in printed
    assert "0.00 \\u2013 0.60 s" in printed
