"""The frames of a clip, from a video or from a folder of images, one at a time.

Videos are decoded by decord, or by PyAV where decord is not installed (it has no wheel for some
platforms); both give the same frames. This module works around faults of decord 0.6.0: it silently
repeats frames that it cannot decode (trimmed phone videos), gives up on a file with one damaged
packet, and may hang or crash. In all these cases PyAV goes on from the frame that decord reached.

A clip is usable if at least `MIN_DECODED` of its frames decode, by whichever decoder; else it is a
`ClipError`. `Frames.lost` says how many did not.
"""

import multiprocessing
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps

from dfer.clips.media import IMAGE_SUFFIXES, Media

MIN_DECODED = 0.9  # share of a clip's frames that must decode
BATCH = 8  # frames that decord decodes at a time: bounds the memory
TIME_LIMIT = 60.0  # seconds without a frame before decord is taken to hang


class ClipError(Exception):
    """A clip that cannot be used. The message is a sentence for the table of rejects."""


class DecordError(Exception):
    """decord cannot (or does not) decode a file; PyAV may."""


class Frames:
    """Iterate over the frames of a clip: uint8 RGB (H, W, 3), upright, in the order of time.

    Frames are decoded as they are asked for, so a long video needs no more memory than a short
    one. The rotation that phones write into a video, or cameras into an image, is applied.

    Args:
        path: a video file, or a folder of images, which are taken in natural order (2 before 10);
            hidden files and files that are no images are ignored.
        media: "video" or "frames".

    Attributes:
        lost: how many frames did not decode; known when the iteration has ended.

    Raises:
        ClipError: while iterating: the clip is missing, empty, undecodable, or more than
            1 − `MIN_DECODED` of its frames are lost.
    """

    def __init__(self, path: Path | str, media: Media) -> None:
        self.path, self.media = Path(path), media
        self.lost = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        self.lost = 0
        if not self.path.exists():
            raise ClipError(f"{self.path.name} does not exist.")
        if self.path.is_dir() != (self.media == "frames"):
            there, expected = (
                ("a folder", "a video") if self.path.is_dir() else ("a file", "a folder")
            )
            raise ClipError(f"{self.path.name} is {there}, {expected} was expected.")
        yield from self._images() if self.media == "frames" else self._video()

    def _images(self) -> Iterator[np.ndarray]:
        images = sorted(
            (
                file
                for file in self.path.iterdir()
                if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
            ),
            key=lambda file: natural_key(file.name),
        )
        if not images:
            raise ClipError(f"{self.path.name} has no images ({', '.join(IMAGE_SUFFIXES)}).")
        for file in images:
            try:
                image = read_image(file)
            except Exception:  # PIL raises errors of many classes for damaged bytes
                self.lost += 1
                continue
            yield image
        self._judge(len(images) - self.lost, len(images))

    def _video(self) -> Iterator[np.ndarray]:
        if self.path.stat().st_size == 0:
            raise ClipError(f"{self.path.name} is an empty file (0 bytes).")
        expected = count_frames(self.path)
        decoded = 0
        try:
            if find_spec("decord") is None:
                raise DecordError("not installed")
            for frame in decord_frames(self.path):
                yield frame
                decoded += 1
        except DecordError:
            for frame in islice(av_frames(self.path), decoded, None):
                yield frame
                decoded += 1
        self.lost = max(0, expected - decoded)
        self._judge(decoded, expected)

    def _judge(self, decoded: int, expected: int) -> None:
        if decoded == 0:
            raise ClipError(f"{self.path.name}: no frame can be decoded; the file is damaged.")
        if decoded < MIN_DECODED * expected:
            raise ClipError(
                f"{self.path.name}: only {decoded} of {expected} frames can be decoded; the file "
                "is damaged or cut off."
            )


def natural_key(name: str) -> tuple[list[int | str], str]:
    """Sort key under which numbers in names count as numbers: 2.jpg before 10.jpg."""
    parts = re.split(r"([0-9]+)", name)  # text and digits take turns
    return [int(part) if i % 2 else part.lower() for i, part in enumerate(parts)], name


