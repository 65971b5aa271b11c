"""The demo's small CLIP: an image tower taught on rendered stills, against a frozen text tower.

Real runs start from a CLIP that has seen millions of faces; nothing of the kind can be shipped.
This one learns from stills of rendered people who are in no clip of the demo, by CLIP's own
contrast of an image with the texts of all classes. Its text tower keeps its random weights, so
the class words are mere directions: an ablation of text on the demo means nothing.

    python -m dfer.demo.pretrain --clip config/backbone/demo.json --splits splits.parquet --store store/
        --classes '{"happy": "happiness"}' --epochs 6 --batch 32 --lr 1e-3 --seed 0 --out clip.pt
"""

import argparse
import json

import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save_file
from torch import Tensor

from dfer.clips.loader import EpochBatches, EvaluationClips, TrainClips, open_store, train_batches
from dfer.demo.small_backbone import new_backbone
from dfer.errors import stage
from dfer.files import atomic, read_parquet
from dfer.models.backbone import normaliser
from dfer.settings import AugmentSettings, BackboneSettings, TrainSettings
from dfer.training.device import loader_workers, pick_device
from dfer.training.schedule import learning_rate

WARMUP = 0.1  # of the epochs
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.05


def main(args: argparse.Namespace) -> None:
    """Train the image tower and write the whole CLIP as an open_clip state dict."""
    device = pick_device(args.threads)
    words = json.loads(args.classes)
    index = {label: i for i, label in enumerate(words)}
    clip = new_backbone(args.clip, args.seed).to(device)
    clip.requires_grad_(False)
    learnt = [*clip.visual.requires_grad_(True).parameters(), clip.logit_scale.requires_grad_(True)]
    tokens = SimpleTokenizer(context_length=clip.context_length)(list(words.values()))
    with torch.no_grad():
        text = F.normalize(clip.encode_text(tokens.to(device)), dim=-1)
    normalise = normaliser(BackboneSettings(args.clip, None), device)

    splits = read_parquet(args.splits)
    store, size = open_store(args.store), clip.visual.image_size[0]
    train, test = (splits[splits.split == split] for split in ("train", "test"))
    how = TrainSettings(
        epochs=args.epochs,
        batch=args.batch,
        lr=args.lr,
        min_lr=args.lr / 100,
        warmup_epochs=round(WARMUP * args.epochs),
    )
    data = TrainClips(
        store,
        train["clip"].tolist(),
        train.label.map(index).tolist(),
        frames=1,  # a random still of each folder (a person and a class) an epoch
        size=size,
        augment=AugmentSettings(brightness=0, contrast=0, saturation=0, hue=0),
        seed=args.seed,
    )
    batches = EpochBatches(len(data.clips), args.batch, first=0, last=args.epochs, seed=args.seed)
    workers = loader_workers(device, args.threads)
    optimiser = torch.optim.AdamW(learnt, weight_decay=WEIGHT_DECAY, fused=True)
    clip.train()
    for step, (frames, labels) in enumerate(train_batches(data, batches, workers)):
        optimiser.param_groups[0]["lr"] = learning_rate(how, step, batches.steps)
        logits = similarity(clip, normalise(frames).flatten(0, 1), text)
        loss = F.cross_entropy(logits, labels.to(device), label_smoothing=LABEL_SMOOTHING)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        optimiser.step()
        epoch, rest = divmod(step + 1, batches.steps)
        if rest == 0 and epoch % 10 == 0:
            print(f"pretrain: epoch {epoch}/{args.epochs}  loss {loss.item():.3f}", flush=True)

    clip.eval()
    held = EvaluationClips(
        store, test["clip"].tolist(), test.label.map(index).tolist(), frames=16, size=size
    )
    with torch.inference_mode():
        right = [
            (similarity(clip, normalise(frames), text).argmax(1) == label).float().mean().item()
            for frames, label in held
        ]
    print(f"pretrain: {100 * sum(right) / len(right):.1f} % of the held-out people's stills")
    state = {key: value.cpu().contiguous() for key, value in clip.state_dict().items()}
    with atomic(args.out) as temporary:
        save_file(state, temporary)


def similarity(clip: torch.nn.Module, images: Tensor, text: Tensor) -> Tensor:
    """CLIP's logits (images, #class): scaled cosine with each class text, which has unit length."""
    return clip.logit_scale.exp() * F.normalize(clip.encode_image(images), dim=-1) @ text.t()


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--clip", required=True, help="open_clip configuration, a JSON file")
    add("--splits", required=True)
    add("--store", required=True, help="folder of the clip store's shards")
    add("--classes", required=True, help="JSON: label → class word")
    add("--epochs", type=int, required=True)
    add("--batch", type=int, required=True, help="stills a step")
    add("--lr", type=float, required=True)
    add("--seed", type=int, required=True)
    add("--threads", type=int, default=1)
    add("--out", required=True, help="the CLIP, as safetensors")
    return top


if __name__ == "__main__":
    stage(main, parser())
