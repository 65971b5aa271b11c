"""Be somebody for whom permissions count, also where the tests run as root."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """Act as a user who may enter `folder`, write into it, and do no more than its modes allow."""
    if os.geteuid() != 0:
        yield
        return
    modes = {}
    for above in (folder, *folder.parents):
        modes[above] = above.stat().st_mode & 0o7777
        above.chmod(modes[above] | (0o777 if above == folder else 0o011))
    try:
        os.seteuid(NOBODY)
        yield
    finally:
        os.seteuid(0)
        for above, mode in modes.items():
            above.chmod(mode)
