"""Weights that networks without CLIP may start from, fetched once and checked by SHA-256.

    python -m dfer.training.weights --name imagenet_resnet18 --out resnet18-f37072fd.pth

Names are those of `dfer.video_settings.PINNED`.
"""

import argparse
from http.client import HTTPException
from pathlib import Path

from torch.hub import download_url_to_file

from dfer.errors import UserError, stage
from dfer.files import atomic
from dfer.models.pretrained import ADDRESS, check, remedy
from dfer.video_settings import PINNED


def fetch(name: str, out: Path) -> None:
    """Download pinned weights to `out`.

    Raises:
        UserError: they cannot be had from here, or are others than they were.
    """
    with atomic(out) as temporary:
        try:
            download_url_to_file(ADDRESS + PINNED[name].file, temporary, progress=False)
        except (OSError, HTTPException) as error:
            raise UserError(
                f"{out}: {PINNED[name].of} could not be downloaded ({error}). {remedy(name, out)}"
            ) from None
        check(Path(temporary), name)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--name", choices=PINNED, required=True, help="which pinned weights")
    add("--out", type=Path, required=True, help="output (the file, as it was published)")
    return top


def main(args: argparse.Namespace) -> None:
    """Fetch and check."""
    fetch(args.name, args.out)
    print(f"{args.out}: {PINNED[args.name].of}")


if __name__ == "__main__":
    stage(main, parser())
