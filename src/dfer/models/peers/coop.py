"""CoOp: a context that is learnt in place of a template's words, both towers frozen.

Zhou, Yang, Loy & Liu, "Learning to Prompt for Vision-Language Models", IJCV 2022.

    P_j = [v_1 … v_n, word_j, "."],   K_j = text tower of P_j,   logits_j = cos(V, K_j) / τ

v (n, W) is shared by all classes, or each has its own. The word may stand behind the context (end),
before it (front), or within (middle); the full stop closes the prompt in each.

On clips V is the mean of the frame features: the original is of images. Shapes: (B, T, 3, H, W) →
(B, #class).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from dfer.methods.coop import Settings
from dfer.models.peers.prompt_learner import Prompted, layout


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> Prompted:
    """See `dfer.models.method.make`."""
    layouts = [layout(word, settings.context, settings.position, stop=".") for word in words]
    contexts = len(words) if settings.class_specific else 1
    return Prompted(settings, architecture, layouts, (contexts, settings.context))