def read_image(path: Path) -> np.ndarray:
    """Decode an image: uint8 RGB (H, W, 3), upright. Half an image is an `OSError`."""
    with Image.open(path) as image:
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))


def count_frames(path: Path) -> int:
    """How many frames a video should show, from its packets and its header; nothing is decoded.

    Packets that an edit list hides (trimmed videos) do not count. Where the packets end before
    the duration that the header states, the file was cut off, and the frames that are gone are
    counted by proportion.

    Raises:
        ClipError: the file is no video.
    """
    packets, end = 0, 0.0
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise ClipError(f"{path.name} has no video stream.")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise ClipError(f"{path.name} is of a kind of video that FFmpeg does not know.")
            stated = float(stream.duration * stream.time_base) if stream.duration else 0.0
            try:
                for packet in container.demux(stream):
                    if packet.size and not packet.is_discard:
                        packets += 1
                        if packet.pts is not None:
                            last = packet.pts + (packet.duration or 0) - (stream.start_time or 0)
                            end = max(end, float(last * stream.time_base))
            except av.FFmpegError:
                pass  # the end of what can be read
    except (av.FFmpegError, OSError) as error:
        raise ClipError(f"{path.name} cannot be opened as a video ({error.strerror}).") from error
    if packets and 0 < end < stated - 2 * end / packets:  # two frames: durations are rounded
        return round(packets * stated / end)
    return packets


def decord_frames(path: Path) -> Iterator[np.ndarray]:
    """Decode a video with decord, in a process that lives as long as the iteration.

    A reader must be opened in the process that reads, a hang can only be ended by ending the
    process, and some damaged files crash the whole process.

    Raises:
        DecordError: a frame cannot be decoded, was replaced by its neighbour, took longer than
            `TIME_LIMIT`, or crashed decord. The frames before it have been yielded and are right.
    """
    import_module("decord")  # here, once, and not in each process
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send_frames, args=(path, theirs, ours), daemon=True)
    process.start()
    theirs.close()
    try:
        while True:
            if not ours.poll(TIME_LIMIT):
                raise DecordError(f"no answer in {TIME_LIMIT:g} s")
            shape = ours.recv()
            if shape is None:
                return
            if isinstance(shape, str):
                raise DecordError(shape)
            frame = np.empty(shape, np.uint8)
            ours.recv_bytes_into(frame.reshape(-1))
            yield frame
    except (EOFError, ConnectionError) as error:
        raise DecordError("ended without an answer") from error
    finally:
        process.kill()
        process.join()
        ours.close()


def _send_frames(path: Path, connection: Connection, receiver: Connection) -> None:
    """Send the shape and the bytes of each frame, then None; or the text of an error.

    It also ends when nobody receives any more. For that the fork closes its own copy of the
    receiving end: else a process whose parent was killed would wait for ever.
    """
    import decord

    receiver.close()
    decord.logging.set_level(decord.logging.FATAL)
    try:
        # fault_tol: one frame that was replaced by its neighbour is too many.
        reader = decord.VideoReader(str(path), decord.cpu(0), num_threads=1, fault_tol=1e-9)
        for start in range(0, len(reader), BATCH):
            indices = range(start, min(start + BATCH, len(reader)))
            for frame in reader.get_batch(indices).asnumpy():
                connection.send(frame.shape)
                connection.send_bytes(frame.reshape(-1))
        connection.send(None)
    except BrokenPipeError:
        return
    except Exception as error:  # decord has errors of several classes, all with the same meaning
        connection.send(str(error))


def av_frames(path: Path) -> Iterator[np.ndarray]:
    """Decode a video with PyAV, leaving out the packets that do not decode."""
    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.FFmpegError):
                return
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue
            for frame in frames:
                turns = round(frame.rotation / 90)  # anticlockwise
                yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
