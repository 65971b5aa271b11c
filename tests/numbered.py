"""Small videos whose frames have numbers: a bar code, five colour patches, and writers for PyAV."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

WIDTH, HEIGHT = 160, 128
PATCHES = np.array(
    [(220, 40, 40), (40, 180, 60), (40, 60, 210), (128, 128, 128), (224, 172, 140)]
)  # the last is skin


def numbered(number: int) -> np.ndarray:
    """A frame, uint8 RGB (HEIGHT, WIDTH, 3), with its number (8 bits) at the top left."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    spot = np.exp(-((x - 20 - 3 * (number % 30)) ** 2 + (y - 70) ** 2) / 150)
    frame = np.stack((60 + 120 * spot, y, 200 - x), -1).astype(np.uint8)
    for bit in range(8):
        frame[:16, 16 * bit : 16 * bit + 16] = 235 if number >> bit & 1 else 20
    for i, colour in enumerate(PATCHES):
        frame[20 + 21 * i : 40 + 21 * i, 134:158] = colour
    return frame


def _standard(frame: np.ndarray) -> np.ndarray:
    if frame.shape[:2] == (HEIGHT, WIDTH):
        return frame
    return cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def number_of(frame: np.ndarray) -> int:
    """The number in an upright frame of any size."""
    grey = _standard(frame).mean(2)
    bits = [grey[4:12, 16 * bit + 4 : 16 * bit + 12].mean() > 128 for bit in range(8)]
    return sum(int(on) << bit for bit, on in enumerate(bits))


def patches_of(frame: np.ndarray) -> np.ndarray:
    """The colours of the patches: float (5, 3)."""
    frame = _standard(frame)
    inner = [frame[25 + 21 * i : 35 + 21 * i, 140:152] for i in range(len(PATCHES))]
    return np.array([patch.reshape(-1, 3).mean(0) for patch in inner])


def encode(
    path: Path,
    frames: Iterable[np.ndarray],
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rate: int | Fraction = 25,
    times: list[int] | None = None,
    container: str | None = None,
    muxer: dict[str, str] | None = None,
    context: dict[str, Any] | None = None,
    prepare: Callable[[Any], None] = lambda stream: None,
    sound: float = 0.0,
    **options: str,
) -> Path:
    """Encode frames.

    Args:
        times: in ticks of 1 / rate; none: 0, 1, 2, …
        container: FFmpeg's name of the format; none: by the suffix.
        muxer, options: FFmpeg's options of the container, of the codec.
        context: attributes of the encoder (sample aspect ratio, colours).
        prepare: called with the stream before the first frame.
        sound: seconds of silence beside it.
    """
    with av.open(str(path), "w", format=container, options=muxer or {}) as file:
        stream = file.add_stream(codec, rate=rate, options=options)
        tone = file.add_stream("mp2", rate=48000, layout="mono") if sound else None
        stream.pix_fmt = pixels
        for name, value in (context or {}).items():
            setattr(stream.codec_context, name, value)
        for number, picture in enumerate(frames):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
                prepare(stream)
            frame = av.VideoFrame.from_ndarray(
                picture, "rgb24" if picture.dtype == np.uint8 else "rgb48le"
            )
            if "colorspace" in (context or {}):
                frame = frame.reformat(format=pixels, dst_colorspace=context["colorspace"])
            if times is not None:
                frame.pts = times[number]
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
        for start in range(0, round(48000 * sound), 1152):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), "s16p", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
            file.mux(tone.encode(frame))
        if tone is not None:
            file.mux(tone.encode())
    return path


def remux(path: Path, *sources: Path, prepare: Callable[[Any], None] = lambda stream: None) -> Path:
    """The video streams of `sources` in one file, packets as they are."""
    files = [av.open(str(source)) for source in sources]
    with av.open(str(path), "w") as new:
        streams = [new.add_stream_from_template(file.streams.video[0]) for file in files]
        prepare(streams)
        for file, stream in zip(files, streams, strict=True):
            for packet in file.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    new.mux(packet)
    for file in files:
        file.close()
    return path


class _Bits:
    """A string of bits, as headers of H.264 are written."""

    def __init__(self, *fields: tuple[int, int] | int) -> None:
        """Each field is (value, bits), or a number in Exp-Golomb code."""
        self.text = ""
        for value in fields:
            if isinstance(value, tuple):
                self.text += format(value[0], f"0{value[1]}b")
            else:
                code = format(value + 1, "b")
                self.text += "0" * (len(code) - 1) + code

    def bytes(self) -> bytes:
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")


def _unit(kind: int, payload: bytes) -> bytes:
    """A NAL unit: no start code may stand within."""
    out, zeros = bytearray(), 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return b"\0\0\0\1" + bytes([3 << 5 | kind]) + bytes(out)


def _field(number: int, bottom: int, planes: list[np.ndarray]) -> bytes:
    """A field as one slice of raw macroblocks (I_PCM)."""
    header = [0, 7, 0, (0, 8), (1, 1), (bottom, 1)]
    header += [] if bottom else [number % 2]
    header += [(bottom, 8), (0, 1) if bottom else (0, 2), 0, 1]
    text, data = _Bits(*header).text, bytearray()
    for row in range(planes[0].shape[0] // 16):
        for column in range(WIDTH // 16):
            text += _Bits(25).text
            text += "0" * (-len(text) % 8)
            data += int(text, 2).to_bytes(len(text) // 8, "big")
            text = ""
            for plane, side in zip(planes, (16, 8, 8), strict=True):
                top, left = side * row, side * column
                data += plane[top : top + side, left : left + side].tobytes()
    return _unit(1 if bottom else 5, bytes(data) + b"\x80")


def field_coded(path: Path, count: int) -> Path:
    """H.264 of which each frame is two pictures, its fields (PAFF), as camcorders write it."""
    vui = [(0, 1)] * 4 + [(1, 1), (1, 32), (50, 32), (1, 1)] + [(0, 1)] * 4
    sps = _Bits(
        *((77, 8), (0, 8), (40, 8), 0, 4, 0, 4, 1, (0, 1), WIDTH // 16 - 1, HEIGHT // 32 - 1),
        *((0, 1), (0, 1), (1, 1), (0, 1), (1, 1), *vui),
    )
    pps = _Bits(0, 0, (0, 1), (0, 1), 0, 0, 0, (0, 1), (0, 2), 0, 0, 0, (1, 1), (0, 1), (0, 1))
    start, units = b"\0\0\0\1\x09\xf0", []
    for number in range(count):
        planar = np.clip(cv2.cvtColor(numbered(number), cv2.COLOR_RGB2YUV_I420), 1, 254)
        chroma = planar[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
        planes = [planar[:HEIGHT], *chroma]
        first = _field(number, 0, [plane[0::2] for plane in planes])
        second = _field(number, 1, [plane[1::2] for plane in planes])
        units.append(
            (start + _unit(7, sps.bytes()) + _unit(8, pps.bytes()) + first, start + second)
        )
    raw = path.with_suffix(".h264")
    raw.write_bytes(b"".join(first + second for first, second in units))
    with av.open(str(raw)) as old, av.open(str(path), "w", format="mpegts") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, data in enumerate(field for pair in units for field in pair):
            packet = av.Packet(data)
            packet.pts = packet.dts = 3600 + 1800 * number  # at 90 kHz, 50 fields a second
            packet.time_base, packet.duration = Fraction(1, 90000), 1800
            packet.is_keyframe = number % 2 == 0
            packet.stream = stream
            new.mux(packet)
    raw.unlink()
    return path
