"""The frames of a clip, from a video or from a folder of images, one at a time.

Which decoder takes a video is decided before its first frame (`dfer.clips.decoder`), and does not
depend on what is installed: where decord is not (it has no wheel for some platforms), PyAV gives
the same frames. decord 0.6.0 gives up on a file with one damaged packet, and may hang or crash;
then PyAV goes on from the frame that decord reached, if it gives that frame as decord did.

A clip is usable if at least `MIN_DECODED` of its frames decode, by whichever decoder; else it is a
`ClipError`. `Frames.lost` says how many did not.
"""

import multiprocessing
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path

import av
import numpy as np

from dfer.clips.decoder import Plan, expected_of_fields, is_whole, plan_video
from dfer.clips.images import frame_names, read_image
from dfer.clips.media import IMAGE_SUFFIXES, ClipError, Media, refused
from dfer.clips.progress import Progress

MIN_DECODED = 0.9  # share of a clip's frames that must decode
BATCH = 8  # frames that decord decodes at a time: bounds the memory
TIME_LIMIT = 60.0  # seconds without a frame before decord is taken to hang
SEAM = 2.0  # of 255: mean difference up to which two decoders give the same frame


class DecordError(Exception):
    """decord cannot (or does not) decode a file; PyAV may."""


class Frames:
    """Iterate over the frames of a clip: uint8 RGB (H, W, 3), as shown, in the order of time.

    Frames are decoded as they are asked for, so a long video needs no more memory than a short
    one. They are upright, not mirrored, of square pixels and standard range, as players show them
    (`dfer.clips.shown`); interlaced video is deinterlaced.

    Args:
        path: a video file, or a folder of images, which are taken in natural order (2 before 10);
            hidden files and files that are no images are ignored.
        media: "video" or "frames".
        progress: told of each frame; None: nobody is.

    Attributes:
        lost: how many frames did not decode; known when the iteration has ended.
        decoder: "decord", "PyAV", both where one took over, or "Pillow" for images; known when it
            has begun.
        notes: what was done to the frames, or left out, that a user may want to know.
        stamps: seconds at which each frame shows, None where one has no time, as far as frames
            have been decoded by PyAV; None if not all of them were.

    Raises:
        ClipError: while iterating: the clip is missing, empty, undecodable, refused by the file
            system, or more than 1 − `MIN_DECODED` of its frames are lost.
    """

    def __init__(self, path: Path | str, media: Media, progress: Progress | None = None) -> None:
        self.path = Path(path).absolute()  # FFmpeg takes a bare a:b.mp4 for a URL
        self.media, self._progress = media, progress
        self._begin()

    def _begin(self) -> None:
        self.lost, self.decoder = 0, ""
        self.notes: list[str] = []
        self.stamps: list[float | None] | None = None

    def described(self) -> str:
        """Who decoded the frames, and the notes."""
        return "; ".join([self.decoder, *self.notes])

    def __iter__(self) -> Iterator[np.ndarray]:
        frames = self._readable()
        if self._progress is not None:
            frames = self._progress.watch(frames, self.path, self.media)
        yield from frames

    def _readable(self) -> Iterator[np.ndarray]:
        """The frames; what the file system refuses is a reason to reject the clip."""
        try:
            yield from self._frames()
        except OSError as error:
            raise refused(self.path, error) from error

    def _frames(self) -> Iterator[np.ndarray]:
        self._begin()
        if not self.path.exists():
            raise ClipError(f"{self.path.name} does not exist.")
        if self.path.is_dir() != (self.media == "frames"):
            there, expected = (
                ("a folder", "a video") if self.path.is_dir() else ("a file", "a folder")
            )
            raise ClipError(f"{self.path.name} is {there}, {expected} was expected.")
        yield from self._images() if self.media == "frames" else self._video()

    def _images(self) -> Iterator[np.ndarray]:
        self.decoder = "Pillow"
        names, note = frame_names(file.name for file in self.path.iterdir())
        self.notes += [note] * bool(note)
        if not names:
            raise ClipError(f"{self.path.name} has no images ({', '.join(IMAGE_SUFFIXES)}).")
        for name in names:
            try:
                image = read_image(self.path / name)
            except Exception:  # PIL raises errors of many classes for damaged bytes
                self.lost += 1
                continue
            yield image
        self._judge(len(names) - self.lost, len(names))

    def _video(self) -> Iterator[np.ndarray]:
        if self.path.stat().st_size == 0:
            raise ClipError(f"{self.path.name} is an empty file (0 bytes).")
        plan = plan_video(self.path)
        self.notes += plan.notes()
        decoded, last, finished = 0, None, False
        if plan.decoder == "decord" and find_spec("decord") is not None:
            self.decoder = "decord"
            try:
                for frame in decord_frames(self.path):
                    yield frame
                    decoded, last = decoded + 1, frame
                finished = True
            except DecordError:
                pass
        if not finished:
            self.decoder = "decord, then PyAV" if decoded else "PyAV"
            self.stamps = []
            for frame, stamp in av_pictures(self.path, plan):
                self.stamps.append(stamp)
                if len(self.stamps) == decoded:
                    self._compare(frame, last)
                elif len(self.stamps) > decoded:
                    yield frame
            if len(self.stamps) < decoded:
                self.stamps = None
            else:
                decoded = len(self.stamps)
        expected = plan.expected
        if plan.interlaced:
            shown = sorted(stamp for stamp in self.stamps or () if stamp is not None)
            expected = round(expected_of_fields(plan.stamps, shown) / plan.complete)
        self.lost = max(0, expected - decoded)
        self._judge(decoded, expected)

    def _compare(self, frame: np.ndarray, last: np.ndarray) -> None:
        """Whether PyAV gives the frame at which decord stopped as decord did."""
        same = frame.shape == last.shape
        if not same or np.abs(frame.astype(np.int16) - last).mean() > SEAM:
            raise ClipError(
                f"{self.path.name}: decord stopped at frame {len(self.stamps)}, and PyAV sees "
                "another picture there; the file is damaged. Convert it anew, to MP4."
            )

    def _judge(self, decoded: int, expected: int) -> None:
        if decoded == 0:
            raise ClipError(f"{self.path.name}: no frame can be decoded; the file is damaged.")
        if decoded < MIN_DECODED * expected:
            raise ClipError(
                f"{self.path.name}: only {decoded} of {expected} frames can be decoded; the file "
                "is damaged or cut off."
            )


