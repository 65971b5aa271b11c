"""What a GPU computes, recorded once for each size of input and played back (CUDA graphs).

A training step of the full model is some 3,000 kernels, which an H100 is done with in half of the
time that Python takes to launch them.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

WARM_UP = 2  # calls before a recording, in which libraries make their choices


class Recording(NamedTuple):
    """Recorded kernels, and the tensors that they read and write each time."""

    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor | None, ...]


class Recorded:
    """A function of tensors on a GPU, played back from a recording.

    Recording changes neither torch's generator nor the model. What is drawn (dropout) is drawn anew
    each time, and weights that change in their place count as they are. But casts of weights that
    autocast keeps are no part of a recording: where weights change its cache must be off, and else
    the recordings may live no longer than it.

    Args:
        compute: its result hangs on its arguments and on the model alone.
        model: what it computes with.
    """

    def __init__(self, compute: Callable[..., tuple[Tensor | None, ...]], model: nn.Module) -> None:
        self.compute, self.model = compute, model
        self.recordings: dict[tuple[torch.Size, ...], Recording] = {}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor | None, ...]:
        """What `compute` returns. The next call writes over it."""
        sizes = tuple(given.shape for given in inputs)
        if sizes not in self.recordings:
            self.recordings[sizes] = self._record(inputs)
        recording = self.recordings[sizes]
        for own, given in zip(recording.inputs, inputs, strict=True):
            own.copy_(given)
        recording.graph.replay()
        return recording.outputs

    def _record(self, inputs: tuple[Tensor, ...]) -> Recording:
        device = inputs[0].device
        own = tuple(given.clone() for given in inputs)
        drawn = torch.cuda.get_rng_state(device)
        kept = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        here, aside = torch.cuda.current_stream(device), torch.cuda.Stream(device)
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                self.compute(*own)
        here.wait_stream(aside)
        for buffer, before in kept:  # running means
            buffer.copy_(before)
        self.model.zero_grad()
        torch.cuda.empty_cache()
        graph = torch.cuda.CUDAGraph()
        # All sizes share memory: only one is played at a time. Loaders may pin theirs meanwhile.
        pools = [recording.graph.pool() for recording in self.recordings.values()]
        pool = pools[0] if pools else None
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            outputs = self.compute(*own)
        torch.cuda.set_rng_state(drawn, device)
        return Recording(graph, own, outputs)
