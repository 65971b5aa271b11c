"""The state that a killed training goes on from: a file beside its checkpoint, until it ends."""

import time
import zipfile
from pathlib import Path
from typing import Any

import torch

from dfer.files import atomic

# At most this share of a training's time goes into saving its state. The full model's is 3.2 GB:
# on a slow disk not every epoch is saved.
SAVING = 0.1


class Saver:
    """Saves a training's state after its epochs, as often as that costs little of its time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ended, self.took = 0.0, 0.0  # the last saving, in seconds

    def is_due(self) -> bool:
        """Whether the training has gone on for long enough since it was saved."""
        return time.perf_counter() - self.ended >= self.took / SAVING

    def save(self, **state: Any) -> None:
        """Write the state, see `read_state`."""
        began = time.perf_counter()
        write_state(self.path, **state)
        self.ended = time.perf_counter()
        self.took = self.ended - began


def write_state(path: Path, **state: Any) -> None:
    """Write all that `read_state` needs to go on, in one piece."""
    with atomic(path) as temporary:
        torch.save(state, temporary)


def read_state(path: Path, fingerprint: str, name: str) -> dict[str, Any] | None:
    """The state at `path`; None, saying why, where it is not of this very training.

    Args:
        fingerprint: of code, settings and data; a state of another one is refused.
        name: of the training, for what is printed.
    """
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not compare its checksums
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(damaged)
        state = torch.load(path, map_location="cpu", weights_only=True)
        same = state["fingerprint"] == fingerprint
    except Exception as error:  # zip, pickle and torch each raise their own for a damaged file
        print(f"{name}: {path} is damaged ({type(error).__name__}): training starts anew")
        return None
    if not same:
        print(f"{name}: {path} is of other code, settings or data: training starts anew")
        return None
    print(f"{name}: goes on after epoch {state['epoch']}", flush=True)
    return state
