"""A whole recogniser as ONNX: frames (B, T, 3, S, S) uint8 → logits (B, #class), B left open.

Normalisation is part of the graph, so that nobody can forget it. torch's exporter traces symbolic
shapes, and needs onnxscript. What it makes is run by ONNX Runtime on batches of several sizes, and
refused where it does not give what torch gives.
"""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from dfer.errors import UserError
from dfer.files import write_bytes
from dfer.models.backbone import normaliser
from dfer.models.checkpoint import TrainedRun
from dfer.models.lstm import BiLSTM
from dfer.predict.with_onnx import INPUT, OUTPUT, session_of

if TYPE_CHECKING:
    import onnx

LARGEST = 2**31 - 2**24  # bytes of weights: a file of ONNX has less than 2 GiB
BATCHES = (1, 2, 5)
TOLERANCE = 1e-4  # of a logit, and of its size


class Graph(nn.Module):
    """What is exported: uint8 frames → logits.

    The Bi-LSTM is computed by torch's own operator, which ONNX has, too.
    """

    def __init__(self, run: TrainedRun):
        super().__init__()
        self.model = copy.deepcopy(run.model).cpu().float().eval()
        self.normalise = normaliser(run.pixels, torch.device("cpu"))
        for module in list(self.model.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, BiLSTM):
                    setattr(module, name, _Plain(child))

    def forward(self, frames: Tensor) -> Tensor:
        return self.model(self.normalise(frames))


class _Plain(nn.Module):
    """A `BiLSTM` without its products for a CPU."""

    def __init__(self, lstm: BiLSTM):
        super().__init__()
        self.lstm = lstm

    def forward(self, x: Tensor) -> Tensor:
        return nn.LSTM.forward(self.lstm, x)[0]


def write_graph(run: TrainedRun, path: Path) -> float:
    """Write a run as ONNX, and compare it with torch.

    Returns:
        the largest difference of a logit.

    Raises:
        UserError: a package is missing, the method cannot be exported, or the graph does not give
            what torch gives.
    """
    _check_packages(path)
    method = run.settings.method
    size = sum(value.nbytes for value in run.model.state_dict().values())
    if size > LARGEST:
        raise UserError(
            f"{path}: {method} has weights of {size / 2**30:.1f} GiB, and a file of ONNX holds "
            "less than 2. Leave out --with-onnx."
        )
    frames = _frames(run, max(BATCHES))
    with torch.no_grad(), _without_fast_path():
        whole = Graph(run)
        expected = whole(frames)  # features of prompts that are the same for all clips are kept
        try:
            content = _exported(whole, frames[:2])
        except Exception as error:  # whatever the exporter meets, it is this method's
            raise UserError(
                f"{path}: {method} cannot be exported to ONNX ({type(error).__name__}: "
                f"{str(error).splitlines()[0]}). Leave out --with-onnx."
            ) from error
    write_bytes(content, path)
    try:
        return _compare(path, frames.numpy(), expected.numpy(), method)
    except UserError:
        path.unlink()
        raise


def _exported(whole: Graph, frames: Tensor) -> bytes:
    """The bytes of the graph; equal runs give equal ones."""
    shapes = {INPUT: {0: torch.export.Dim("batch")}}
    names = {"input_names": [INPUT], "output_names": [OUTPUT]}
    with _quiet():
        program = torch.export.export(whole, (frames,), dynamic_shapes=shapes, strict=False)
        made = torch.onnx.export(program, (), **names, dynamo=True, verbose=False)
    model = made.model_proto
    _forget_origin(model)
    return model.SerializeToString(deterministic=True)


def _forget_origin(model: "onnx.ModelProto") -> None:
    """Take out what the exporter notes of each node: source lines of this machine, by their path.

    The open size of a batch gets its name.
    """
    graph = model.graph
    del model.metadata_props[:], graph.value_info[:]
    for part in (graph, *graph.node, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    for part in (*graph.input, *graph.output):
        part.type.tensor_type.shape.dim[0].dim_param = "batch"


def _compare(path: Path, frames: np.ndarray, expected: np.ndarray, method: str) -> float:
    session = session_of(path, threads=1)
    largest = 0.0
    for batch in BATCHES:
        try:
            (found,) = session.run([OUTPUT], {INPUT: frames[:batch]})
        except Exception as error:  # ONNX Runtime's own, of no public class
            raise UserError(
                f"{path}: {method} cannot be exported to ONNX: a batch of {batch} fails "
                f"({str(error).splitlines()[0]}). Leave out --with-onnx."
            ) from None
        largest = max(largest, float(np.abs(found - expected[:batch]).max()))
        if not np.allclose(found, expected[:batch], rtol=TOLERANCE, atol=TOLERANCE):
            raise UserError(
                f"{path}: {method} cannot be exported to ONNX: its logits are off by {largest:.2g} "
                f"in a batch of {batch}. Leave out --with-onnx."
            )
    return largest


def _frames(run: TrainedRun, batch: int) -> Tensor:
    shape = (batch, run.settings.model.frames, 3, run.image_size, run.image_size)
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, np.uint8))


@contextmanager
def _without_fast_path() -> Iterator[None]:
    """torch's encoder layers as the operators that they consist of, not as one that is torch's."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter remarks of its own doing; its result is compared with torch's."""
    logger = logging.getLogger("onnxscript")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _check_packages(path: Path) -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            import_module(name)
        except ImportError as error:
            raise UserError(
                f"{path}: ONNX needs the package {name} ({error}). Install what is missing: pip "
                "install 'dfer[onnx]'"
            ) from None
