"""Stored outputs: a module filled by a documented rule must give them to the last digits.

`DFER_WRITE_GOLDEN=1 pytest …` writes `tests/golden/*.json` anew, after a change that is meant.
"""

import json
import os
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).with_name("golden")


def normal(seed, *shape):
    """Standard normal float32 numbers from numpy's PCG64, whose stream is fixed for all time."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).float()


def fill(module, seed=0):
    """The same weights everywhere: parameter n, by name, is N(0, 0.3²) from seed [seed, n]."""
    with torch.no_grad():
        for n, (_, parameter) in enumerate(sorted(module.named_parameters())):
            parameter.copy_(0.3 * normal([seed, n], *parameter.shape))
    return module


def check(name, output):
    """Compare a tensor with the stored one."""
    path = FOLDER / f"{name}.json"
    if os.environ.get("DFER_WRITE_GOLDEN"):
        path.write_text(json.dumps(np.round(output.detach().double().numpy(), 6).tolist()) + "\n")
    stored = torch.tensor(json.loads(path.read_text()))
    torch.testing.assert_close(output.detach().float(), stored, rtol=1e-5, atol=1e-5)
