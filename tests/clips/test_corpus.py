"""Numbered videos of many kinds: order, count, colours, shape, times and loss, by both decoders."""

import dataclasses
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numbered import (
    HEIGHT,
    PATCHES,
    WIDTH,
    encode,
    field_coded,
    number_of,
    numbered,
    patches_of,
    remux,
)

from dfer.clips import video
from dfer.clips.decoder import expected_of_fields, is_shown, plan_video
from dfer.clips.media import VIDEO_SUFFIXES
from dfer.clips.shown import tone_mapped
from dfer.clips.video import ClipError, Frames
from dfer.predict.footage import frame_times

COUNT = 24
SOURCE = [numbered(number) for number in range(COUNT)]
NTSC = Fraction(30000, 1001)
TOLERANCE = 0  # of 255: what decord and PyAV may differ by, in any value of any frame
HAS_DECORD = video.find_spec("decord") is not None


@dataclass(frozen=True)
class Case:
    """A kind of video.

    Attributes:
        write: makes it at a path.
        name: of the file.
        decoder: who is to decode it.
        numbers: of its frames as they are to come.
        size: (height, width) as shown.
        notes: what is to be told of it.
        rate: frames a second; None where times are the case's own.
        colours: of 255, how far the patches may be off.
    """

    write: Callable[[Path], object]
    name: str = "a.mp4"
    decoder: str = "PyAV"
    numbers: range = range(COUNT)
    size: tuple[int, int] = (HEIGHT, WIDTH)
    notes: list[str] = field(default_factory=list)
    rate: Fraction | int | None = 25
    colours: float = 8


def plain(frames=SOURCE, **options) -> Callable[[Path], object]:
    return partial(encode, frames=frames, **{"crf": "12", **options})


def other(codec: str, frames=SOURCE, **options) -> Callable[[Path], object]:
    return partial(encode, frames=frames, codec=codec, **{"b": "8M", **options})


