"""What is true of each rendered still, and a caption that says some of it.

    python -m dfer.demo.captions --face-model results/demo/face_model.whl --people 24 --stills 16
        --size 256 --seed 0 --out results/demo-stills/release/captions.csv

The file has one row a still: clip, image (its path in the release), caption, and all facts that
are true of it (`dfer.demo.vocabulary`), by semicolons. They follow from the same random numbers
that the still is rendered from; nothing is looked at. What its expression is called is drawn after
them, and so is the caption, one of the many that pretraining composes.
"""

import argparse
import csv
import io
from pathlib import Path
from typing import NamedTuple

from dfer.demo import face_model
from dfer.demo.dataset import CLASSES, Rendering, clips_of
from dfer.demo.draws import draw_still, random_numbers
from dfer.demo.identities import identity
from dfer.demo.vocabulary import called, compose, look_facts, unit_facts
from dfer.errors import UserError, stage
from dfer.files import write_text

COLUMNS = ("clip", "image", "caption", "facts")


class Caption(NamedTuple):
    """What a line of the file says of a still."""

    text: str
    facts: frozenset[str]


def read_captions(path: Path) -> dict[str, list[Caption]]:
    """Clip → what is said, and what is true, of each of its stills, in their order.

    Raises:
        UserError: the file is missing, unreadable, or not of this stage.
    """
    found: dict[str, list[Caption]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                facts = frozenset(row["facts"].split(";"))
                found.setdefault(row["clip"], []).append(Caption(row["caption"], facts))
    except (OSError, ValueError, KeyError, AttributeError, csv.Error) as error:
        raise UserError(
            f"{path}: no captions to read ({error!r}). Delete it and run again: `python -m "
            "dfer.demo.captions` makes it anew."
        ) from None
    return found


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--face-model", type=Path, required=True, help="the face model's wheel")
    add("--people", type=int, default=Rendering.people, help="number of people of the release")
    add("--stills", type=int, default=Rendering.stills, help="images of a person and class")
    add("--size", type=int, default=Rendering.size, help="side of written images, in pixels")
    add("--seed", type=int, default=Rendering.seed, help="seed of all that is drawn")
    add("--out", type=Path, required=True, help="output (the captions)")
    return top


def main(args: argparse.Namespace) -> None:
    """Write the facts and a caption of every still of a release."""
    model = face_model.load(args.face_model)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for number in range(args.people):
        person = identity(model, args.seed, "stills", number)
        for clip in clips_of("stills", number, dict.fromkeys(CLASSES, args.stills), folds=1):
            for still in range(1, args.stills + 1):
                rng = random_numbers("stills", args.seed, clip, still)
                scene, weights, pose = draw_still(rng, clip.label, args.size)
                facts = unit_facts(weights) | look_facts(person, scene, pose)
                facts |= {f"expression.{clip.label}", f"called.{called(clip.label, rng)}"}
                image = f"{clip.path}/{still}.jpg"
                table.writerow([clip.clip, image, compose(facts, rng), ";".join(sorted(facts))])
    write_text(text.getvalue(), args.out)


if __name__ == "__main__":
    stage(main, parser())
