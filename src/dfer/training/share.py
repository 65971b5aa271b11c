"""A part of the train clips: what a training learns from when it is given fewer."""

import hashlib
from collections.abc import Hashable, Sequence


def chosen(clips: Sequence[str], labels: Sequence[Hashable], share: float, seed: int) -> list[bool]:
    """Whether each clip is in a `share` of them, with the given seed.

    Stratified: of each class that share, rounded, and one clip at least. Nested: the clips of a
    smaller share are in every larger one. Drawn by address (seed, clip): a clip's rank in its class
    hangs on no other clip.
    """
    members: dict[Hashable, list[int]] = {}
    for index, label in enumerate(labels):
        members.setdefault(label, []).append(index)
    taken = [False] * len(clips)
    for indices in members.values():
        indices.sort(key=lambda index: (_draw(seed, clips[index]), clips[index]))
        for index in indices[: max(1, round(share * len(indices)))]:
            taken[index] = True
    return taken


def _draw(seed: int, clip: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{clip}".encode(), digest_size=16).digest()