def av1(path: Path) -> None:
    """SVT-AV1 makes the thread that calls it a real-time one where it may, and leaves it so."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    encode(path, frames=SOURCE, codec="libsvtav1", crf="20")
    os.sched_setscheduler(0, *before)


def stored(degrees: int, hflip: bool, vflip: bool) -> list[np.ndarray]:
    """The frames that this turn (anticlockwise) and these flips show upright."""
    flips = [frame[:: -1 if vflip else 1, :: -1 if hflip else 1] for frame in SOURCE]
    return [np.ascontiguousarray(np.rot90(frame, -degrees // 90)) for frame in flips]


def turned(degrees: int, hflip: bool = False, vflip: bool = False) -> Callable[[Path], object]:
    return plain(
        stored(degrees, hflip, vflip),
        prepare=lambda stream: stream.set_display_rotation(degrees, hflip, vflip),
    )


def wide_pixels(aspect: Fraction, width: int, height: int, **options) -> Callable[[Path], object]:
    from numbered import cv2

    frames = [cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in SOURCE]
    return plain(frames, context={"sample_aspect_ratio": aspect}, **options)


def hdr(frame: np.ndarray, transfer: str) -> np.ndarray:
    """A frame as HDR whose white is that of paper: uint16 RGB, primaries of BT.2020."""
    to_2020 = np.array(
        [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.088, 0.8956]]
    )
    nits = 203 * (frame / 255.0) ** 2.4 @ to_2020.T
    if transfer == "PQ":
        power = (nits / 10000) ** 0.1593017578125
        value = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    else:
        luma = np.maximum(nits @ [0.2627, 0.678, 0.0593], 1e-9)[..., None] / 1000
        scene = nits / 1000 * luma ** (1 / 1.2 - 1)
        log = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        value = np.where(scene <= 1 / 12, np.sqrt(3 * scene), log)
    return (value.clip(0, 1) * 65535).round().astype(np.uint16)


def high_range(transfer: str, codec: str = "libx264") -> Callable[[Path], object]:
    number = {"PQ": 16, "HLG": 18}[transfer]
    return partial(
        encode,
        frames=[hdr(frame, transfer) for frame in SOURCE],
        codec=codec,
        pixels="yuv420p10le",
        context={"colorspace": 9, "color_trc": number, "color_primaries": 9},
        crf="8",
        **({"x265-params": "log-level=error"} if codec == "libx265" else {}),
    )


def with_hidden_pictures(path: Path) -> None:
    """VP8 with a picture before each key frame that is decoded and not shown."""
    whole = encode(path.with_name("whole.webm"), SOURCE, "libvpx", g="8", b="8M")
    with av.open(str(whole)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if not packet.size:
                continue
            packets = [packet]
            if packet.is_keyframe and packet.pts:
                data = bytearray(bytes(packet))
                data[0] &= ~0x10
                hidden = av.Packet(bytes(data))
                hidden.pts = hidden.dts = packet.pts - 1
                hidden.time_base, hidden.is_keyframe = packet.time_base, True
                packets = [hidden, packet]
            for one in packets:
                one.stream = stream
                new.mux(one)


def two_streams(path: Path, first: bool) -> None:
    """The numbered stream and a smaller one, longer and of another rate."""
    blue = np.zeros((48, 64, 3), np.uint8) + np.array([0, 0, 200], np.uint8)
    small = encode(path.with_name("small.mp4"), [blue] * 50, rate=10)
    large = encode(path.with_name("large.mp4"), SOURCE, crf="12")
    remux(path, *((large, small) if first else (small, large)))


def with_cover(path: Path) -> None:
    """A picture that is attached, larger than the video."""
    cover = encode(
        path.with_name("cover.mp4"),
        [np.full((512, 512, 3), 99, np.uint8)],
        "mjpeg",
        "yuvj420p",
    )
    large = encode(path.with_name("large.mp4"), SOURCE, crf="12")

    def attach(streams) -> None:
        streams[0].disposition = av.stream.Disposition.attached_pic

    remux(path, cover, large, prepare=attach)


FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}
INTERLACED = {"x264-params": "interlaced=1:tff=1"}
BLURAY = {"mpegts_m2ts_mode": "1"}
QUIET = {"x265-params": "log-level=error"}

TURNED = ["turned as its display matrix says"]
TWO_STREAMS = ["the largest of 2 video streams"]
DECORD = {
    "H.264": Case(plain()),
    "H.264 in MOV": Case(plain(), "a.mov"),
    "H.264 in 3GP": Case(plain(), "a.3gp"),
    "no B-frames, a key frame each 5": Case(plain(bf="0", g="5")),
    "one key frame": Case(plain(g="250")),
    "open groups of pictures": Case(plain(g="8", **{"x264-params": "open-gop=1:bframes=3"})),
    "intra refresh": Case(plain(g="8", **{"x264-params": "intra-refresh=1"})),
    "full range": Case(plain(pixels="yuvj420p", context={"color_range": 2})),
    "4:2:2": Case(plain(pixels="yuv422p")),
    "4:4:4": Case(plain(pixels="yuv444p")),
    "BT.709": Case(plain(context={"colorspace": 1, "color_trc": 1, "color_primaries": 1})),
    "BT.601": Case(plain(context={"colorspace": 6})),
    "NTSC": Case(plain(rate=NTSC), rate=NTSC),
    "60 a second": Case(plain(rate=60), rate=60),
    "with sound": Case(plain(sound=0.9), "a.mov"),
    "fragments": Case(plain(g="8", muxer=FRAGMENTS)),
    "variable rate": Case(plain(times=[n + n // 5 * 7 for n in range(COUNT)]), rate=None),
    "turned by 90": Case(turned(90), notes=TURNED),
    "turned by 180": Case(turned(180), notes=TURNED),
    "turned by 270": Case(turned(270), notes=TURNED),
}

MIRRORED = ["mirrored as its display matrix says"]
OTHERS = {
    "HEVC": Case(other("libx265", **QUIET)),
    "MPEG-4 in MP4": Case(other("mpeg4")),
    "AV1": Case(av1, colours=12),
    "10 bits": Case(plain(pixels="yuv420p10le")),
    "interlaced MP4": Case(plain(**INTERLACED), notes=["deinterlaced"]),
    "mirrored": Case(turned(0, hflip=True), notes=MIRRORED),
    "upside down and mirrored": Case(turned(0, vflip=True), notes=MIRRORED),
    "turned by 90 and mirrored": Case(turned(90, hflip=True), notes=MIRRORED),
    "turned by 270 and mirrored": Case(turned(270, hflip=True), notes=MIRRORED),
    "MOV, mirrored": Case(turned(0, hflip=True), "a.mov", notes=MIRRORED),
    "HEVC, turned": Case(
        other(
            "libx265",
            stored(90, False, False),
            prepare=lambda stream: stream.set_display_rotation(90),
            **QUIET,
        ),
        notes=TURNED,
    ),
    "Matroska": Case(plain(), "a.mkv"),
    "Matroska, turned by 90": Case(turned(90), "a.mkv", notes=TURNED),
    "Matroska, turned by 180": Case(turned(180), "a.mkv", notes=TURNED),
    "Matroska, turned by 270": Case(turned(270), "a.mkv", notes=TURNED),
    "Matroska, longer sound": Case(plain(sound=3.0), "a.mkv"),
    "Matroska, shorter sound": Case(plain(sound=0.3), "a.mkv"),
    "FFV1": Case(partial(encode, frames=SOURCE, codec="ffv1"), "a.mkv"),
    "wide pixels": Case(
        wide_pixels(Fraction(64, 45), 112, 128),
        size=(128, 159),
        notes=["pixels of 64:45 made square"],
    ),
    "high pixels": Case(wide_pixels(Fraction(1, 2), 160, 64), notes=["pixels of 1:2 made square"]),
    "Matroska, wide pixels": Case(
        wide_pixels(Fraction(2), 80, 128), "a.mkv", notes=["pixels of 2:1 made square"]
    ),
    "MPEG-TS, wide pixels": Case(
        wide_pixels(Fraction(2), 80, 128), "a.ts", notes=["pixels of 2:1 made square"]
    ),
    "wide pixels, turned": Case(
        partial(
            encode,
            frames=[np.rot90(f)[:, ::2].copy() for f in SOURCE],
            context={"sample_aspect_ratio": Fraction(2)},
            prepare=lambda stream: stream.set_display_rotation(270),
            crf="8",
        ),
        notes=[*TURNED, "pixels of 2:1 made square"],
    ),
    "all but square pixels": Case(wide_pixels(Fraction(4319, 4320), 160, 128), decoder="decord"),
    "HLG": Case(high_range("HLG"), notes=["tone-mapped from HLG"]),
    "HLG, HEVC in MOV": Case(high_range("HLG", "libx265"), "a.mov", notes=["tone-mapped from HLG"]),
    "PQ": Case(high_range("PQ"), notes=["tone-mapped from PQ"]),
    "PQ in Matroska": Case(high_range("PQ"), "a.mkv", notes=["tone-mapped from PQ"]),
    "VP8": Case(other("libvpx"), "a.webm"),
    "VP8 with hidden pictures": Case(with_hidden_pictures, "a.webm"),
    "VP9": Case(other("libvpx-vp9"), "a.webm"),
    "VP9 with hidden pictures": Case(
        other("libvpx-vp9", **{"auto-alt-ref": "1", "lag-in-frames": "16"}), "a.webm"
    ),
    "two streams, the larger first": Case(partial(two_streams, first=True), notes=TWO_STREAMS),
    "two streams, the larger last": Case(partial(two_streams, first=False), notes=TWO_STREAMS),
    "Matroska, two streams": Case(partial(two_streams, first=False), "a.mkv", notes=TWO_STREAMS),
    "attached cover": Case(with_cover, notes=TWO_STREAMS),
    "MPEG-TS, a key frame each 12": Case(plain(g="12"), "a.ts"),
    "MPEG-TS, one key frame": Case(plain(g="250"), "a.ts"),
    "MTS with sound": Case(plain(g="8", container="mpegts", sound=1.0), "a.mts"),
    "M2TS": Case(plain(g="8", container="mpegts", muxer=BLURAY), "a.m2ts"),
    "HEVC in MPEG-TS": Case(other("libx265", g="8", **QUIET), "a.ts"),
    "MPEG-2 in MPEG-TS": Case(other("mpeg2video", g="8"), "a.ts"),
    "coded as fields": Case(
        partial(field_coded, count=COUNT), "a.mts", notes=["deinterlaced"], colours=5
    ),
    "interlaced MPEG-TS": Case(plain(g="8", **INTERLACED), "a.ts", notes=["deinterlaced"]),
    "MPEG-1": Case(other("mpeg1video", g="8"), "a.mpg"),
    "MPEG-2": Case(other("mpeg2video", g="8"), "a.mpeg"),
    "MPEG-2, NTSC": Case(other("mpeg2video", g="8", rate=NTSC), "a.mpg", rate=NTSC),
    "DVD": Case(other("mpeg2video", g="8", container="vob"), "a.vob"),
    "MPEG-2, interlaced": Case(
        other("mpeg2video", g="8", flags="+ildct+ilme"), "a.mpg", notes=["deinterlaced"]
    ),
    "MPEG-4 in AVI": Case(other("mpeg4"), "a.avi"),
    "motion JPEG in AVI": Case(other("mjpeg", pixels="yuvj420p"), "a.avi"),
    "H.264 in AVI": Case(plain(bf="0"), "a.avi"),
    "Flash": Case(plain(), "a.flv"),
    "Windows Media": Case(other("wmv2", container="asf"), "a.wmv"),
    "Windows Media, longer sound": Case(
        other("wmv2", container="asf", sound=3.0), "a.wmv", rate=None
    ),
    "MPEG-TS, longer sound": Case(plain(g="8", sound=3.0), "a.ts"),
    "MPEG-2, longer sound": Case(other("mpeg2video", g="8", sound=3.0), "a.mpg"),
    "MOV, longer sound": Case(plain(sound=3.0), "a.mov", decoder="decord"),
    "AVI, longer sound": Case(other("mpeg4", sound=3.0), "a.avi"),
    "ProRes": Case(
        partial(encode, frames=SOURCE, codec="prores_ks", pixels="yuv422p10le"), "a.mov"
    ),
}
CASES = {name: dataclasses.replace(case, decoder="decord") for name, case in DECORD.items()}
CASES |= OTHERS


def read(path: Path) -> tuple[list[np.ndarray], Frames]:
    frames = Frames(path, "video")
    return list(frames), frames


def test_every_kind_of_file_that_is_decoded_is_found_in_a_folder_too():
    assert {Path(case.name).suffix for case in CASES.values()} <= {*VIDEO_SUFFIXES}


@pytest.mark.parametrize("kind", CASES)
def test_frames_come_as_they_are_shown(tmp_path, monkeypatch, kind):
    case = CASES[kind]
    path = tmp_path / case.name
    case.write(path)
    shown, frames = read(path)
    assert [number_of(frame) for frame in shown] == list(case.numbers)
    assert frames.lost == 0
    assert frames.notes == case.notes
    assert {frame.shape[:2] for frame in shown} == {case.size}
    for frame in (shown[0], shown[-1]):
        assert np.abs(patches_of(frame) - PATCHES).max() <= case.colours
    assert plan_video(path).decoder == case.decoder
    times = frame_times(path, len(shown), frames.stamps)
    if case.rate is not None:
        exact = np.arange(len(shown) + 1) / float(case.rate)
        np.testing.assert_allclose(times[:-1], exact[:-1], atol=1.1e-3)
        np.testing.assert_allclose(times[-1], exact[-1], atol=2e-3)
    if case.decoder == "decord" and HAS_DECORD:
        assert frames.decoder == "decord"
        monkeypatch.setattr(video, "find_spec", lambda name: None)
        others, by_av = read(path)
        assert by_av.decoder == "PyAV"
        assert len(others) == len(shown)
        for one, two in zip(shown, others, strict=True):
            assert np.abs(one.astype(int) - two).max() <= TOLERANCE
        np.testing.assert_allclose(frame_times(path, len(shown), by_av.stamps), times, atol=1e-9)
    else:
        assert frames.decoder == "PyAV"


def test_two_frames_with_one_time_cost_the_others_none_of_theirs(tmp_path):
    ticks = [400 * n for n in range(COUNT)]
    ticks[7] = ticks[6] + 3  # tenths of a millisecond, of which Matroska knows none
    path = encode(tmp_path / "a.mkv", SOURCE, rate=10_000, times=ticks, crf="12")
    shown, frames = read(path)
    assert frames.stamps[6] == frames.stamps[7]
    assert [number_of(frame) for frame in shown] == list(range(COUNT))
    exact = np.arange(COUNT) / 25  # the seventh is parted from the sixth, the others stay
    np.testing.assert_allclose(frame_times(path, COUNT, frames.stamps)[:-1], exact, atol=1e-3)
    np.testing.assert_allclose(frame_times(path, COUNT)[:-1], exact, atol=1e-3)


@pytest.mark.skipif(not HAS_DECORD, reason="no decord here")
def test_decoders_that_see_other_pictures_are_not_spliced(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.mp4", SOURCE, crf="12")
    right = list(video.decord_frames(path))

    def lagging(path):
        yield from right[:5] + right[4:7]  # one twice, as decord does where it lost one
        raise video.DecordError("stopped")

    monkeypatch.setattr(video, "decord_frames", lagging)
    with pytest.raises(ClipError, match="decord stopped at frame 8, and PyAV sees another"):
        read(path)


def test_a_song_with_a_cover_is_no_video(tmp_path):
    cover = encode(tmp_path / "c.mp4", SOURCE[:1], "mjpeg", "yuvj420p")

    def attach(streams) -> None:
        streams[0].disposition = av.stream.Disposition.attached_pic

    remux(tmp_path / "song.mp4", cover, prepare=attach)
    with pytest.raises(ClipError, match=r"song.mp4 has no video stream but pictures"):
        read(tmp_path / "song.mp4")


def test_a_bent_colour_tag_is_no_reason_to_lose_a_video(tmp_path):
    path = encode(tmp_path / "a.mp4", SOURCE, crf="12")
    data = path.read_bytes()
    plain_frames, _ = read(path)
    tagged = encode(tmp_path / "b.mp4", SOURCE, crf="12", **{"x264-params": "colormatrix=YCgCo"})
    assert data != tagged.read_bytes()
    frames, _ = read(tagged)
    assert [number_of(frame) for frame in frames] == [number_of(frame) for frame in plain_frames]


# --- cut off -------------------------------------------------------------------------------------

FASTSTART = {"movflags": "faststart"}
CUTS = {
    "Matroska": ("a.mkv", plain()),
    "Matroska with sound": ("a.mkv", plain(sound=0.96)),
    "WebM": ("a.webm", other("libvpx")),
    "WebM, VP9": ("a.webm", other("libvpx-vp9")),
    "AVI, MPEG-4": ("a.avi", other("mpeg4")),
    "AVI, motion JPEG": ("a.avi", other("mjpeg", pixels="yuvj420p")),
    "AVI, H.264": ("a.avi", plain(bf="0")),
    "Flash": ("a.flv", plain()),
    "MP4": ("a.mp4", plain(muxer=FASTSTART)),
}


@pytest.mark.parametrize("share", [0.4, 0.75])
@pytest.mark.parametrize("kind", CUTS)
def test_a_video_that_is_cut_off_is_noticed(tmp_path, kind, share):
    name, write = CUTS[kind]
    path = tmp_path / name
    write(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    frames = Frames(path, "video")
    numbers = []
    try:
        numbers += [number_of(frame) for frame in frames]
    except ClipError as error:
        counted = re.search(r"only \d+ of (\d+) frames", str(error))
        assert counted or "no frame can be decoded" in str(error) or "opened" in str(error)
        if counted:
            assert abs(int(counted[1]) - COUNT) <= 2
    else:
        assert abs(len(numbers) + frames.lost - COUNT) <= 2
        assert frames.lost > 0


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.ts", "libx264"), ("a.ts", "mpeg2video"), ("a.mpg", "mpeg2video"), ("a.avi", "mpeg4")],
)
def test_a_picture_of_which_a_part_is_gone_is_lost_and_not_made_up(tmp_path, name, codec):
    options = {"bf": "0"} if codec == "libx264" else {}
    path = encode(tmp_path / name, SOURCE * 4, codec, g="4", b="4M", **options)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 1500] = bytes(1500)
    path.write_bytes(data)
    shown, frames = read(path)
    assert frames.lost > 0
    assert abs(len(shown) + frames.lost - 4 * COUNT) <= 2
    assert set(map(number_of, shown)) <= set(range(COUNT))


# --- a property ----------------------------------------------------------------------------------

CONTAINERS = {
    "mp4": ("libx264", "mpeg4", "libx265"),
    "mov": ("libx264", "mpeg4"),
    "mkv": ("libx264", "mpeg4", "libvpx"),
    "webm": ("libvpx",),
    "avi": ("mpeg4", "libx264"),
    "ts": ("libx264", "mpeg2video"),
    "mpg": ("mpeg2video", "mpeg1video"),
    "flv": ("libx264",),
}
STATES_ITS_END = ("mkv", "webm", "avi", "flv", "mp4", "mov")


@st.composite
def videos(draw):
    suffix = draw(st.sampled_from(sorted(CONTAINERS)))
    return {
        "suffix": suffix,
        "codec": draw(st.sampled_from(CONTAINERS[suffix])),
        "g": draw(st.integers(1, 30)),
        "rate": draw(st.sampled_from([Fraction(24000, 1001), 25, NTSC, 50])),
        "count": draw(st.integers(3, COUNT)),
        "bf": draw(st.integers(0, 2)),
        "cut": draw(st.none() | st.floats(0.05, 0.97)),
    }


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(videos())
def test_whatever_the_container_order_count_and_times_are_right_or_the_loss_is_told(tmp_path, v):
    path = tmp_path / f"a.{v['suffix']}"
    options = {"bf": str(v["bf"])} if v["codec"] == "libx264" and v["suffix"] != "avi" else {}
    if v["suffix"] == "avi" and v["codec"] == "libx264":
        options = {"bf": "0"}
    if v["codec"] == "libx265":
        options = dict(QUIET)
    encode(
        path,
        SOURCE[: v["count"]],
        v["codec"],
        rate=v["rate"],
        muxer=FASTSTART if v["suffix"] in ("mp4", "mov") else {},
        g=str(v["g"]),
        b="4M",
        **options,
    )
    if v["cut"] is None:
        shown, frames = read(path)
        assert [number_of(frame) for frame in shown] == list(range(v["count"]))
        assert frames.lost == 0
        times = frame_times(path, len(shown), frames.stamps)
        exact = np.arange(v["count"]) / float(v["rate"])
        np.testing.assert_allclose(times[:-1], exact, atol=1.1e-3)
        return
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * v["cut"])])
    frames = Frames(path, "video")
    numbers: list[int] = []
    try:
        numbers += [number_of(frame) for frame in frames]
    except ClipError as error:
        assert path.name in str(error)
        return
    assert numbers == sorted(set(numbers))
    assert numbers[0] <= 1
    if v["suffix"] in STATES_ITS_END:
        slack = 2 + 0.1 * float(v["rate"])
        assert abs(len(numbers) + frames.lost - v["count"]) <= slack


# --- parts ---------------------------------------------------------------------------------------


def test_packets_that_show_nothing_are_known():
    assert [is_shown("vp8", bytes([byte, 0])) for byte in (0x10, 0x11, 0x00, 0x01)] == [
        *(True, True),
        *(False, False),
    ]
    vp9 = {b"\x82\0": True, b"\x80\0": False, b"\x88\0": True, b"\x80\xc1": True}
    vp9 |= {b"\xb1\0": True, b"\xb0\0": False, b"\xb4\0": True}
    assert {data: is_shown("vp9", data) for data in vp9} == vp9


def test_frames_that_fields_should_make_are_counted_by_time():
    fields = np.arange(40) / 50
    frames = np.arange(20) / 25
    assert expected_of_fields(fields, frames) == 20
    assert expected_of_fields(fields, np.delete(frames, [4, 11, 12])) == 20
    assert expected_of_fields(fields, frames[3:]) == 20
    assert expected_of_fields(fields, frames[:-4]) == 20
    assert expected_of_fields(frames, np.delete(frames, [4, 11])) == 20
    jump = np.append(fields, fields + 3600)  # two recordings in one file
    assert expected_of_fields(jump, np.append(frames, frames + 3600)) == 40
    assert expected_of_fields((), ()) == 0


@pytest.mark.parametrize("transfer", ["HLG", "PQ"])
def test_tone_mapping_keeps_greys_grey_and_rising(transfer):
    ramp = np.linspace(0, 65535, 4096).astype(np.uint16)
    values = tone_mapped(np.repeat(ramp[None, :, None], 3, 2), transfer)[0].astype(int)
    assert np.ptp(values, axis=1).max() <= 2
    assert (np.diff(values[:, 1]) >= 0).all()
    assert values[0].max() == 0
    assert values[-1].min() >= 253
    frame = numbered(3)
    mapped = tone_mapped(hdr(frame, transfer), transfer).astype(int)
    dim = frame.max(2) < 220  # below the knee it is what it was
    assert np.abs(mapped - frame)[dim].max() <= 3
