"""What a data check says about a user's copy."""

from typing import Literal, NamedTuple

import pyarrow as pa

Level = Literal["fatal", "wrong", "note", "right"]
LEVELS: tuple[Level, ...] = ("fatal", "wrong", "note", "right")


class Finding(NamedTuple):
    """One thing found.

    Attributes:
        level: "fatal" (no stage can run on it), "wrong" (results would differ from those on the
            official data), "note" (worth knowing), "right".
        check: what was checked, in a word or two.
        finding: what was found, a sentence or two.
        remedy: what to do; empty for "right".
    """

    level: Level
    check: str
    finding: str
    remedy: str = ""


FINDINGS_SCHEMA = pa.schema([(name, pa.string()) for name in Finding._fields])
