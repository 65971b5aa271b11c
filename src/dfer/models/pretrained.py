"""Weights that networks without CLIP start from: torchvision's, pinned, or a file of one's own."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dfer.errors import UserError
from dfer.files import check_readable, sha256
from dfer.video_settings import PINNED, weights_file

ADDRESS = "https://download.pytorch.org/models/"
CLASSIFIERS = ("fc.", "classifier.6.")  # of another task; the module that is loaded has none


def load(module: nn.Module, weights: str) -> None:
    """Give a network the weights of one like it, whatever that one's classes were.

    Args:
        module: with torchvision's names, and no classifier.
        weights: a name in `PINNED`, or the path of a state dict (.pth, .safetensors).

    Raises:
        UserError: the file is missing or damaged, or is of another network.
    """
    path = Path(weights_file(weights))
    if weights in PINNED:
        check(path, weights)
    elif not path.is_file():
        raise UserError(
            f"{path}: no such file. Set model.weights to a file, or to '' (from scratch)."
        )
    state = {n: v for n, v in _read(path).items() if not n.startswith(CLASSIFIERS)}
    expected = module.state_dict()
    differing = sorted(set(state) ^ set(expected))
    differing += [n for n in expected if n in state and state[n].shape != expected[n].shape]
    if differing:
        raise UserError(
            f"{path}: not the weights of this network: {len(differing)} of {len(expected)} differ "
            f"({', '.join(differing[:3])} …). Set model.weights to those of its own kind, or to ''."
        )
    module.load_state_dict(state)


def check(path: Path, name: str) -> None:
    """Refuse any file but the pinned one.

    Raises:
        UserError: it is missing, or its checksum is another.
    """
    pinned = PINNED[name]
    if not path.is_file():
        raise UserError(f"{path}: no such file. {remedy(name, path)}")
    found = sha256(path)
    if found != pinned.sha256:
        raise UserError(
            f"{path}: not {pinned.file} as it was published (SHA-256 {found[:12]}…, expected "
            f"{pinned.sha256[:12]}…). Delete it. {remedy(name, path)}"
        )


def remedy(name: str, path: Path) -> str:
    """What to do where pinned weights are not at `path`."""
    return (
        f"Fetch {ADDRESS}{PINNED[name].file}, on another machine if need be, and put it at {path}; "
        "or set model.weights to '' (from scratch)."
    )


def _read(path: Path) -> dict[str, Tensor]:
    """A state dict; no pickle is executed."""
    check_readable(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        return {name.removeprefix("module."): value for name, value in state.items()}
    except Exception as error:  # zip, pickle, safetensors and torch raise their own
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path}: not a readable state dict ({said}). Give one as torch.save or safetensors "
            "write it."
        ) from None
