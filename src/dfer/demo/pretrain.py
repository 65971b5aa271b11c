"""The demo's small CLIP: an image tower taught on rendered stills, against a frozen text tower.

Real runs start from a CLIP that has seen millions of faces; nothing of the kind can be shipped.
This one learns from stills of rendered people who are in no clip of the demo, by CLIP's own
contrast of an image with the texts of all classes. Its text tower keeps its random weights, so
the class words are mere directions: an ablation of text on the demo means nothing.

    python -m dfer.demo.pretrain --architecture config/backbone/demo.json --splits 1.parquet
        --store store/*.arrow --classes '{"happy": "happiness"}' --epochs 6 --batch 32 --lr 1e-3
        --seed 0 --out backbone.safetensors
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save as as_safetensors
from torch import Tensor

from dfer.clips.loader import EpochBatches, EvaluationClips, TrainClips, train_batches
from dfer.clips.store import ClipStore
from dfer.demo.small_backbone import new_backbone
from dfer.errors import stage
from dfer.files import read_parquet, write_bytes
from dfer.models.backbone import normaliser, pixel_statistics
from dfer.settings import AugmentSettings, BackboneSettings, TrainSettings
from dfer.training.device import loader_workers, pick_device
from dfer.training.schedule import learning_rate

WARMUP = 0.1  # of the epochs
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.05
LARGEST_GRADIENT_NORM = 1.0
STILLS = 16  # of each held-out person and class, for the accuracy that is printed


def text_features(clip: open_clip.CLIP, words: Sequence[str]) -> Tensor:
    """Features (#class, D) of the class words, of unit length, from the frozen text tower."""
    tokens = SimpleTokenizer(context_length=clip.context_length)(list(words))
    device = clip.logit_scale.device
    with torch.no_grad():
        return F.normalize(clip.encode_text(tokens.to(device)), dim=-1)


def similarity(clip: open_clip.CLIP, images: Tensor, text: Tensor) -> Tensor:
    """CLIP's logits (images, #class): scaled cosine with each class text, which has unit length."""
    return clip.logit_scale.exp() * F.normalize(clip.encode_image(images), dim=-1) @ text.t()


def train(
    clip: open_clip.CLIP,
    text: Tensor,
    batches: Iterable[tuple[Tensor, Tensor]],
    normalise: Callable[[Tensor], Tensor],
    settings: TrainSettings,
    steps: int,
) -> None:
    """Train the image tower and the logits' scale; the text tower stays as it is.

    Args:
        text: (#class, D), see `text_features`.
        batches: stills (B, 1, 3, h, w) uint8 and class indices (B,) of all epochs, on its device.
        steps: batches an epoch.
    """
    clip.requires_grad_(False)
    learnt = [*clip.visual.requires_grad_(True).parameters(), clip.logit_scale.requires_grad_(True)]
    optimiser = torch.optim.AdamW(learnt, weight_decay=WEIGHT_DECAY, fused=True)
    clip.train()
    for step, (stills, labels) in enumerate(batches):
        optimiser.param_groups[0]["lr"] = learning_rate(settings, step, steps)
        logits = similarity(clip, normalise(stills).flatten(0, 1), text)
        loss = F.cross_entropy(logits, labels, label_smoothing=LABEL_SMOOTHING)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learnt, LARGEST_GRADIENT_NORM)
        optimiser.step()
        epoch, rest = divmod(step + 1, steps)
        if rest == 0 and epoch % 10 == 0:
            loss = f"loss {loss.item():.3f}"
            print(f"pretrain: epoch {epoch}/{settings.epochs}  {loss}", flush=True)
    clip.eval()


@torch.inference_mode()
def accuracy(
    clip: open_clip.CLIP,
    text: Tensor,
    stills: Iterable[tuple[Tensor, int]],
    normalise: Callable[[Tensor], Tensor],
) -> float:
    """Mean share of stills (n, 3, h, w) that are nearest to the text of their class."""
    shares = [
        (similarity(clip, normalise(images), text).argmax(1) == label).float().mean().item()
        for images, label in stills
    ]
    return sum(shares) / len(shares)


def save(clip: open_clip.CLIP, out: Path) -> None:
    """Write the whole CLIP as an open_clip state dict."""
    state = {key: value.cpu().contiguous() for key, value in clip.state_dict().items()}
    write_bytes(as_safetensors(state), out)


def main(args: argparse.Namespace) -> None:
    """Train the image tower on the stills of a fold's train set, and write the CLIP."""
    device = pick_device(args.threads)
    classes = json.loads(args.classes)
    clip = new_backbone(args.architecture, args.seed).to(device)
    text = text_features(clip, list(classes.values()))
    pixels = pixel_statistics(BackboneSettings(args.architecture, None))
    normalise = normaliser(pixels, device)

    splits, store = read_parquet(args.splits), ClipStore(args.store)
    index = splits.label.map({label: number for number, label in enumerate(classes)})
    is_train, is_test = splits.split == "train", splits.split == "test"
    size = clip.visual.image_size[0]
    settings = TrainSettings(
        epochs=args.epochs,
        batch=args.batch,
        lr=args.lr,
        min_lr=args.lr / 100,
        warmup_epochs=round(WARMUP * args.epochs),
    )
    data = TrainClips(
        store,
        splits["clip"][is_train].tolist(),
        index[is_train].tolist(),
        frames=1,  # a random still of each folder (a person and a class) an epoch
        size=size,
        augment=AugmentSettings(brightness=0, contrast=0, saturation=0, hue=0),
        seed=args.seed,
    )
    order = EpochBatches(len(data.clips), args.batch, first=0, last=args.epochs, seed=args.seed)
    batches = train_batches(data, order, device, loader_workers(device, args.threads))
    train(clip, text, batches, normalise, settings, order.steps)

    held_out = EvaluationClips(
        store,
        splits["clip"][is_test].tolist(),
        index[is_test].tolist(),
        frames=STILLS,
        size=size,
    )
    share = accuracy(clip, text, held_out, normalise)
    print(f"pretrain: {100 * share:.1f} % of the held-out people's stills")
    save(clip, args.out)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--architecture", required=True, help="open_clip configuration, a JSON file")
    add("--splits", required=True, help="clips of a fold (dfer.prepare.splits)")
    add("--store", nargs="+", required=True, help="shards of the clip store")
    add("--classes", required=True, help="JSON: label → class word, in class order")
    add("--epochs", type=int, required=True, help="each shows one still of a folder")
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
