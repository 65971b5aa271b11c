"""BiEhPro (Eq. 10–11)."""

import numpy as np
import pytest
import reference
import torch
from goldens import check, fill, normal
from reference import under

from dfer.models.biehpro import BiEhPro

WIDTH, CLASSES, BATCH = 8, 4, 3


def prompts(k, v, p, blocks):
    """Equation 10 for text tokens k (L, D) and video tokens v (S, D): both after M blocks."""
    for m in range(blocks):
        b = under(p, f"blocks.{m}")
        normed_k = reference.layer_norm(k, under(b, "norm_text"))
        normed_v = reference.layer_norm(v, under(b, "norm_visual"))
        k_bar = k + reference.attention(normed_k, normed_v, under(b, "text.attn"), heads=1)
        k = k_bar + ffn(k_bar, under(b, "text"))
        if under(b, "visual"):
            v_bar = v + reference.attention(normed_v, normed_k, under(b, "visual.attn"), heads=1)
            v = v_bar + ffn(v_bar, under(b, "visual"))
    return k, v


def ffn(x, p):
    return reference.mlp(reference.layer_norm(x, under(p, "norm")), under(p, "ffn"))


def inputs():
    return normal(1, CLASSES, WIDTH).double(), normal(2, BATCH, WIDTH).double()


def module(blocks, **options):
    return fill(BiEhPro(WIDTH, blocks, **options).double())


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_pairs_equal_equations_10_and_11(blocks):
    k, v = inputs()
    biehpro = module(blocks)
    p = reference.parameters(biehpro)
    k_hat, v_hat = biehpro(k, v)
    for b in range(BATCH):
        for j in range(CLASSES):
            k_j, v_b = k[j : j + 1].numpy(), v[b : b + 1].numpy()
            k_tilde, v_tilde = prompts(k_j, v_b, p, blocks)
            expected = (k_j + p["alpha"] * k_tilde)[0], (v_b + p["beta"] * v_tilde)[0]
            np.testing.assert_allclose(k_hat[b, j].detach(), expected[0], rtol=1e-9, atol=1e-10)
            np.testing.assert_allclose(v_hat[b, j].detach(), expected[1], rtol=1e-9, atol=1e-10)


def test_joint_lets_the_video_attend_to_all_classes():
    k, v = inputs()
    biehpro = module(2, pairing="joint")
    p = reference.parameters(biehpro)
    k_hat, v_hat = biehpro(k, v)
    assert v_hat.shape == (BATCH, 1, WIDTH)
    for b in range(BATCH):
        k_tilde, v_tilde = prompts(k.numpy(), v[b : b + 1].numpy(), p, blocks=2)
        expected = k + p["alpha"] * k_tilde, v[b] + (p["beta"] * v_tilde)[0]
        np.testing.assert_allclose(k_hat[b].detach(), expected[0], rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(v_hat[b, 0].detach(), expected[1], rtol=1e-9, atol=1e-10)


def test_text_prompt_alone_leaves_the_video_feature_as_it_is():
    k, v = inputs()
    biehpro = module(2, prompts="text")
    k_hat, v_hat = biehpro(k, v)
    assert torch.equal(v_hat, v.unsqueeze(1))
    k_tilde, _ = prompts(k[:1].numpy(), v[:1].numpy(), reference.parameters(biehpro), blocks=2)
    expected = k[:1] + biehpro.alpha.detach() * torch.from_numpy(k_tilde)
    np.testing.assert_allclose(k_hat[0, :1].detach(), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("pairing", "linked"), [("pair", False), ("joint", True)])
def test_classes_see_each_other_only_when_joint(pairing, linked):
    k, v = inputs()
    other = k.clone()
    other[0, 0] += 1
    biehpro = module(2, pairing=pairing)
    difference = (biehpro(k, v)[0] - biehpro(other, v)[0])[:, 1:].abs().max()
    assert (difference > 1e-6) == linked


def test_alpha_and_beta_start_where_they_are_told_and_learn():
    k, v = inputs()
    biehpro = BiEhPro(WIDTH, 1, alpha=0.0, beta=0.25).double()
    k_hat, v_hat = biehpro(k, v)
    assert torch.equal(k_hat, k.expand(BATCH, -1, -1))
    assert (biehpro.beta == 0.25).all()
    (k_hat.square().sum() + v_hat.square().sum()).backward()
    assert biehpro.alpha.grad.abs().min() > 0
    assert biehpro.beta.grad.abs().min() > 0


@pytest.mark.parametrize("pairing", ["pair", "joint"])
def test_golden(pairing):
    k, v = (x.float() for x in inputs())
    k_hat, v_hat = fill(BiEhPro(WIDTH, 2, pairing=pairing))(k, v)
    check(f"biehpro-{pairing}", torch.cat([k_hat, v_hat], dim=1))
