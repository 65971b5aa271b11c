"""What the demo consists of: its people, classes, takes and folds. Cheap; nothing is rendered."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["clips", "stills"]

CLASSES = ("happy", "sad", "neutral", "angry", "surprise", "disgust", "fear")

# Clips of each class and person: about DFEW's imbalance.
TAKES = {"happy": 3, "sad": 3, "neutral": 3, "angry": 2, "surprise": 2, "disgust": 1, "fear": 2}

# Kind of release → its seed: people of one kind are never people of the other.
KINDS: dict[Kind, int] = {"clips": 0, "stills": 1}
PREFIX = {"clips": "s", "stills": "t"}
TOGETHER = 4  # people in a folder of a release: one job renders them, and reads the face model once


@dataclass(frozen=True)
class Rendering:
    """How a release of the demo is rendered (`dfer.demo.render`); a configuration's `render`."""

    kind: Kind
    people: int = 20
    folds: int = 5
    frames: int = 16  # of a clip
    stills: int = 16  # of a person and class
    size: int = 256  # of a frame's side, in pixels
    seed: int = 0


@dataclass(frozen=True)
class Clip:
    """One clip of a release: a video, or (kind "stills") a folder of images.

    Attributes:
        clip: id, unique in the release, such as "s03-happy-1".
        path: relative to the release's root.
        fold: the cross-validation fold, from 1 on, whose test set holds the clip.
        take: number of the clip among those of its person and class, from 1 on.
    """

    clip: str
    path: str
    label: str
    subject: str
    fold: int
    identity: int
    take: int


def subject_name(kind: Kind, identity: int) -> str:
    """`s03` for person 3 of the clips, `t03` for person 3 of the stills."""
    return f"{PREFIX[kind]}{identity:02d}"


def folder_name(kind: Kind, identity: int) -> str:
    """`s00-s03` for person 3 of the clips: the people whose files lie in one folder."""
    first = identity // TOGETHER * TOGETHER
    return f"{subject_name(kind, first)}-{subject_name(kind, first + TOGETHER - 1)}"


def clips_of(kind: Kind, identity: int, takes: dict[str, int], folds: int) -> list[Clip]:
    """All clips of one person, in the order of `CLASSES`.

    Args:
        takes: number of clips a class; of kind "stills" a class has one folder of that many images.
        folds: fold of a person = identity mod folds + 1, so no person is in two folds.
    """
    subject = subject_name(kind, identity)
    clips = []
    for label in (label for label in CLASSES if takes.get(label)):
        for take in range(1, takes[label] + 1 if kind == "clips" else 2):
            if kind == "clips":
                name, suffix = f"{subject}-{label}-{take}", ".mp4"
            else:
                name, suffix = f"{subject}-{label}", ""
            path = f"{kind}/{folder_name(kind, identity)}/{name}{suffix}"
            clips.append(Clip(name, path, label, subject, identity % folds + 1, identity, take))
    return clips
