"""Signs of life of long work: a plain line on stderr every few seconds, for people and for logs.

    align: 12 of 120 clips, 3,412 frames, 95.1 frames/s, 04:12 left

Only work that takes longer than `EVERY` says anything. No thread is needed: the line comes with the
frames, or, where other processes work, with the waiting for them.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
from tqdm import tqdm

from dfer.clips.media import IMAGE_SUFFIXES, Media

EVERY = 5.0  # seconds between lines


class Progress:
    """Counts the clips and frames of a stage.

    Args:
        stage: its name.
        clips: how many it has to do.
        passes: how often it goes through each.
    """

    def __init__(self, stage: str, clips: int, passes: int = 1) -> None:
        self._stage, self._clips, self._passes = stage, clips, passes
        self._start = self._said = time.monotonic()
        self._done, self._frames = 0, 0
        self._finished, self._share = 0, 0.0  # passes of the clip at hand, and of the one at hand

    def watch(
        self, frames: Iterable[np.ndarray], path: Path | str, media: Media
    ) -> Iterator[np.ndarray]:
        """The frames of a clip as they are, counted.

        Args:
            path, media: of the clip, for the time that is left.
        """
        expected: int | None = None
        for number, frame in enumerate(frames, start=1):
            yield frame
            self._frames += 1
            if self._is_due():
                if expected is None:
                    expected = stated_frames(path, media)
                self.at(min(1.0, number / expected) if expected else 0.0)
        self.passed()

    def at(self, share: float) -> None:
        """A pass of the clip at hand has come to `share` of its end."""
        self._share = share
        self.say()

    def passed(self) -> None:
        """A pass of the clip at hand has come to its end."""
        self._finished, self._share = self._finished + 1, 0.0

    def done(self, frames: int = 0) -> None:
        """A clip is done; `frames`, if nobody watched them, were in it."""
        self._done, self._finished, self._share = self._done + 1, 0, 0.0
        self._frames += frames
        self.say()

    def say(self) -> None:
        """Say how far the work is, if it is time for it."""
        if not self._is_due():
            return
        self._said = time.monotonic()
        took = self._said - self._start
        clip = min(1.0, (self._finished + self._share) / self._passes)
        share = min(1.0, (self._done + clip) / max(1, self._clips))
        left = tqdm.format_interval(took / share - took) if share else "unknown time"
        line = (
            f"{self._stage}: {self._done} of {self._clips} clips, {self._frames:,} frames, "
            f"{self._frames / took:.1f} frames/s, {left} left"
        )
        print(line, file=sys.stderr, flush=True)

    def _is_due(self) -> bool:
        return time.monotonic() - self._said >= EVERY


def stated_frames(path: Path | str, media: Media) -> int:
    """How many frames a clip has by its header or its folder, for an estimate; 0: unknown."""
    try:
        if media == "frames":
            return sum(name.lower().endswith(IMAGE_SUFFIXES) for name in os.listdir(path))
        with av.open(str(path), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            if stream.frames:
                return stream.frames
            seconds = (container.duration or 0) / av.time_base
            return round(seconds * float(stream.average_rate or 0))
    except (OSError, av.FFmpegError, IndexError):
        return 0
