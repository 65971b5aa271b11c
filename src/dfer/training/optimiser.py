"""The optimiser of a recipe: which parameters it has, at which rates, and which of them decay."""

from typing import Any

import torch
from torch import nn

from dfer.errors import UserError
from dfer.models.method import Method, part_of
from dfer.settings import TrainSettings


def new_optimiser(model: Method, recipe: TrainSettings) -> torch.optim.Optimizer:
    """The optimiser of a recipe, of the parts that it does not freeze.

    Raises:
        UserError: it freezes all that the model has.
    """
    model.train_parts(recipe.frozen)
    groups = parameter_groups(model, recipe)
    if not groups:
        raise UserError(
            f"train.frozen ({', '.join(recipe.frozen)}): nothing of this model is left to train. "
            "Freeze fewer parts, or give this variant `train: {frozen: []}`."
        )
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(groups, momentum=recipe.momentum)
    kind = torch.optim.Adam if recipe.optimiser == "adam" else torch.optim.AdamW
    return kind(groups, betas=recipe.betas, eps=recipe.eps, fused=True)


def parameter_groups(model: Method, recipe: TrainSettings) -> list[dict[str, Any]]:
    """An optimiser's groups: by learning rate, each with and without weight decay.

    Biases and other 1-D parameters do not decay, unless `decay_all`. A part has the rate of
    `part_lr`; else the image tower learns at `lr` and what is new at `lr` × `lr_factor`.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = part_of(name)
            factor = 1.0 if part == "image" else recipe.lr_factor
            if part in recipe.part_lr:
                factor = recipe.part_lr[part] / recipe.lr
            decays = parameter.ndim > 1 or recipe.decay_all
            groups.setdefault((factor, decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": recipe.lr,
            "lr_factor": factor,
            "weight_decay": recipe.weight_decay if decays else 0.0,
        }
        for (factor, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def set_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate `lr` of the image tower, and of each other group by its factor."""
    for group in optimiser.param_groups:
        group["lr"] = lr * group["lr_factor"]
