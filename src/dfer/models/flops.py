"""What a forward pass costs: multiply–accumulates (MACs) and parameters of a model.

Two counts of one clip: the true one, of all matrix products and convolutions; and the paper's
(Tables 2–4, "FLOPs"), which is what the package `thop` counts: nn.Conv2d, nn.Linear and nn.LSTM,
and nothing inside attention. Nothing is computed: tensors have shapes and no values.

What `thop` misses and what it counts twice, for who compares numbers:

    nn.MultiheadAttention   has a rule for none of its parts: neither the projections nor the two
                            products are counted, a third of a vision transformer
    x @ parameter           CLIP's projections are no modules, so they are not seen
    a module of two parents is counted once for each. DFER-CLIP's object holds CLIP's towers under
                            several names: as a whole it "has" 148.6 G at T = 8 and 242.9 G at
                            T = 16, where its parts have 37.2 G and 60.7 G
    functions               what is called as a function (F.linear, softmax) is not seen

Text that is the same for all clips is read once, before the count; CoCoOp's is another one for each
clip and is counted, up to the end token of the longest prompt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dfer.models.attention import CrossAttention, SelfAttention
from dfer.models.clip_method import ClipMethod
from dfer.models.method import Method, architecture, image_size, make, part_of
from dfer.settings import BackboneSettings


@dataclass(frozen=True)
class Counts:
    """The cost of one clip's forward pass, text features cached."""

    macs_paper: int  # multiply–accumulates by the paper's convention
    macs_true: int  # multiply–accumulates of all matrix products and convolutions
    parameters: int  # trainable or not, without the text tower
    trained: int  # those that the method trains


def count(settings: Any, backbone: BackboneSettings, words: Sequence[str]) -> Counts:
    """The cost of a method.

    Args:
        settings: of the method.
        words: the class words.
    """
    known = architecture(settings, backbone)
    text = torch.empty(len(words), known.get("embed_dim", 0))
    size = image_size(settings, backbone)
    return count_module(
        lambda: AsDefined(make(settings, known, words, text.to("meta"))),
        (1, settings.frames, 3, size, size),
    )


class AsDefined(nn.Module):
    """A method with all tokens of all layers, those too that nothing reads."""

    def __init__(self, model: Method):
        super().__init__()
        self.model = model
        self.eval()
        if isinstance(model, ClipMethod):  # text, once for all
            proj = model.image.proj
            model.classify(torch.empty(1, proj.shape[1], device=proj.device))

    def forward(self, clips: Tensor) -> Tensor:
        return self.model.classify(self.model.features(clips, maps=[]))


def count_module(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> Counts:
    """The cost of the module that `build` makes, on one input of `shape`."""
    with torch.device("meta"), torch.no_grad():
        module = build()
        if module.training:
            module.eval()
        layers = _PaperConvention(module)
        with FlopCounterMode(display=False) as flops:
            module(torch.empty(shape))
    named = [(name.removeprefix("model."), p) for name, p in module.named_parameters()]
    parameters = sum(p.numel() for name, p in named if part_of(name) != "tower")
    trained = sum(p.numel() for _, p in named if p.requires_grad)
    return Counts(layers.macs, flops.get_total_flops() // 2, parameters, trained)


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
