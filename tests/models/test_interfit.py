"""InterFIT (Eq. 2) and what its tokens do to the frames (Eq. 3)."""

import numpy as np
import pytest
import reference
import torch
from goldens import check, fill, normal

from dfer.models.interfit import InterFIT
from dfer.models.vit import Block, ImageTower, VisionConfig

WIDTH, HEADS, FRAMES = 12, 3, 5
TOWER = VisionConfig(image_size=16, patch_size=8, width=16, layers=2, heads=2, embed_dim=8)


def test_interaction_tokens_are_equation_2():
    module = fill(InterFIT(WIDTH, HEADS).double())
    cls = normal(1, 2, FRAMES, WIDTH).double()
    expected = [reference.interfit(c, reference.parameters(module), HEADS) for c in cls.numpy()]
    np.testing.assert_allclose(module(cls).detach(), expected, rtol=1e-9, atol=1e-10)


def test_block_is_equation_3():
    block = fill(Block(WIDTH, HEADS, mlp_ratio=4.0, quick_gelu=True).double())
    interfit = fill(InterFIT(WIDTH, HEADS).double(), seed=1)
    z = normal(2, 2 * FRAMES, 4, WIDTH).double()  # two clips, a class token and three patches
    p, q = reference.parameters(block), reference.parameters(interfit)
    expected = []
    for clip in z.numpy().reshape(2, FRAMES, 4, WIDTH):
        tokens = reference.interfit(clip[:, 0], q, HEADS)
        for frame, token in zip(clip, tokens, strict=True):
            expected.append(reference.block(np.vstack([frame, token]), p, HEADS, tokens=4))
    np.testing.assert_allclose(block(z, FRAMES, interfit).detach(), expected, rtol=1e-9, atol=1e-10)
    expected = [reference.block(frame, p, HEADS, tokens=4) for frame in z.numpy()]
    np.testing.assert_allclose(block(z, FRAMES).detach(), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("changed", "seen"), [(0, 7), (7, 0)])
def test_a_frame_reaches_every_other_one_only_through_interfit(changed, seen):
    torch.manual_seed(0)
    tower = ImageTower(TOWER)
    interfit = [InterFIT(TOWER.width, TOWER.heads) for _ in range(TOWER.layers)]
    clips = torch.randn(2, 8, 3, 16, 16)
    other = clips.clone()
    other[0, changed] += 1
    with torch.no_grad():
        alone = (tower(clips) - tower(other)).abs().amax(-1)  # (2, 8)
        linked = (tower(clips, interfit) - tower(other, interfit)).abs().amax(-1)
    assert alone[0, changed] > 1e-3
    assert alone.sum() == alone[0, changed]
    assert linked[0, seen] > 1e-5
    assert linked[1].max() == 0  # the other clip of the batch


def test_under_autocast_only_operands_of_products_are_rounded():
    module, seen = fill(InterFIT(WIDTH, HEADS)), []
    module.lstm.register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
    cls = normal(1, 2, FRAMES, WIDTH)
    with torch.autocast("cpu", torch.bfloat16):
        output = module(cls)
    assert seen == [torch.float32]
    torch.testing.assert_close(output.float(), module(cls), rtol=0.05, atol=0.1)  # bf16: 3 digits


def test_golden():
    check("interfit", fill(InterFIT(WIDTH, HEADS))(normal(1, 1, FRAMES, WIDTH)))
