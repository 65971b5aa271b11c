"""The layouts of releases: each by its name in a configuration.

A layout is a module with `SOURCES` (what its clips can be read from), `label_files(root)` and
`read(root, source)`. Modules are imported where they are used, so that a stage's code digest can
leave out those that its dataset does not use.
"""

from pathlib import Path
from types import ModuleType

from dfer.datasets.release import Release, Source
from dfer.errors import UserError

LAYOUTS = ("csv", "dfew", "ferv39k", "mafw")


def read(layout: str, root: Path, source: Source) -> Release:
    """Read the release at `root`.

    Args:
        source: "video" (raw videos, to be aligned here) or "crops" (the release's own aligned
            face frames). A CSV release says by its paths what it has; it takes either.

    Raises:
        UserError: no such layout, a source that it does not have, or files that are not the
            release's.
    """
    return _module(layout).read(root, source)


def sources(layout: str) -> tuple[Source, ...]:
    """What a layout's clips can be read from: "video", "crops", or both."""
    return _module(layout).SOURCES


def label_files(layout: str, root: Path) -> list[Path]:
    """The files that labels and folds are read from, sorted; none where there is no release.

    They are found by the search that `read` uses, under every name of a folder that it accepts.
    """
    try:
        return sorted(_module(layout).label_files(root))
    except UserError:  # reading says what is wrong, in a job of its own
        return []


def modules_of_others(layout: str) -> set[str]:
    """The modules that are of other layouts than this one, by dotted name."""
    return {_module(other).__name__ for other in LAYOUTS if other != layout}


def _module(layout: str) -> ModuleType:
    match layout:
        case "csv":
            from dfer.datasets import table as module
        case "dfew":
            from dfer.datasets import dfew as module
        case "ferv39k":
            from dfer.datasets import ferv39k as module
        case "mafw":
            from dfer.datasets import mafw as module
        case _:
            raise UserError(f"no layout {layout!r}. Use one of: {', '.join(LAYOUTS)}.")
    return module
