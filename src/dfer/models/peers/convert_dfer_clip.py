"""A checkpoint that DFER-CLIP's authors publish → a trained run of ours, for evaluation.

    python -m dfer.models.peers.convert_dfer_clip --published DFEW-set1-model.pth
        --dataset dfew --fold 1 --classes '{"happy": "happiness", …}'
        --descriptors '{"happiness": "…", …}' --out set1/checkpoint.safetensors

The authors' files hold, beside the weights, an object of a class of their training script, so that
loading them as they are would run whatever the file says. Here no class or function that the file
names is looked up, but those that torch itself needs for tensors: an inert object stands for each.

The file does not say which descriptors it was trained with, but has them embedded: others than
those are refused. The authors' own are in their repository (`ORIGINALS` of `dfer_clip.py` has their
digest).
"""

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from dfer.errors import UserError, stage
from dfer.files import check_readable
from dfer.methods.dfer_clip import Settings
from dfer.models.backbone import pixel_statistics, read_config
from dfer.models.checkpoint import TrainedRun, save_run
from dfer.models.method import make
from dfer.models.peers.dfer_clip import DferClip, are_originals
from dfer.models.peers.prompt_learner import PromptLearner
from dfer.settings import BackboneSettings, RunSettings, TrainSettings

EMBEDDING = "clip_model_.token_embedding.weight"
SUFFIX = "prompt_learner.token_suffix"  # embedded descriptors, (#class, tokens, W)
LAYER = r"temporal_net\.temporal_transformer\.layers\.(\d+)"
NAMES = (  # theirs → ours; what no line fits is there twice or can be computed
    (r"prompt_learner\.ctx", "context"),
    (r"image_encoder\.(.+)", r"image.\1"),
    (r"text_encoder\.(.+)", r"tower.\1"),
    (r"temporal_net\.(cls_token|pos_embedding)", r"temporal.\1"),
    (LAYER + r"\.0\.fn\.norm\.(.+)", r"temporal.layers.\1.ln_attn.\2"),
    (LAYER + r"\.0\.fn\.fn\.to_qkv\.(.+)", r"temporal.layers.\1.qkv.\2"),
    (LAYER + r"\.0\.fn\.fn\.to_out\.0\.(.+)", r"temporal.layers.\1.out.\2"),
    (LAYER + r"\.1\.fn\.norm\.(.+)", r"temporal.layers.\1.ln_mlp.\2"),
    (LAYER + r"\.1\.fn\.fn\.net\.0\.(.+)", r"temporal.layers.\1.fc1.\2"),
    (LAYER + r"\.1\.fn\.fn\.net\.3\.(.+)", r"temporal.layers.\1.fc2.\2"),
)


class Foreign:
    """What stands for each class and function that a file names: it does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> "Foreign":
        return object.__new__(cls)

    def __setstate__(self, _: Any) -> None:
        """Keep nothing."""


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a published checkpoint, by the authors' names.

    Raises:
        UserError: the file is unreadable, is none, or asks for more than objects.
    """
    if not Path(path).is_file():
        raise UserError(
            f"{path}: no such file. Give a checkpoint that DFER-CLIP's authors publish."
        )
    check_readable(Path(path))
    try:
        stubs = [(Foreign, name) for name in get_unsafe_globals_in_checkpoint(path)]
        with safe_globals(stubs):
            state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        tensors = {name.removeprefix("module."): value for name, value in state.items()}
        if not all(isinstance(value, Tensor) for value in tensors.values()):
            raise TypeError("state_dict holds other things than tensors")
    except Exception as error:  # zip, pickle and torch raise their own
        raise UserError(
            f"{path}: not a checkpoint of DFER-CLIP that can be read safely "
            f"({str(error).splitlines()[0]}). Fetch it anew from its authors."
        ) from None
    return tensors


