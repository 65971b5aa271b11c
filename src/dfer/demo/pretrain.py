"""The demo's small CLIP: both towers taught from nothing on captioned stills of rendered people.

Real runs start from a CLIP that has seen millions of faces; nothing of the kind can be shipped.
This one learns from stills of people who are in no clip of the demo, by CLIP's own contrast of
images with texts. A batch's images meet every phrase of the captions' vocabulary and some captions
composed anew. Which of them are true of which image is known (`dfer.demo.vocabulary`), and all that
are true share the target, where CLIP would take all but an image's own caption for false.

    python -m dfer.demo.pretrain --architecture config/backbone/demo.json --splits 1.parquet
        --store store/*.arrow --captions captions.csv --epochs 16 --batch 128 --lr 8e-4
        --seed 0 --out backbone.safetensors
"""

import argparse
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save as as_safetensors
from torch import Tensor, nn

from dfer.clips.augment import augment, draw
from dfer.clips.store import ClipStore
from dfer.demo.captions import read_captions
from dfer.demo.small_backbone import new_backbone
from dfer.demo.vocabulary import (
    LOOKS,
    asserted,
    compose,
    kind,
    mirrored,
    phrases,
)
from dfer.errors import UserError, stage
from dfer.files import read_parquet, write_bytes
from dfer.models.backbone import normaliser, pixel_statistics, vision_config
from dfer.models.text_tower import encode
from dfer.models.vit import ImageTower, VisionConfig
from dfer.settings import AugmentSettings, BackboneSettings, TrainSettings
from dfer.training.schedule import learning_rate

WARMUP = 0.1  # of the epochs
WEIGHT_DECAY = 0.1
BETAS = (0.9, 0.98)
LARGEST_GRADIENT_NORM = 1.0
LARGEST_SCALE = 100.0  # of the logits, as CLIP's
COMPOSED = 48  # captions that a batch's images are contrasted with, beside all phrases
CROP = AugmentSettings(crop_scale=(0.9, 1.0), brightness=0, contrast=0, saturation=0, hue=0)
# In the loss, beside the face units and how strong they are:
CALLED_WEIGHT = 0.3  # what the expression is called, which is loose
LOOKS_WEIGHT = 0.25  # who and how


@dataclass(frozen=True)
class Stills:
    """Images with all that is true of each.

    Attributes:
        pixels: (stills, height, width, 3) uint8.
        facts: of each still.
        captions: of each still, one that says some of them.
    """

    pixels: np.ndarray
    facts: list[frozenset[str]]
    captions: list[str]


def read_stills(store: ClipStore, clips: Sequence[str], captions: Path, size: int) -> Stills:
    """The stills of `clips`, each side at least `size` pixels, with what is true of them.

    Raises:
        UserError: not as many captions as stills.
    """
    found = read_captions(captions)
    frames = [store.frames(clip, range(store.length(clip)), min_size=size) for clip in clips]
    for clip, images in zip(clips, frames, strict=True):
        if (count := len(found.get(clip, ()))) != len(images):
            raise UserError(
                f"{captions}: {count} captions of {clip}, and {len(images)} stills in the store. "
                "Delete it and run again."
            )
    said = [caption for clip in clips for caption in found[clip]]
    return Stills(np.concatenate(frames), [c.facts for c in said], [c.text for c in said])


def truth(stills: Iterable[frozenset[str]], texts: Sequence[frozenset[str]]) -> Tensor:
    """(stills, texts) float32: 1 where all that a text asserts is true of a still."""
    return torch.tensor([[float(asserted <= facts) for asserted in texts] for facts in stills])


class TextTower:
    """A CLIP's text tower, while it learns the tokens of some texts alone.

    The other rows of the token embedding, 49,000 and more, have no gradient and stay as they are;
    as parameters they would take a quarter of each step.
    """

    def __init__(self, clip: open_clip.CLIP, texts: Sequence[str]) -> None:
        self.clip, self.whole = clip, clip.token_embedding
        self.tokenise = SimpleTokenizer(context_length=clip.context_length)
        self.known = self.tokenise(list(texts)).unique()
        clip.token_embedding = nn.Embedding.from_pretrained(
            self.whole.weight.detach()[self.known], freeze=False
        )

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Features (texts, D) of unit length, computed up to the longest text's end."""
        tokens = self.tokenise(list(texts))
        ends = tokens.argmax(1)  # the end token is the largest
        length = int(ends.max()) + 1
        rows = torch.searchsorted(self.known, tokens)[:, :length]
        return F.normalize(encode(self.clip, self.clip.token_embedding(rows), ends), dim=-1)

    def close(self) -> None:
        """Put what was learnt into the CLIP's own embedding, and that into the CLIP again."""
        with torch.no_grad():
            self.whole.weight[self.known] = self.clip.token_embedding.weight
        self.clip.token_embedding = self.whole


