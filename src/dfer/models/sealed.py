"""safetensors with a header and a digest of all that they hold: the format itself has no checksum.

Equal header and tensors give equal bytes.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dfer.files import check_readable, write_bytes

HEADER, SEAL = "header", "sha256"  # safetensors' one text entry; in it, the digest of all else


def save_sealed(header: dict[str, Any], tensors: dict[str, Tensor], path: Path | str) -> None:
    """Write `tensors` and a JSON-able `header` that does not use the name "sha256"."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    header = header | {SEAL: _digest(header, tensors)}
    text = json.dumps(header, sort_keys=True)  # one entry: safetensors keeps no order of two
    write_bytes(save(tensors, {HEADER: text}), path)


def read_sealed(path: Path | str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The header and the tensors that `save_sealed` wrote, on the CPU.

    Raises:
        UserError: the file may not be read.
        FileNotFoundError: it is not there.
        ValueError: it is something else, or not as it was written.
    """
    check_readable(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        seal = header.pop(SEAL)
    except (SafetensorError, OSError, KeyError, AttributeError, TypeError, RuntimeError) as error:
        raise ValueError(f"not a sealed safetensors file: {error}") from None
    if seal != _digest(header, tensors):
        raise ValueError("its content is not what was written")
    return header, tensors


def _digest(header: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    found = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()
