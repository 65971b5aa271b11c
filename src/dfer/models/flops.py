"""What a forward pass costs: multiply–accumulates (MACs) and parameters of a model.

Two counts of one clip: the true one, of all matrix products and convolutions; and the paper's
(Tables 2–4, "FLOPs"), which is what the package `thop` counts: nn.Conv2d, nn.Linear and nn.LSTM,
and nothing inside attention. Nothing is computed: tensors have shapes and no values.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dfer.models.attention import CrossAttention, SelfAttention
from dfer.models.backbone import vision_config
from dfer.models.recogniser import Recogniser
from dfer.settings import BackboneSettings, ModelSettings


@dataclass(frozen=True)
class Counts:
    """The cost of one clip's forward pass, text features cached."""

    macs_paper: int  # multiply–accumulates by the paper's convention
    macs_true: int  # multiply–accumulates of all matrix products and convolutions
    parameters: int  # trainable or not, without the text tower


def count(settings: ModelSettings, backbone: BackboneSettings, classes: int) -> Counts:
    """The cost of a `Recogniser`."""
    vision = vision_config(backbone.model)
    return count_module(
        lambda: _AsDefined(Recogniser(settings, vision, torch.empty(classes, vision.embed_dim))),
        (1, settings.frames, 3, vision.image_size, vision.image_size),
    )


class _AsDefined(nn.Module):
    """A recogniser with all tokens of all layers, those too that nothing reads."""

    def __init__(self, recogniser: Recogniser):
        super().__init__()
        self.recogniser = recogniser

    def forward(self, clips: Tensor) -> Tensor:
        return self.recogniser.classify(self.recogniser.features(clips, maps=[]))


def count_module(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> Counts:
    """The cost of the module that `build` makes, on one input of `shape`."""
    with torch.device("meta"), torch.no_grad():
        module = build().eval()
        layers = _PaperConvention(module)
        with FlopCounterMode(display=False) as flops:
            module(torch.empty(shape))
        parameters = sum(parameter.numel() for parameter in module.parameters())
    return Counts(layers.macs, flops.get_total_flops() // 2, parameters)


class _PaperConvention:
    """Hooks that add up what `thop` would count while a module runs."""

    def __init__(self, module: nn.Module):
        self.macs = 0
        self._watch(module)

    def _watch(self, module: nn.Module) -> None:
        if isinstance(module, SelfAttention | CrossAttention | nn.MultiheadAttention):
            return  # neither its projections nor its products are counted
        if isinstance(module, nn.Conv2d | nn.Linear | nn.LSTM):
            module.register_forward_hook(self._count)
        for child in module.children():
            self._watch(child)

    def _count(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            self.macs += output.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            self.macs += output.numel() * layer.in_features
        else:  # four gates with two biases a unit, then the cell's four element-wise products
            size, hidden = layer.input_size, layer.hidden_size
            cell = 4 * ((size + hidden) * hidden + hidden + 2 * hidden) + 4 * hidden
            steps = inputs[0].shape[0] * inputs[0].shape[1]
            self.macs += cell * steps * layer.num_layers * (1 + layer.bidirectional)
