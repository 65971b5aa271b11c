"""A new CLIP to pretrain on one's own images against a frozen text tower (the demo's)."""

import open_clip
import torch

from dfer.models.clip import load_clip

TEXT_GAIN = 8  # of the text tower's query, key and value projections; twice that on its output


def new_clip(config: str, seed: int) -> open_clip.CLIP:
    """A CLIP of the JSON configuration `config`, its weights drawn from `seed` alone.

    A text tower as open_clip draws it maps all short texts to almost the same point (the residual
    of the end token drowns what attention brings from the words), so a frozen one would give every
    class the same feature. Louder attention (`TEXT_GAIN`) lets the words through: they end up as
    distinct, though meaningless, directions.

    The caller's random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip = load_clip(config, weights=None)
    with torch.no_grad():
        for block in clip.transformer.resblocks:
            block.attn.in_proj_weight.mul_(TEXT_GAIN)
            block.attn.out_proj.weight.mul_(2 * TEXT_GAIN)
    return clip