def decord_frames(path: Path) -> Iterator[np.ndarray]:
    """Decode a video with decord, in a process that lives as long as the iteration.

    A reader must be opened in the process that reads, a hang can only be ended by ending the
    process, and some damaged files crash the whole process.

    Raises:
        DecordError: a frame cannot be decoded, was replaced by its neighbour, took longer than
            `TIME_LIMIT`, or crashed decord. The frames before it have been yielded and are right.
    """
    try:
        import_module("decord")  # here, once, and not in each process
    except (ImportError, OSError) as error:  # there, but not for this machine
        raise DecordError(str(error)) from error
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
    for picture, _ in av_pictures(path, plan_video(path)):
        yield picture


def av_pictures(path: Path, plan: Plan) -> Iterator[tuple[np.ndarray, float | None]]:
    """The frames as `av_frames` gives them, each with its time in seconds, if it has one."""
    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams[plan.stream]
        stream.codec_context.thread_count = 1
        frames = _decoded(container, stream, patched=plan.decoder == "decord")
        for frame in deinterlaced(frames, stream) if plan.interlaced else frames:
            yield plan.showing.picture(frame), frame.time


def deinterlaced(
    frames: Iterator[av.VideoFrame], stream: av.VideoStream
) -> Iterator[av.VideoFrame]:
    """One frame for each of `frames`; where it is marked as two fields, as its first one shows it.

    The lines of the second field are made anew from the first and its neighbours in time (FFmpeg's
    bwdif), since the two show a moving face at two places.
    """
    graph, form = None, None
    for frame in frames:
        if (frame.width, frame.height, frame.format.name) != form:
            if graph is not None:
                yield from _pulled(graph, end=True)
            form = (frame.width, frame.height, frame.format.name)
            graph = av.filter.Graph()
            source = graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=stream.time_base,
            )
            bwdif = graph.add("bwdif", "mode=send_frame:deint=interlaced")
            graph.link_nodes(source, bwdif, graph.add("buffersink")).configure()
        graph.push(frame)
        yield from _pulled(graph)
    if graph is not None:
        yield from _pulled(graph, end=True)


def _pulled(graph: av.filter.Graph, end: bool = False) -> Iterator[av.VideoFrame]:
    """The frames that a filter has ready; at the end, all that it has."""
    if end:
        graph.push(None)
    while True:
        try:
            yield graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return


def _decoded(
    container: av.container.InputContainer, stream: av.VideoStream, patched: bool
) -> Iterator[av.VideoFrame]:
    """The frames of the packets that decode.

    Args:
        patched: with those of which a part was missing and made up by the decoder. decord gives
            them without a word, so they are kept where it may have to be replaced.
    """
    packets, name = container.demux(stream), container.format.name.split(",")[0]
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        if not is_whole(name, packet):
            continue
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        yield from (frame for frame in frames if patched or not frame.is_corrupt)
