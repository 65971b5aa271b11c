"""Class words → their text features, computed once: the text tower is frozen (Eq. 9).

The bare word is the text ("we directly input the labeled text", Section 4.1), without a template.

    python -m dfer.training.text --backbone '{"model": "ViT-B-32-quickgelu", "weights": "openai"}'
        --classes '{"happy": "happiness", "sad": "sadness"}' --out text.safetensors

The file holds "features" (#class, D) float32, in class order and not normalised.
"""

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from dfer.errors import UserError, stage
from dfer.models.backbone import load_backbone
from dfer.models.sealed import read_sealed, save_sealed
from dfer.settings import BackboneSettings


def text_features(backbone: BackboneSettings, words: list[str]) -> Tensor:
    """K of Eq. 9: the text tower's feature of each word, (words, D) float32, no gradient.

    Raises:
        UserError: a word that is empty, there twice, or longer than the tower's context; or see
            `load_backbone`.
    """
    from open_clip.tokenizer import SimpleTokenizer  # trainings read features, and need no words

    model = load_backbone(backbone.model, backbone.weights)
    tokenise = SimpleTokenizer(context_length=model.context_length)
    for word in words:
        if not word.strip() or words.count(word) > 1:
            raise UserError(f"class word {word!r}: empty, or there twice. Give each class its own.")
        if len(tokenise.encode(word)) > model.context_length - 2:  # between start and end
            raise UserError(
                f"class word {word!r}: longer than the {model.context_length} tokens of "
                f"{backbone.model}. Shorten it."
            )
    with torch.inference_mode():
        return model.encode_text(tokenise(words)).float()


def read_features(path: Path | str | None, classes: int) -> Tensor:
    """The features that this stage wrote, (#class, D) float32; (#class, 0) where there is no CLIP.

    Raises:
        UserError: the file is missing, unreadable, damaged, or of another number of classes.
    """
    if path is None:
        return torch.empty(classes, 0)
    try:
        features = read_sealed(path)[1]["features"]
        if features.ndim != 2 or features.dtype != torch.float32:
            raise KeyError("features")
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"{path}: no text features to read ({error}). Delete it and run again: `python -m "
            "dfer.training.text` makes it anew."
        ) from None
    if len(features) != classes:
        raise UserError(
            f"{path}: features of {len(features)} class words, and the dataset has {classes} "
            "classes. Make it anew with the words of this dataset."
        )
    return features


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--backbone", required=True, help="JSON: model and weights of a CLIP")
    add("--classes", required=True, help="JSON: label → class word, in class order")
    add("--out", required=True, help="output (the features, as safetensors)")
    return top


def main(args: argparse.Namespace) -> None:
    """Compute the features and write them, with words and CLIP in the header."""
    torch.set_num_threads(1)  # the number of threads would be in the last bits
    torch.manual_seed(0)  # random weights (`weights: null`) are the same ones at every run
    backbone = BackboneSettings(**json.loads(args.backbone))
    words = list(json.loads(args.classes).values())
    features = text_features(backbone, words)
    header = {"words": words, "model": backbone.model, "weights": backbone.weights}
    save_sealed(header, {"features": features}, args.out)


if __name__ == "__main__":
    stage(main, parser())
