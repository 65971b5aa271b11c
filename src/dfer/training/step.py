"""A step of a training: loss and gradients of a batch, and the optimiser's update."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dfer.models.method import Criterion, Method
from dfer.settings import TrainSettings
from dfer.training.recorded import Recorded


class Step:
    """Steps of a model by a recipe; on a GPU what computes loss and gradients is recorded.

    A step draws from torch's generator what it draws there (dropout). The same batches give the
    same bytes, whenever a training began.

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
        self.compute = Recorded(self._compute, model) if self.is_recorded else self._compute

    def __call__(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Make a step; its loss () and the predicted class indices (B,).

        Args:
            inputs: clips (B, T, 3, H, W) uint8, or their frame features (B, T, D).
            labels: class indices (B,).
        """
        loss, found, *gradients = self.compute(inputs, labels)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        if self.max_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.max_norm)
        self.optimiser.step()
        return loss.clone(), found.clone()

    def _compute(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor | None, ...]:
        """Loss, predictions, and the gradient of each parameter."""
        self.model.zero_grad()
        with torch.autocast(
            self.device.type,
            self.dtype,
            enabled=self.dtype != torch.float32,
            cache_enabled=not self.is_recorded,
        ):
            if inputs.ndim == 3:
                v = self.model.aggregate(inputs)
                loss, logits = self.model.loss(v, labels, self.criterion)
            else:
                clips = self.normalise(inputs)
                loss, logits = self.model.loss_of_clips(clips, labels, self.criterion)
        loss.backward()
        gradients = (parameter.grad for parameter in self.parameters)
        return loss.detach(), logits.detach().argmax(1), *gradients
