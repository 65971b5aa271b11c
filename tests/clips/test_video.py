"""Frames of videos and image folders: decoders agree, time order, rotation, damage, memory."""

import multiprocessing
import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from dfer.clips import video
from dfer.clips.images import natural_key
from dfer.clips.video import ClipError, Frames, av_frames, decord_frames

needs_decord = pytest.mark.skipif(video.find_spec("decord") is None, reason="no decord here")


def picture(number: int, height: int = 120, width: int = 160) -> np.ndarray:
    """A smooth picture whose brightest spot moves along with the frame's number."""
    y, x = np.mgrid[:height, :width]
    spot = np.exp(-((x - 10 - 3 * number) ** 2 + (y - height / 3) ** 2) / 200)
    planes = (40 + 200 * spot, 200 * y / height, 200 * x / width)
    return np.stack(planes, -1).astype(np.uint8)


def spot_of(frame: np.ndarray) -> float:
    """The `number` that `picture` made `frame` from (upright frames only)."""
    return (float(frame[..., 0].astype(float).max(0).argmax()) - 10) / 3


def write_video(
    path: Path,
    frames: list[np.ndarray],
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rate: int = 25,
    times: list[int] | None = None,
    **options: str,
) -> Path:
    """Encode frames; the index comes before the data, so that a file can be cut off."""
    faststart = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=faststart) as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        for number, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            if times is not None:
                frame.pts = times[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """40 frames, H.264 with B-frames, a key frame every 12."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_video(path, [picture(i) for i in range(40)], g="12")


def assert_same(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    assert len(one) == len(other)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


KINDS = {
    "h264": ("a.mp4", {}),
    "h264, odd width": ("a.mp4", {"size": (121, 157), "pixels": "yuv444p"}),
    "h264, 60 fps, no B-frames": ("a.mp4", {"rate": 60, "bf": "0"}),
    "h264, variable rate": ("a.mp4", {"times": [0, 1, 2, 7, 8, 20, 21, 22, 23, 40, 41, 45]}),
    "h264 in Matroska": ("a.mkv", {}),
    "VP8": ("a.webm", {"codec": "libvpx"}),
    "motion JPEG": ("a.avi", {"codec": "mjpeg", "pixels": "yuvj420p", "b": "9M"}),
}


@needs_decord
@pytest.mark.parametrize("kind", KINDS)
def test_both_decoders_give_equal_frames_in_the_order_of_time(tmp_path, kind):
    name, options = KINDS[kind]
    options = dict(options)
    size = options.pop("size", (120, 160))
    source = [picture(i, *size) for i in range(12)]
    path = write_video(tmp_path / name, source, **options)
    frames = list(decord_frames(path))
    assert_same(frames, list(av_frames(path)))
    assert_same(frames, list(Frames(path, "video")))
    assert len(frames) == 12
    assert frames[0].shape == source[0].shape
    for i, frame in enumerate(frames):
        assert abs(spot_of(frame) - i) < 1
        assert np.abs(frame.astype(int) - source[i]).mean() < 6


@needs_decord
def test_mpeg4_frames_differ_by_rounding_alone(tmp_path):
    path = write_video(tmp_path / "a.avi", [picture(i) for i in range(12)], codec="mpeg4")
    one, other = (np.stack(list(read(path))).astype(int) for read in (decord_frames, av_frames))
    assert np.abs(one - other).max() <= 2


def turned(source: Path, path: Path, degrees: int) -> Path:
    """A copy of an MP4 that asks players to turn it clockwise, as phones write it."""
    data = bytearray(source.read_bytes())
    matrix = data.find(b"tkhd") + 4 + 40
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    one = 0x10000
    data[matrix : matrix + 36] = struct.pack(
        ">9i", cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 0x40000000
    )
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("read", [pytest.param(decord_frames, marks=needs_decord), av_frames])
def test_rotation_of_phone_videos_is_applied(clip, tmp_path, degrees, read):
    path = turned(clip, tmp_path / "turned.mp4", degrees)
    upright = [np.rot90(frame, -degrees // 90) for frame in av_frames(clip)]
    assert_same(list(read(path)), upright)


def trimmed(source: Path, path: Path, hidden: int) -> Path:
    """A copy of an MP4 whose edit list hides its first frames, as phones trim a video."""
    data = bytearray(source.read_bytes())
    at = data.find(b"elst") + 8
    count, duration, start, speed = struct.unpack(">IIiI", data[at : at + 16])
    assert count == 1
    data[at : at + 16] = struct.pack(
        ">IIiI", 1, duration - hidden * 40, start + hidden * 512, speed
    )
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("hidden", [5, 15])
@pytest.mark.parametrize("decord", [True, False])
def test_trimmed_video_has_the_frames_that_players_show(
    clip, tmp_path, monkeypatch, hidden, decord
):
    # decord alone gives the last frame again and again for each one that is hidden.
    if not decord:
        monkeypatch.setattr(video, "find_spec", lambda name: None)
    frames = Frames(trimmed(clip, tmp_path / "trimmed.mp4", hidden), "video")
    assert_same(list(frames), list(av_frames(clip))[hidden:])
    assert frames.lost == 0


@needs_decord
@pytest.mark.parametrize("at", [0, 16])
@pytest.mark.parametrize("trouble", ["hangs", "crashes"])
def test_when_decord_fails_the_other_decoder_goes_on(clip, monkeypatch, trouble, at):
    import decord

    answer = decord.VideoReader.get_batch

    def get_batch(self, indices):
        if indices[0] >= at:
            os.kill(os.getpid(), signal.SIGKILL) if trouble == "crashes" else time.sleep(60)
        return answer(self, indices)

    monkeypatch.setattr(decord.VideoReader, "get_batch", get_batch)
    monkeypatch.setattr(video, "TIME_LIMIT", 0.5)
    start = time.monotonic()
    frames = list(Frames(clip, "video"))
    assert time.monotonic() - start < 10
    assert_same(frames, list(av_frames(clip)))
    assert multiprocessing.active_children() == []


@needs_decord
def test_no_process_is_left_when_an_iteration_is_given_up(clip):
    frames = iter(Frames(clip, "video"))
    next(frames)
    assert len(multiprocessing.active_children()) == 1
    frames.close()
    assert multiprocessing.active_children() == []


@needs_decord
def test_no_process_outlives_a_reader_that_is_killed(clip):
    """Killed between two frames, while the decoder waits to send the next one."""
    program = (
        "import multiprocessing, os, signal, sys, time; from pathlib import Path\n"
        "from dfer.clips.video import Frames\n"
        "next(frames := iter(Frames(Path(sys.argv[1]), 'video')))\n"
        "print(multiprocessing.active_children()[0].pid, flush=True); time.sleep(0.5)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", program, str(clip)]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    decoder, until = Path(f"/proc/{int(printed)}/stat"), time.monotonic() + 10
    while decoder.exists() and ") Z " not in decoder.read_text():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture(params=["decord", "PyAV"])
def either_decoder(request, monkeypatch):
    """Run a test with decord, and as if it were not installed."""
    if request.param == "PyAV":
        monkeypatch.setattr(video, "find_spec", lambda name: None)


def reason(path: Path, media: str = "video") -> str:
    with pytest.raises(ClipError) as error:
        list(Frames(path, media))
    assert path.name in str(error.value)
    return str(error.value)


@pytest.mark.usefixtures("either_decoder")
@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.5, r"only \d+ of 40 frames"), (0.05, "cannot be opened|no video stream")],
)
def test_video_that_was_cut_off_is_rejected_with_its_count(clip, tmp_path, share, expected):
    data = clip.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: int(len(data) * share)])
    assert re.search(expected, reason(path))


@pytest.mark.usefixtures("either_decoder")
def test_cut_off_video_without_a_frame_count_per_packet_is_rejected(tmp_path):
    # AVI states its frames in the header; both decoders stop early without a word.
    path = write_video(tmp_path / "a.avi", [picture(i) for i in range(40)], codec="mpeg4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    assert "can be decoded" in reason(path)


def damage(source: Path, path: Path, packets: range) -> Path:
    """A copy in which packets (in the order of decoding) hold nothing that can be decoded."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(p for p in old.demux(video=0) if p.size):
            out = av.Packet(b"\0\0\0\x05\x06\x05\x01\x00\x80") if number in packets else packet
            out.pts, out.dts, out.duration = packet.pts, packet.dts, packet.duration
            out.time_base, out.is_keyframe = packet.time_base, packet.is_keyframe
            out.stream = stream
            new.mux(out)
    return path


@pytest.mark.usefixtures("either_decoder")
def test_a_few_lost_frames_are_counted_and_many_are_a_reason(tmp_path):
    source = write_video(tmp_path / "a.mp4", [picture(i) for i in range(40)], bf="0")
    frames = Frames(damage(source, tmp_path / "b.mp4", range(37, 40)), "video")
    assert len(list(frames)) == 37
    assert frames.lost == 3
    assert "only 30 of 40 frames" in reason(damage(source, tmp_path / "c.mp4", range(30, 40)))


@pytest.mark.usefixtures("either_decoder")
def test_what_is_no_video_is_rejected_by_name(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "text.avi").write_text("not a video at all\n" * 50)
    (tmp_path / "folder.mp4").mkdir()
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        silence.sample_rate = 16000
        container.mux(stream.encode(silence))
        container.mux(stream.encode())
    assert "empty file" in reason(tmp_path / "empty.mp4")
    assert "cannot be opened as a video" in reason(tmp_path / "noise.mp4")
    assert "cannot be opened as a video" in reason(tmp_path / "text.avi")
    assert "is a folder, a video was expected" in reason(tmp_path / "folder.mp4")
    assert "no video stream" in reason(tmp_path / "sound.mp4")
    assert "does not exist" in reason(tmp_path / "nowhere.mp4")


@pytest.mark.usefixtures("either_decoder")
@pytest.mark.parametrize("seed", range(12))
def test_no_damage_has_another_outcome_than_frames_or_a_reason(tmp_path, monkeypatch, seed):
    """Bytes changed, left out, or cut off anywhere; some such files make decord hang or crash."""
    monkeypatch.setattr(video, "TIME_LIMIT", 2)
    rng = np.random.default_rng(seed)
    name, codec = (("a.mp4", "libx264"), ("a.webm", "libvpx"), ("a.avi", "mpeg4"))[seed % 3]
    path = write_video(tmp_path / name, [picture(i) for i in range(16)], codec)
    data = bytearray(path.read_bytes())
    if seed % 4 == 0:
        del data[rng.integers(len(data)) :]
    elif seed % 4 == 1:
        start = rng.integers(len(data))
        del data[start : start + rng.integers(1, 2000)]
    else:
        for place in rng.integers(len(data), size=rng.integers(1, 100)):
            data[place] = rng.integers(256)
    path.write_bytes(data)
    frames = Frames(path, "video")
    try:
        assert 1 <= len(list(frames)) <= 16
    except ClipError as error:
        assert path.name in str(error)


@pytest.mark.usefixtures("either_decoder")
@pytest.mark.parametrize(
    ("field", "byte", "expected"), [(b"VideoHandler", 0xB8, None), (b"avc1", 0x00, "not know")]
)
def test_damaged_header_text_is_no_crash(clip, tmp_path, field, byte, expected):
    data = bytearray(clip.read_bytes())
    data[data.find(field, data.find(b"moov")) + 1] = byte
    path = tmp_path / "header.mp4"
    path.write_bytes(data)
    if expected is None:
        assert_same(list(Frames(path, "video")), list(av_frames(clip)))
    else:
        assert expected in reason(path)


def test_a_long_video_is_not_held_in_memory(tmp_path):
    # 900 frames of 480×270 are 350 MB; one batch of them is 3 MB.
    frame = cv2.resize(picture(0), (480, 270))
    path = write_video(tmp_path / "long.mp4", [frame] * 900, preset="ultrafast")
    program = (
        "import resource, sys; from dfer.clips.video import Frames; import decord, av, PIL.Image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "n = sum(1 for _ in Frames(sys.argv[1], 'video'))\n"
        "print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    out = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    ).stdout.split()
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    assert int(out[0]) == 900
    assert int(out[1]) * unit < 100e6


def write_folder(folder: Path, names: list[str]) -> Path:
    """Images whose brightness is their place in `names`."""
    folder.mkdir()
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((24, 32, 3), 10 + 5 * number, np.uint8))
    return folder


@pytest.mark.parametrize(
    "names",
    [
        [f"{i}.jpg" for i in range(1, 17)],
        ["1_2.jpg", "1_10.jpg", "2_1.jpg", "10_0.jpg"],
        ["frame1.png", "frame02.png", "frame3.PNG", "Frame10.png"],
        [f"{i:05d}.jpg" for i in range(98, 103)],
    ],
)
def test_images_come_in_natural_order(tmp_path, names):
    folder = write_folder(tmp_path / "clip", names)
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "._1.jpg").write_bytes(b"not an image: what macOS leaves on foreign disks")
    (folder / "labels.txt").write_text("happy")
    brightness = [int(frame.mean().round()) for frame in Frames(folder, "frames")]
    assert np.abs(np.diff([10 + 5 * i for i in range(len(names))]) - np.diff(brightness)).max() <= 1
    assert len(brightness) == len(names)