def converted(
    theirs: Mapping[str, Tensor], words: list[str], descriptors: dict[str, str], model: str
) -> DferClip:
    """The model of a published checkpoint.

    Args:
        theirs: as `read_weights` gives them.
        words: the class words, in the order in which it was trained.
        descriptors: class word → what was read for it.
        model: open_clip's name or file of its CLIP.

    Raises:
        UserError: weights of something else, or other descriptors than they were trained with.
    """
    ours = {}
    for name, value in theirs.items():
        for pattern, own in NAMES:
            if found := re.fullmatch(pattern, name):
                ours[found.expand(own)] = value
    layers = {name.split(".")[2] for name in ours if name.startswith("temporal.layers.")}
    try:
        settings = Settings(
            frames=16,
            temporal_layers=len(layers),
            positions=ours["temporal.pos_embedding"].shape[1] if layers else 17,
            context=ours["context"].shape[1],
            descriptors={word: descriptors[word] for word in words},
        )
        made = make(settings, read_config(model), words, torch.empty(0))
        made.learner.start_from(theirs[EMBEDDING])
        constants = {name: value for name, value in made.state_dict().items() if "learner." in name}
        made.load_state_dict({name: v.float() for name, v in ours.items()} | constants)
        suffix = theirs[SUFFIX]
    except (KeyError, RuntimeError) as error:
        said = str(error).splitlines()[:2]
        raise UserError(
            f"not the weights of DFER-CLIP at {model} with {len(words)} classes, or a class word "
            f"without a descriptor ({' '.join(map(str.strip, said))}). Give those of one of its "
            "checkpoints, and all classes."
        ) from None
    first = 1 + settings.context
    for word, row, end, theirs_row in zip(
        words, made.learner.embedded, made.learner.ends, suffix, strict=False
    ):
        own = row[first : end + 1]
        if len(words) != len(suffix) or not torch.allclose(own, theirs_row[: len(own)].float()):
            raise UserError(
                f"{descriptors[word]!r}: not what this checkpoint was trained with for {word!r}. "
                "Give the descriptors of its authors, in its order of classes."
            )
    return made.eval()


def word_features(model: DferClip, embedding: Tensor, words: list[str]) -> Tensor:
    """The text tower's features of the bare class words, (#class, D)."""
    learner = PromptLearner([(word,) for word in words], model.tower)
    learner.start_from(embedding.float())
    with torch.no_grad():
        return learner(torch.zeros(1, 1, model.tower.width), model.tower)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--published", required=True, help="a checkpoint of DFER-CLIP's authors")
    add("--dataset", required=True, help="name of the dataset")
    add("--fold", type=int, required=True, help="number of the fold")
    add("--classes", required=True, help="JSON: label → class word, in class order")
    add("--descriptors", required=True, help="JSON: class word → what is read for it")
    add(
        "--landmark-settings",
        default="null",
        help="JSON: backend and how it follows a face; null: the release brings crops",
    )
    add(
        "--backbone",
        default='{"model": "ViT-B-32-quickgelu", "weights": "openai"}',
        help="JSON: model and weights of a CLIP",
    )
    add("--out", required=True, help="output (a trained run, as safetensors)")
    return top


def main(args: argparse.Namespace) -> None:
    """Convert one checkpoint."""
    backbone = BackboneSettings(**json.loads(args.backbone), normalise="none")
    classes, descriptors = json.loads(args.classes), json.loads(args.descriptors)
    words = list(classes.values())
    theirs = read_weights(args.published)
    model = converted(theirs, words, descriptors, backbone.model)
    run = TrainedRun(
        model=model,
        settings=RunSettings(
            backbone,
            model.settings,
            TrainSettings(sampler="dfer_clip", checkpoint="test"),
            protocol="as_published",
        ),
        architecture=read_config(backbone.model),
        pixels=pixel_statistics(backbone),
        text=word_features(model, theirs[EMBEDDING], words),
        dataset=args.dataset,
        classes=list(classes),
        words=words,
        landmarks=json.loads(args.landmark_settings),
        synthetic=False,
        fold=args.fold,
        seed=1,  # of the authors' scripts
    )
    save_run(run, args.out)
    whose = "the authors'" if are_originals([descriptors[word] for word in words]) else "other"
    print(f"{args.out}: {len(words)} classes, {whose} descriptors")


if __name__ == "__main__":
    stage(main, parser())
