"""A step of a training: loss and gradients of a batch, and the optimiser's update.

On a GPU what computes loss and gradients is recorded once for each size of batch and played back
(a CUDA graph). A step of the full model is some 3,000 kernels, which an H100 is done with in half
of the time that Python takes to launch them.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dfer.models.method import Criterion, Method
from dfer.settings import TrainSettings

WARM_UP = 2  # steps before a recording, in which libraries make their choices


class Recording(NamedTuple):
    """A recorded step, and the tensors that it reads and writes each time."""

    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, Tensor]
    outputs: tuple[Tensor, Tensor]
    gradients: list[Tensor | None]


class Step:
    """Steps of a model by a recipe.

    A step draws from torch's generator what it draws there (dropout); recording changes neither
    the generator nor the model. The same batches give the same bytes, whenever a training began.

    Args:
        model: on its device.
        optimiser: of its parameters; its learning rates may be set between two steps.
        normalise: from uint8 frames to what the model wants.
        dtype: of matrix products.
        criterion: the cross-entropy.
    """

    def __init__(
        self,
        model: Method,
        optimiser: torch.optim.Optimizer,
        recipe: TrainSettings,
        normalise: Callable[[Tensor], Tensor],
        dtype: torch.dtype,
        criterion: Criterion,
    ) -> None:
        self.model, self.optimiser, self.criterion = model, optimiser, criterion
        self.normalise, self.dtype = normalise, dtype
        self.max_norm = recipe.max_gradient_norm
        self.parameters = list(model.parameters())
        self.device = self.parameters[0].device
        self.is_recorded = self.device.type == "cuda" and not recipe.gradient_checkpointing
        self.recordings: dict[torch.Size, Recording] = {}

    def __call__(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Make a step; its loss () and the predicted class indices (B,).

        Args:
            inputs: clips (B, T, 3, H, W) uint8, or their frame features (B, T, D).
            labels: class indices (B,).
        """
        compute = self._play if self.is_recorded else self._compute
        loss, found = compute(inputs, labels)
        if self.max_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.max_norm)
        self.optimiser.step()
        return loss, found

    def _compute(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and predictions, with gradients of the parameters in their place."""
        self.optimiser.zero_grad()
        with torch.autocast(
            self.device.type,
            self.dtype,
            enabled=self.dtype != torch.float32,
            cache_enabled=not self.is_recorded,  # a cast that is kept is no part of a recording
        ):
            if inputs.ndim == 3:
                v = self.model.aggregate(inputs)
                loss, logits = self.model.loss(v, labels, self.criterion)
            else:
                clips = self.normalise(inputs)
                loss, logits = self.model.loss_of_clips(clips, labels, self.criterion)
        loss.backward()
        return loss.detach(), logits.detach().argmax(1)

    def _play(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """As `_compute`, from a recording."""
        if inputs.shape not in self.recordings:
            self.recordings[inputs.shape] = self._record(inputs, labels)
        recording = self.recordings[inputs.shape]
        for own, given in zip(recording.inputs, (inputs, labels), strict=True):
            own.copy_(given)
        recording.graph.replay()
        for parameter, gradient in zip(self.parameters, recording.gradients, strict=True):
            parameter.grad = gradient
        loss, found = recording.outputs
        return loss.clone(), found.clone()

    def _record(self, inputs: Tensor, labels: Tensor) -> Recording:
        """Record a step on batches of this size."""
        own = inputs.clone(), labels.clone()
        drawn = torch.cuda.get_rng_state(self.device)
        kept = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        here, aside = torch.cuda.current_stream(self.device), torch.cuda.Stream(self.device)
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                self._compute(*own)
        here.wait_stream(aside)
        for buffer, before in kept:  # running means
            buffer.copy_(before)
        self.optimiser.zero_grad()
        torch.cuda.empty_cache()
        graph = torch.cuda.CUDAGraph()
        # All sizes share memory: only one is played at a time. Loaders may pin theirs meanwhile.
        pools = [recording.graph.pool() for recording in self.recordings.values()]
        pool = pools[0] if pools else None
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            outputs = self._compute(*own)
        torch.cuda.set_rng_state(drawn, self.device)
        return Recording(graph, own, outputs, [p.grad for p in self.parameters])