def test_natural_order_is_total_and_does_not_mind_leading_zeros():
    names = ["a10b2", "a2b10", "a2b9", "a02b9", "b", "", "10", "9"]
    ordered = sorted(names, key=natural_key)
    assert ordered == ["", "9", "10", "a02b9", "a2b9", "a2b10", "a10b2", "b"]


def test_images_of_any_mode_become_upright_rgb(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    colour = Image.fromarray(picture(3))
    colour.save(folder / "1.png")
    colour.convert("L").save(folder / "2.png")
    colour.convert("P").save(folder / "3.png")
    colour.convert("RGBA").save(folder / "4.png")
    colour.convert("CMYK").save(folder / "5.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn clockwise to see it
    colour.save(folder / "6.jpg", exif=exif, quality=100, subsampling=0)
    frames = list(Frames(folder, "frames"))
    assert all(frame.dtype == np.uint8 and frame.shape[2] == 3 for frame in frames)
    assert np.array_equal(frames[0], picture(3))
    assert np.array_equal(frames[1][..., 0], np.array(colour.convert("L")))
    assert np.array_equal(frames[3], picture(3))
    assert np.abs(frames[5].astype(int) - np.rot90(picture(3), -1)).mean() < 2


def test_damaged_images_are_counted_and_many_are_a_reason(tmp_path):
    folder = write_folder(tmp_path / "clip", [f"{i}.jpg" for i in range(20)])
    for number, size in ((3, 0), (7, 300)):  # empty; cut off
        file = folder / f"{number}.jpg"
        file.write_bytes(file.read_bytes()[:size])
    frames = Frames(folder, "frames")
    assert len(list(frames)) == 18
    assert frames.lost == 2
    assert len(list(frames)) == 18
    assert frames.lost == 2  # of this iteration, not of both
    (folder / "11.jpg").write_bytes(b"\xff\xd8 no image")
    assert "only 17 of 20 frames" in reason(folder, "frames")


def test_folders_without_images_are_rejected(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "1.jpg").touch()
    (tmp_path / "file").touch()
    assert "has no images" in reason(tmp_path / "empty", "frames")
    assert "no frame can be decoded" in reason(tmp_path / "broken", "frames")
    assert "a folder was expected" in reason(tmp_path / "file", "frames")