def spread(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy of rows of logits with a target that all true entries of a row share equally.

    Rows of which nothing is true do not count.
    """
    true = truth.sum(1, keepdim=True)
    shared = -(truth / true.clamp(min=1) * F.log_softmax(logits, dim=1)).sum()
    return shared / (true > 0).sum().clamp(min=1)


def phrases_loss(logits: Tensor, truth: Tensor, kinds: Mapping[str, list[int]]) -> Tensor:
    """Images (rows) against phrases: what it is called, units and their strength, and looks.

    Within a kind phrases exclude or share each other; looks count together as one kind.
    """
    losses = {k: spread(logits[:, columns], truth[:, columns]) for k, columns in kinds.items()}
    looks = torch.stack([losses[name] for name in LOOKS]).mean()
    rest = CALLED_WEIGHT * losses["called"] + LOOKS_WEIGHT * looks
    return losses["unit"] + losses["strength"] + rest


def captions_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Images (rows) against composed captions (columns), CLIP's two ways."""
    return (spread(logits, truth) + spread(logits.t(), truth.t())) / 2


def teach(
    clip: open_clip.CLIP,
    vision: VisionConfig,
    stills: Stills,
    normalise: Callable[[Tensor], Tensor],
    settings: TrainSettings,
    seed: int,
) -> None:
    """Train both towers of `clip`, in place.

    Args:
        vision: the shape of its image tower.
        normalise: from uint8 frames to what the image tower wants.
        settings: epochs, batch and learning rate are used.
        seed: of order, crops and captions.
    """
    rng, vocabulary = np.random.default_rng(seed), phrases()
    kinds: dict[str, list[int]] = {}
    for number, facts in enumerate(vocabulary.values()):
        kinds.setdefault(kind(facts), []).append(number)
    sides = [stills.facts, list(map(mirrored, stills.facts))]
    known = [truth(facts, list(vocabulary.values())) for facts in sides]
    text = TextTower(clip, [*vocabulary, ","])
    image = ImageTower(vision).train()  # open_clip's own computes tokens that nothing reads
    image.load_state_dict(clip.visual.state_dict())
    learnt = [*image.parameters(), *(p for n, p in clip.named_parameters() if "visual" not in n)]
    groups = [
        {"params": [p for p in learnt if p.ndim > 1]},
        {"params": [p for p in learnt if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True)
    batch, size = min(settings.batch, len(stills.pixels)), vision.image_size
    images, steps = np.empty((batch, 1, 3, size, size), np.uint8), len(stills.pixels) // batch
    for epoch in range(settings.epochs):
        order = rng.permutation(len(stills.pixels))
        total = 0.0
        for step in range(steps):
            rows = order[step * batch :][:batch]
            mirror = []  # of each image: 1 where it is mirrored
            for row, out in zip(rows, images, strict=True):
                maps = draw(CROP, *stills.pixels.shape[1:3], rng)
                augment(stills.pixels[row][None], maps, out)
                mirror.append(int(maps.plane[0, 0] > maps.plane[0, 1]))
            facts = [sides[side][row] for side, row in zip(mirror, rows, strict=True)]
            told = rng.choice(batch, min(COMPOSED, batch), replace=False)
            captions = [compose(facts[number], rng) for number in told]

            pixels = normalise(torch.from_numpy(images))
            features = F.normalize(image(pixels).flatten(0, 1), dim=-1)
            scale = clip.logit_scale.exp().clamp(max=LARGEST_SCALE)
            logits = scale * features @ text(list(vocabulary)).t()
            true = torch.stack([known[side][row] for side, row in zip(mirror, rows, strict=True)])
            loss = phrases_loss(logits, true, kinds)
            logits = scale * features @ text(captions).t()
            loss = loss + captions_loss(logits, truth(facts, list(map(asserted, captions))))
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(settings, epoch * steps + step, steps)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learnt, LARGEST_GRADIENT_NORM)
            optimiser.step()
            total += loss.item()
        print(
            f"pretrain: epoch {epoch + 1}/{settings.epochs}  loss {total / steps:.3f}", flush=True
        )
    text.close()
    clip.visual.load_state_dict(image.state_dict())


def save(clip: open_clip.CLIP, out: Path) -> None:
    """Write the whole CLIP as an open_clip state dict."""
    state = {key: value.contiguous() for key, value in clip.state_dict().items()}
    write_bytes(as_safetensors(state), out)


def main(args: argparse.Namespace) -> None:
    """Teach a new CLIP on the stills of a fold's train set, and write it."""
    torch.set_num_threads(args.threads)
    clip = new_backbone(args.architecture, args.seed)
    pixels = pixel_statistics(BackboneSettings(args.architecture, None))
    normalise = normaliser(pixels, torch.device("cpu"))
    splits, store = read_parquet(args.splits), ClipStore(args.store)
    vision = vision_config(args.architecture)
    decoded = round(vision.image_size / min(CROP.crop_scale) ** 0.5)
    seen = splits["clip"][splits.split == "train"].tolist()
    stills = read_stills(store, seen, args.captions, decoded)
    settings = TrainSettings(
        epochs=args.epochs,
        batch=args.batch,
        lr=args.lr,
        min_lr=args.lr / 100,
        warmup_epochs=math.ceil(WARMUP * args.epochs),
    )
    teach(clip, vision, stills, normalise, settings, args.seed)
    save(clip, args.out)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--architecture", required=True, help="open_clip configuration, a JSON file")
    add("--splits", required=True, help="clips of a fold (dfer.prepare.splits)")
    add("--store", nargs="+", required=True, help="shards of the clip store")
    add("--captions", type=Path, required=True, help="what is true of each still")
    add("--epochs", type=int, required=True, help="how often each still is seen")
    add(
        "--batch",
        type=int,
        required=True,
        help="clips that are computed at once (stills of a step)",
    )
    add("--lr", type=float, required=True, help="largest learning rate")
    add("--seed", type=int, required=True, help="seed of all that is drawn")
    add("--threads", type=int, default=1, help="threads to compute with")
    add("--out", type=Path, required=True, help="output (the CLIP, as safetensors)")
    return top


if __name__ == "__main__":
    stage(main, parser())
