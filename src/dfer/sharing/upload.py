"""A package → Hugging Face's hub, as a model that is private until you say otherwise.

    dfer upload folder/ --to user/name --i-may-share-these-weights

Whoever has weights has something of the clips that they were trained on. So this asks you to say
that you may share them, by a flag that nothing else sets; of synthetic data it does not ask. All
files go up in one commit, after their digests have been compared. `HF_ENDPOINT` names another hub
than huggingface.co.
"""

import argparse
from pathlib import Path

from dfer.errors import UserError, stage
from dfer.predict.hub import NAME, hub_errors
from dfer.predict.package import CARD, CONFIG, Config, check_content, read_config
from dfer.sharing.card import AGREEMENT, SYNTHETIC


def check_rights(folder: Path, config: Config, confirmed: bool) -> None:
    """Refuse to share weights of people's faces unless somebody says that they may be.

    Raises:
        UserError: nobody does.
    """
    if not (config.synthetic or confirmed):
        raise UserError(
            f"{folder}: trained on {config.dataset}. {AGREEMENT} If you may share these weights, "
            "say so: --i-may-share-these-weights"
        )


def upload(folder: Path, config: Config, name: str, *, public: bool) -> str:
    """Upload a package in one commit, into a model that is made if there is none.

    Args:
        name: user/name.
        public: whether everybody may see it; else a model that is public already is refused.

    Returns:
        the model's address.

    Raises:
        UserError: a file is not as it was exported, no right, no network.
    """
    files = [CONFIG, CARD, *config.sha256]
    for file in config.sha256:
        check_content(folder / file, config, file)
    if not (folder / CARD).is_file():
        raise UserError(f"{folder}: no {CARD} in this package. Export the run again.")
    with hub_errors(name):
        from huggingface_hub import CommitOperationAdd, HfApi

        api = HfApi()
        address = api.create_repo(name, private=not public, exist_ok=True)
        if not public and not api.model_info(name).private:
            raise UserError(
                f"{name}: this model is there already, and everybody can see it. Say --public if "
                "that is what you want, or choose another name."
            )
        added = [CommitOperationAdd(file, str(folder / file)) for file in files]
        message = f"{config.run}, {config.dataset}, fold {config.fold}, seed {config.seed}"
        api.create_commit(name, added, commit_message=message)
    return str(address)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("package", type=Path, help="a folder that `dfer export` wrote")
    add("--to", required=True, help="where it goes (user/name on the hub)")
    add("--public", action="store_true", help="let everybody see it")
    add(
        "--i-may-share-these-weights",
        action="store_true",
        help="you have read the agreement of the dataset, and it lets you",
    )
    return top


def main(args: argparse.Namespace) -> None:
    """Check, upload, and say where it is."""
    name = NAME.fullmatch(args.to)
    if name is None or name[2]:
        raise UserError(f"--to {args.to}: give user/name.")
    config = read_config(args.package / CONFIG)
    check_rights(args.package, config, args.i_may_share_these_weights)
    print(SYNTHETIC.replace("*", "") if config.synthetic else AGREEMENT)
    address = upload(args.package, config, args.to, public=args.public)
    print(f"{address}: uploaded, {'for everybody' if args.public else 'private'}.")


if __name__ == "__main__":
    stage(main, parser())
