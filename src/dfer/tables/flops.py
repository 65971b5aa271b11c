"""What a forward pass costs: the paper's FLOPs column, checked without data.

The column counts multiply–accumulates (MACs) of one clip of 8 frames and 7 classes as the package
`thop` does: nn.Conv2d, nn.Linear and nn.LSTM, and nothing inside attention. The true count is
given beside it. Nothing is computed: tensors have shapes and no values.

    python -m dfer.tables.flops --out results/flops.parquet
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from dfer.errors import stage
from dfer.files import write_parquet, write_text
from dfer.models.attention import CrossAttention, SelfAttention
from dfer.models.backbone import vision_config
from dfer.models.recogniser import Recogniser
from dfer.settings import BackboneSettings, ModelSettings

CLIP = BackboneSettings(model="ViT-B-32-quickgelu", weights=None)
CLASSES = 7
BASELINE = {"interfit": False, "aggregation": "mean", "blocks": 0}

# Name in the paper, its cells, the value printed there (G), settings.
CONFIGURATIONS = (
    ("Baseline", "Table 2, row 1", 23.58, BASELINE),
    ("InterFIT", "Table 2, row 2", 24.65, {"aggregation": "mean", "blocks": 0}),
    ("InterFIT+MSTA", "Table 2, row 3", 24.65, {"blocks": 0}),
    ("w/o text", "Table 3, row 1", 24.65, {"blocks": 0, "head": "linear"}),
    ("M=1", "Table 4, row 1", 24.68, {"blocks": 1}),
    (
        "InterFIT+MSTA+BiEhPro (M=2)",
        "Table 2, row 4; Table 3, row 2; Table 4, row 2",
        24.71,
        {"blocks": 2},
    ),
    ("M=3", "Table 4, row 3", 24.74, {"blocks": 3}),
    ("M=4", "Table 4, row 4", 24.77, {"blocks": 4}),
    ("M=5", "Table 4, row 5", 24.80, {"blocks": 5}),
)


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
        lambda: Recogniser(settings, vision, torch.empty(classes, vision.embed_dim)),
        (1, settings.frames, 3, vision.image_size, vision.image_size),
    )


def count_module(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> Counts:
    """The cost of the module that `build` makes, on one input of `shape`.

    oneDNN is switched off inside, because its LSTM is one opaque call that no counter looks into.
    """
    before = torch.backends.mkldnn.set_flags(_enabled=False)
    try:
        with FakeTensorMode(), torch.no_grad():
            module = build().eval()
            layers = _PaperConvention(module)
            with FlopCounterMode(display=False) as flops:
                module(torch.empty(shape))
            parameters = sum(parameter.numel() for parameter in module.parameters())
    finally:
        torch.backends.mkldnn.set_flags(_enabled=before[0])
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


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="output: the costs")
    parser.add_argument("--text", type=Path, help="output: the same, to read")
    return parser


def main(args: argparse.Namespace) -> None:
    """Write the table, macs and reported in G, parameters in M, and print it."""
    rows = []
    for configuration, cells, reported, settings in CONFIGURATIONS:
        counts = count(ModelSettings(**settings), CLIP, CLASSES)
        rows.append(
            {
                "configuration": configuration,
                "cells": cells,
                "reported": reported,
                "macs_paper": counts.macs_paper / 1e9,
                "macs_true": counts.macs_true / 1e9,
                "parameters": counts.parameters / 1e6,
            }
        )
    table = pd.DataFrame(rows)
    write_parquet(table, args.out)
    text = (
        "Multiply–accumulates (G) and parameters (M) of one clip, ViT-B/32, 8 frames, 7 classes\n"
    )
    text += table.drop(columns="cells").to_string(index=False) + "\n"
    if args.text:
        write_text(text, args.text)
    print(text, end="")


if __name__ == "__main__":
    stage(main, parser())
