"""Methods of dynamic facial expression recognition under one protocol.

    import dfer

    dfer.load("results/demo/runs/<settings>/fold1-seed0").predict("clip.mp4")

All else is a command (`dfer --help`) or a module that a rule of the workflow calls.
"""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """`dfer.load` and `dfer.Model`, which no stage waits for."""
    if name in ("load", "Model"):
        return getattr(import_module("dfer.predict.api"), name)
    raise AttributeError(f"module 'dfer' has no attribute {name!r}")
