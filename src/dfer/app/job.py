"""One video within bounds: how long it is, how long the work on it takes, how long it is kept."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfer.app.page import HOUR
from dfer.clips.decoder import read_facts
from dfer.clips.media import ClipError, Media
from dfer.clips.progress import Progress, stated_frames
from dfer.errors import UserError
from dfer.predict.api import Model
from dfer.predict.clip import Outcome
from dfer.predict.tables import write_tables

PASSES = 4  # follow the face, cut it out, classify, draw
EVERY = 0.2  # seconds between signs of life
CSV = "predictions.csv"


@dataclass(frozen=True)
class Limits:
    """What a video may cost at most: its size, its length, the work on it."""

    megabytes: int
    seconds: float
    timeout: float  # seconds of work

    def text(self) -> str:
        """The bounds that a user has to know before."""
        return f"Up to {self.seconds:g} seconds and {self.megabytes} MB."


class Watched(Progress):
    """Tells how far the work on a clip is, and ends it when its time is over.

    Args:
        timeout: seconds from now.
        tell: called with a share, 0 … 1, a few times a second.
    """

    def __init__(self, timeout: float, tell: Callable[[float], None]) -> None:
        super().__init__("app", 1, PASSES)
        self._timeout, self._end = timeout, time.monotonic() + timeout
        self._tell, self._told, self._finished = tell, 0.0, 0

    def watch(
        self, frames: Iterable[np.ndarray], path: Path | str, media: Media
    ) -> Iterator[np.ndarray]:
        """See `Progress.watch`.

        Raises:
            ClipError: the time is over.
        """
        expected = stated_frames(path, media)
        for number, frame in enumerate(frames, start=1):
            yield frame
            self.at(min(1.0, number / expected) if expected else 0.0)
        self.passed()

    def at(self, share: float) -> None:
        """A pass has come to `share` of its end.

        Raises:
            ClipError: the time is over.
        """
        now = time.monotonic()
        if now > self._end:
            raise ClipError(
                f"the work on it takes longer than {self._timeout:g} seconds. Choose a shorter "
                "one, or start the page with a longer --timeout."
            )
        if now - self._told > EVERY:
            self._told = now
            self._tell(min(1.0, (self._finished + share) / PASSES))

    def passed(self) -> None:
        """A pass has come to its end."""
        self._finished += 1

    def say(self) -> None:
        """Nothing: the page has been told."""


def explain(
    model: Model,
    video: Path,
    limits: Limits,
    folder: Path,
    *,
    window: float,
    stride: float,
    tell: Callable[[float], None],
) -> Outcome:
    """Predict a video; its table and the annotated video come to lie in `folder`.

    Raises:
        UserError: it is too long, or nothing in it could be predicted; the message says why.
    """
    try:
        check_length(video, limits.seconds)
    except ClipError as error:
        raise UserError(str(error)) from None
    watched = Watched(limits.timeout, tell)
    outcome = model.explain(video, window=window, stride=stride, overlays=folder, progress=watched)
    if not outcome.predictions:
        raise UserError(f"{video.name} cannot be used: {outcome.rejects[0][-1]}")
    named = [[(video.name, *row[1:]) for row in rows] for rows in (outcome.rows, outcome.rejects)]
    write_tables(folder / CSV, *named, model.classes)
    return outcome


def check_length(video: Path, most: float) -> None:
    """Refuse a video that is too long, before any of it but the first frame is decoded.

    Raises:
        ClipError: the file is no video.
        UserError: it is too long.
    """
    facts = read_facts(video)
    seconds = facts.end - facts.stamps[0] if facts.stamps else facts.packets / facts.rate
    if seconds > most:
        raise UserError(
            f"{video.name} is {seconds:.0f} seconds long, and {most:g} are allowed here. Cut it, "
            "or start the page with a higher --max-seconds."
        )


class Kept:
    """The files of each browser's last video, and no others.

    Args:
        root: folder of all uploads and results.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._files: dict[str, list[Path]] = {}

    def upload(self, session: str, video: str | None) -> None:
        """A browser has another video now, or none: all that is of its last one goes."""
        old = self._files.pop(session, [])
        if video is not None:
            self._files[session] = [Path(video)]
        self._remove(old)
        for path in self._root.iterdir():  # broken off by a browser that was closed
            if path.is_file() and time.time() - path.stat().st_mtime > HOUR:
                path.unlink(missing_ok=True)

    @contextmanager
    def results(self, session: str) -> Iterator[Path]:
        """A new folder for the results of work within; older results of the same video go.

        It goes at once where the video has gone meanwhile.
        """
        before = self._files.get(session, [])
        folder = Path(tempfile.mkdtemp(prefix="results-", dir=self._root))
        self._files[session] = [*before[:1], folder]
        self._remove(before[1:])
        try:
            yield folder
        finally:
            if folder not in self._files.get(session, []):
                self._remove([folder])

    def forget(self, session: str) -> None:
        """Remove all files of a browser: its page was closed, or has another video."""
        self._remove(self._files.pop(session, []))

    def _remove(self, paths: Iterable[Path]) -> None:
        """Remove folders of ours, and those of uploads that no browser has any more.

        Gradio names the folder of an upload by its content: equal videos share one.
        """
        used = {_folder(path) for files in list(self._files.values()) for path in files}
        for folder in map(_folder, paths):
            if folder.parent == self._root and folder not in used:
                shutil.rmtree(folder, ignore_errors=True)


def _folder(path: Path) -> Path:
    """A folder, or that of a file."""
    return (path if path.is_dir() else path.parent).resolve()
