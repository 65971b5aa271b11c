"""The counter of multiply–accumulates against counts by hand."""

import pytest
import torch
from torch import nn

from dfer.models import flops
from dfer.models.attention import SelfAttention
from dfer.settings import BackboneSettings, ModelSettings

WORDS = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
VIT_B_32 = BackboneSettings("ViT-B-32-quickgelu", None)


@pytest.mark.slow
def test_interfit_s_true_cost_is_the_sum_of_its_products():
    off = {"aggregation": "mean", "blocks": 0, "interfit": False}
    without = flops.count(ModelSettings(**off), VIT_B_32, WORDS)
    with_ = flops.count(ModelSettings(**off | {"interfit": True}), VIT_B_32, WORDS)
    width, frames, tokens = 768, 8, 50
    message = frames * width**2
    lstm = frames * 2 * 4 * (width + width) * width
    fuse = frames * 2 * width * width
    temporal = frames * 4 * width**2 + 2 * frames**2 * width
    spatial = frames * (4 * width**2 + 2 * ((tokens + 1) ** 2 - tokens**2) * width)
    expected = 12 * (message + lstm + fuse + temporal + spatial)
    assert with_.macs_true - without.macs_true == expected


def test_convention_counts_layers_and_nothing_inside_attention():
    def build():
        embed = nn.Sequential(nn.Conv2d(3, 16, 2, stride=2), nn.Flatten(2))
        return nn.Sequential(embed, SelfAttention(16, 2), nn.Linear(16, 5))

    counts = flops.count_module(build, (2, 3, 8, 8))  # 16 channels are 16 tokens of width 16
    convolution, linear = 2 * 16 * 16 * (3 * 2 * 2), 2 * 16 * 16 * 5
    assert counts.macs_paper == convolution + linear
    attention = 2 * (4 * 16**2 * 16 + 2 * 16**2 * 16)
    assert counts.macs_true == convolution + linear + attention


def test_longer_clips_and_other_backbones_are_counted_too():
    vit_b_16 = BackboneSettings("ViT-B-16-quickgelu", None)
    settings = {"aggregation": "mean", "blocks": 0, "interfit": False}
    eight = flops.count(ModelSettings(**settings), vit_b_16, WORDS)
    sixteen = flops.count(ModelSettings(**settings, frames=16), vit_b_16, WORDS)
    assert sixteen.macs_true == 2 * eight.macs_true
    assert eight.macs_true > 3.5 * flops.count(ModelSettings(**settings), VIT_B_32, WORDS).macs_true


@pytest.mark.parametrize("enabled", [True, False])
def test_counting_leaves_onednn_as_it_was(enabled):
    before = torch.backends.mkldnn.set_flags(_enabled=enabled)
    try:
        flops.count_module(lambda: nn.Linear(2, 2), (1, 2))
        assert torch.backends.mkldnn.set_flags()[0] == enabled
    finally:
        torch.backends.mkldnn.set_flags(_enabled=before[0])
