"""MSTA (Eq. 4–8)."""

import numpy as np
import pytest
import reference
from goldens import check, fill, normal

from dfer.errors import UserError
from dfer.models.msta import MSTA

WIDTH = 6


def msta(z, p, kernels, strides):
    """Equations 4–8 of one clip z (T, D), channel by channel and step by step."""
    frames, width = z.shape
    scales = []  # Z_i, each (D, t)
    for k, s in zip(kernels, strides, strict=True):
        starts = range(0, frames - k + 1, s)
        scales.append(np.array([[z[t : t + k, c].max() for t in starts] for c in range(width)]))
    fused = scales[0] + scales[1] + scales[2]
    u = []
    for i in range(3):
        fc = reference.under(p, f"weigh.{i}")
        columns = [reference.linear(fused[:, t], fc) for t in range(fused.shape[1])]
        u.append(np.array(columns).T)
    weighted = np.zeros_like(fused)
    for c in range(width):
        for t in range(fused.shape[1]):
            e = [np.exp(u[i][c, t]) for i in range(3)]
            weighted[c, t] = sum(e[i] / sum(e) * scales[i][c, t] for i in range(3))
    return reference.linear(weighted.reshape(-1), reference.under(p, "project"))


@pytest.mark.parametrize(
    ("frames", "kernels", "strides"),
    [(8, (5, 5, 7), (3, 3, 1)), (8, (3, 5, 7), (3, 3, 1)), (16, (5, 6, 7), (3, 3, 3))],
)
def test_equals_equations_4_to_8(frames, kernels, strides):
    module = fill(MSTA(WIDTH, frames, kernels, strides).double())
    z = normal(1, 3, frames, WIDTH).double()
    p = reference.parameters(module)
    expected = [msta(clip, p, kernels, strides) for clip in z.numpy()]
    np.testing.assert_allclose(module(z).detach(), expected, rtol=1e-9, atol=1e-10)


def test_scales_of_different_length_are_refused_with_the_numbers():
    with pytest.raises(UserError, match=r"\(5, 5, 7\).*\(3, 3, 1\).*T = 16.*\[4, 4, 10\]"):
        MSTA(WIDTH, 16, (5, 5, 7), (3, 3, 1))
    with pytest.raises(UserError, match=r"T = 4 frames"):
        MSTA(WIDTH, 4, (5, 5, 5), (1, 1, 1))


def test_golden():
    check("msta", fill(MSTA(WIDTH, 8, (5, 5, 7), (3, 3, 1)))(normal(1, 2, 8, WIDTH)))
