"""Who decodes a video, and what of it: decided before its first frame.

decord 0.6.0 decodes what it was shown to decode right, bit for bit as PyAV does: progressive
H.264 of 8 bits in MP4 or MOV, one video stream, square pixels, standard range, no mirroring, no
hidden or missing packets. PyAV decodes everything else, because there decord was seen to lose or
repeat frames (containers without an index, edit lists), to leave turns, mirroring and pixel shapes
out, or to give other values (10 bits, interlaced video). So the frames of a file do not depend on
whether decord is installed.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition

from dfer.clips.media import ClipError
from dfer.clips.shown import TRANSFERS, Showing, pixel_aspect, turning

Decoder = Literal["decord", "PyAV"]

DECORD_PIXELS = tuple(f"yuv{j}{chroma}p" for j in ("", "j") for chroma in (420, 422, 444))
DECORD_MATRICES = (1, 2, 5, 6)  # BT.709, unspecified, BT.601 (two names), as ITU-T H.273 counts
BROADCAST = ("mpegts", "mpeg")
ABSOLUTE = ("matroska", "flv", "asf")  # their headers state when all streams end, by one clock
HIDING = ("vp8", "vp9")  # codecs that have packets which show nothing
SLACK = 0.1  # seconds: the packets of sound are so long at most
BEHIND = 1.0  # seconds that streams are written apart at most


@dataclass(frozen=True)
class Plan:
    """How a video is decoded.

    Attributes:
        decoder: who does it.
        reason: why not decord; empty if it does.
        stream: index of the stream in the file.
        showing: how its pictures are shown.
        interlaced: its frames are marked as two fields; they are deinterlaced.
        expected: frames that it should show, by its packets and its header; of a video coded in
            fields that is known when its frames are (`expected_of_fields`).
        stamps: when its packets show, in seconds, sorted; less where packets have no time.
        complete: the share of the stated time that its packets cover, 1 where they cover it.
        streams: how many video streams there are, attached pictures among them.
    """

    decoder: Decoder
    reason: str
    stream: int
    showing: Showing
    interlaced: bool
    expected: int
    stamps: tuple[float, ...]
    complete: float
    streams: int = 1

    def notes(self) -> list[str]:
        """What a user may want to know of it."""
        notes = [*self.showing.notes(), *["deinterlaced"] * self.interlaced]
        if self.streams > 1:
            notes.append(f"the largest of {self.streams} video streams")
        return notes


@dataclass
class Facts:
    """What container, stream, packets and first frame say, without judgement.

    Attributes:
        container: FFmpeg's first name of the format.
        video_streams: how many there are, pictures that are attached to the file among them.
        colours: number of the matrix from RGB.
        packets: those that show something.
        hidden: those that an edit list hides, so that a player does not show them.
        halves: those of which the end is missing.
        first_is_key: whether decoding can begin with the first packet.
        stamps: seconds, sorted; of packets that show something and have a time.
        end: seconds at which the last packet of the stream ends.
        stated_end: seconds at which the header says that it ends; 0: it does not say.
        stated_packets: how many packets it says that there are, hidden ones left out; 0: it does
            not say.
        pace: pictures a second, of those before the time at which the packets end in the order of
            decoding, in which a file is cut; later ones have gaps.
        rate: frames a second, on average.
    """

    container: str
    codec: str
    stream: int
    video_streams: int
    pixels: str = ""
    colours: int = 2
    interlaced: bool = False
    showing: Showing = field(default_factory=Showing)
    packets: int = 0
    hidden: int = 0
    halves: int = 0
    first_is_key: bool = True
    stamps: tuple[float, ...] = ()
    end: float = 0.0
    stated_end: float = 0.0
    stated_packets: int = 0
    pace: float = 25.0
    rate: float = 25.0


def plan_video(path: Path) -> Plan:
    """Decide how a video is decoded: reads all packets, decodes the first frame.

    Raises:
        ClipError: the file is no video.
    """
    facts = read_facts(path)
    complete = covered(facts)
    reason = against_decord(facts)
    return Plan(
        decoder="PyAV" if reason else "decord",
        reason=reason,
        stream=facts.stream,
        showing=facts.showing,
        interlaced=facts.interlaced,
        expected=round(facts.packets / complete),
        stamps=facts.stamps,
        complete=complete,
        streams=facts.video_streams,
    )


def against_decord(facts: Facts) -> str:
    """Why decord does not decode a video; empty if it does."""
    showing = facts.showing
    if facts.container != "mov":
        return f"container {facts.container}"
    if facts.video_streams > 1:
        return f"{facts.video_streams} video streams"
    if facts.codec != "h264":
        return f"codec {facts.codec}"
    if facts.pixels not in DECORD_PIXELS:
        return f"pixels {facts.pixels or 'unknown'}"
    if facts.interlaced:
        return "interlaced"
    if facts.colours not in DECORD_MATRICES:
        return f"colour matrix {facts.colours}"
    if showing.transfer != "SDR":
        return f"transfer {showing.transfer}"
    if showing.aspect != 1:
        return "pixels that are not square"
    if showing.mirrored:
        return "mirrored"
    if facts.hidden:
        return "an edit list hides frames"
    if not facts.first_is_key:
        return "no key frame at the start"
    if len(set(facts.stamps)) < facts.packets:
        return "frames without a time of their own"
    if facts.halves or covered(facts) < 1:
        return "cut off"
    return ""


def covered(facts: Facts) -> float:
    """The share of what the header states that the packets cover; 1: all, or it states nothing."""
    if not facts.packets:
        return 1.0
    start = facts.stamps[0] if facts.stamps else 0.0
    frame = (facts.end - start) / facts.packets
    if facts.end >= facts.stated_end - 2 * frame:  # durations are rounded
        return 1.0
    stated = facts.stated_packets or facts.pace * (facts.stated_end - start)
    return min(1.0, facts.packets / stated)


def expected_of_fields(stamps: Sequence[float], shown: Sequence[float]) -> int:
    """How many frames an interlaced video should show.

    A packet may hold a frame, or one of its two fields; so packets are not counted, but those
    are that no frame covers in time.

    Args:
        stamps: seconds of the packets, sorted.
        shown: seconds of the frames that decoded, sorted.
    """
    if len(shown) < 2 or len(stamps) < 2:
        return max(len(shown), len(stamps))
    times, of_frames = np.unique(stamps), np.unique(shown)
    step = float(np.median(np.diff(of_frames)))
    last = of_frames[np.maximum(np.searchsorted(of_frames, times + 0.1 * step, "right") - 1, 0)]
    bare = int((np.abs(times - last - 0.3 * step) > 0.5 * step).sum())
    fields = 2 if np.median(np.diff(times)) < 0.75 * step else 1
    return len(shown) + bare // fields


def is_shown(codec: str, packet: bytes) -> bool:
    """Whether a packet of a codec in `HIDING` shows a frame; to others, later ones only refer."""
    if codec == "vp8":
        return bool(packet[0] & 0x10)
    together = packet[-1] & 0xE0 == 0xC0  # hidden frames packed with the one that is shown
    profile_3 = packet[0] & 0x30 == 0x30  # has one more bit before these
    show_existing, show = (0x04, 0x01) if profile_3 else (0x08, 0x02)
    return together or bool(packet[0] & (show_existing | show))


def is_whole(container: str, packet: av.Packet) -> bool:
    """Whether a packet has all its bytes; the last one of a file that was cut off has not.

    Half a picture decodes, to garbage below. In broadcast the same mark may mean less, and what
    follows needs the picture.
    """
    return not packet.is_corrupt or container in BROADCAST


def read_facts(path: Path) -> Facts:
    """Read container, stream, packets and first frame of the video stream that is to be shown.

    That is the largest stream, and of equal ones the first; pictures that are attached to a file,
    such as the cover of a song, are none.

    Raises:
        ClipError: the file is no video.
    """
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = _best(path, container.streams.video)
            return _facts(container, stream)
    except (av.FFmpegError, OSError) as error:
        raise ClipError(f"{path.name} cannot be opened as a video ({error.strerror}).") from error


def _best(path: Path, streams: Sequence[av.VideoStream]) -> av.VideoStream:
    moving = [s for s in streams if not s.disposition & Disposition.attached_pic]
    if not moving:
        only = " but pictures that are attached to it" if streams else ""
        raise ClipError(f"{path.name} has no video stream{only}.")
    known = [s for s in moving if s.codec_context is not None]
    if not known:
        raise ClipError(f"{path.name} is of a kind of video that FFmpeg does not know.")
    return max(known, key=lambda s: (s.width * s.height, -s.index))


def _facts(container: av.container.InputContainer, stream: av.VideoStream) -> Facts:
    context, unit = stream.codec_context, float(stream.time_base)
    context.thread_count = 1
    facts = Facts(
        container=container.format.name.split(",")[0],
        codec=context.codec.canonical_name,
        stream=stream.index,
        video_streams=len(container.streams.video),
        rate=float(stream.average_rate or 25),
        pixels=context.pix_fmt or "",
        interlaced=context.field_order > 1,  # 1: progressive, 0: not known
    )
    transfer, matrix, frame = context.color_trc, None, None
    stamps, keys, decoded, end_of_all = [], [], 0.0, 0.0
    absolute = facts.container in ABSOLUTE
    packets = container.demux() if absolute else container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            break  # the end of what can be read
        time = packet.dts if packet.pts is None else packet.pts
        if time is not None and packet.size:
            end = float((time + (packet.duration or 0)) * packet.time_base)
            end_of_all = max(end_of_all, end)
        if packet.stream.index != stream.index:
            continue
        if frame is None:
            with suppress(av.FFmpegError):  # a later packet may have it
                frame = next(iter(packet.decode()), None)
        if not packet.size:
            continue
        if packet.is_discard:
            facts.hidden += 1
            continue
        if facts.codec in HIDING and not is_shown(facts.codec, bytes(packet)):
            continue
        facts.packets += 1
        facts.halves += not is_whole(facts.container, packet)
        keys.append(packet.is_keyframe)
        if time is not None:
            stamps.append(time * unit)
            decoded = (time if packet.dts is None else packet.dts) * unit
            facts.end = max(facts.end, end)
    if frame is not None:
        transfer, facts.colours = frame.color_trc, int(frame.colorspace)
        facts.pixels = frame.format.name
        facts.interlaced |= frame.interlaced_frame
        matrix = _display_matrix(frame)
    facts.first_is_key = keys[:1] == [True]
    facts.stamps = tuple(sorted(stamps))
    settled = [stamp for stamp in facts.stamps if stamp <= decoded]
    if len(settled) > 1 and settled[-1] > settled[0]:
        facts.pace = (len(settled) - 1) / (settled[-1] - settled[0])
    else:
        facts.pace = facts.rate
    facts.showing = Showing(
        transfer=TRANSFERS.get(int(transfer), "SDR"),
        aspect=pixel_aspect(stream.sample_aspect_ratio),
        **turning(matrix),
    )
    _read_stated(facts, container, stream, end_of_all if absolute else None)
    return facts


def _read_stated(
    facts: Facts,
    container: av.container.InputContainer,
    stream: av.VideoStream,
    end_of_all: float | None,
) -> None:
    """What the header states of the end; where it speaks of all streams, any of them may end it."""
    duration = stream.duration or 0
    if facts.container == "avi":  # FFmpeg cuts the duration to the size of the file
        duration = max(duration, stream.frames)
    if duration and end_of_all is None:
        facts.stated_end = float(((stream.start_time or 0) + duration) * stream.time_base)
        facts.stated_packets = max(0, stream.frames - facts.hidden)
    elif end_of_all is not None and container.duration:
        stated = container.duration / av.time_base
        slack = SLACK if len(container.streams) > 1 else 0.0
        is_last = facts.end > end_of_all - BEHIND  # else the sound alone is cut off
        if is_last and end_of_all < stated - slack:
            facts.stated_end = min(stated, _tagged_end(stream) or stated)


def _tagged_end(stream: av.VideoStream) -> float:
    """Seconds at which a tag of Matroska says that the stream ends; 0: there is none."""
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag is None:
        return 0.0
    hours, minutes, seconds = map(float, tag.groups())
    return 3600 * hours + 60 * minutes + seconds


def _display_matrix(frame: av.VideoFrame) -> np.ndarray | None:
    for data in frame.side_data:
        if data.type == SideData.DISPLAYMATRIX:
            return np.frombuffer(bytes(data), np.int32)[:9]
    return None
