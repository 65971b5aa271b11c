"""Class-balanced epochs: as many clips of each class, and as many in all as there are clips.

An epoch of N clips of C classes has N // C clips of each class, and one more of N mod C classes
that are drawn for it. Of a class of n clips that is to have m, each clip stands there m // n times,
and m mod n that are drawn once more: clips of a rare class repeat, and of a frequent one each epoch
shows a part. Classes without clips have no share.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np


def draw(labels: Sequence[int], rng: np.random.Generator) -> list[tuple[int, ...]]:
    """The clips of an epoch in their order: (index,), and of a repeat (index, how often before).

    Args:
        labels: class of each clip.
        rng: of this epoch alone.
    """
    classes, members = np.unique(labels, return_inverse=True)
    quota = np.full(len(classes), len(members) // len(classes))
    quota[rng.permutation(len(classes))[: len(members) % len(classes)]] += 1
    drawn = []
    for number, m in enumerate(quota):
        own = np.flatnonzero(members == number)
        drawn += [np.repeat(own, m // len(own)), rng.permutation(own)[: m % len(own)]]
    before: Counter[int] = Counter()
    order = []
    for index in rng.permutation(np.concatenate(drawn)).tolist():
        order.append((index, before[index]) if before[index] else (index,))
        before[index] += 1
    return order
