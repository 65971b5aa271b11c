"""A trained run → a package for others: weights, configuration, a model card, and ONNX if wanted.

    dfer export results/demo/runs/<settings>/fold1-seed0 --to folder/ --with-onnx
    dfer export results/demo/runs/<settings>/fold1-seed0 --to package.zip

The files are those of `dfer.predict.package`. The card is made from what lies beside the
checkpoint: run.json, and predictions.parquet, of which it tells metrics with their intervals. Paths
of this machine are left out. Equal runs give equal bytes.
"""

import argparse
import dataclasses
import json
import shlex
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

from dfer.errors import UserError, stage
from dfer.files import atomic, check_writable, sha256, write_text
from dfer.models.checkpoint import HEADER, TrainedRun, load_run, save_run
from dfer.predict.package import CARD, CONFIG, GRAPH, WEIGHTS, Config, read_config
from dfer.predict.run import find_checkpoint
from dfer.sharing.card import model_card, scores

EPOCH = (1980, 1, 1, 0, 0, 0)  # of files in a zip, so that equal packages have equal bytes


def write_package(folder: Path, source: Path, *, onnx: bool, licence: str | None) -> str:
    """Write the package of a run into a folder.

    Args:
        source: folder of the run.
        onnx: whether to write model.onnx.
        licence: of the weights, as the hub calls it; None: none is given.

    Returns:
        what has been done, to print.

    Raises:
        UserError: there is no such run, it cannot be exported, or the folder holds something else.
    """
    check_target(folder)
    checkpoint = find_checkpoint(source)
    run = portable(load_run(checkpoint))
    found = scores(run, checkpoint.with_name("predictions.parquet"))
    card = model_card(run, read_record(checkpoint.with_name("run.json")), found, licence)
    said = "evaluated" if found is not None else "NOT evaluated: the card has no metrics"
    files = [WEIGHTS]
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as name:
        graph = Path(name) / GRAPH
        if onnx:  # first: what cannot be exported leaves the package that stands there
            from dfer.sharing.graph import write_graph

            difference = write_graph(run, graph)
            files.append(GRAPH)
            said += f"; {GRAPH} gives torch's logits within {difference:.1e}"
        for old in (GRAPH, CARD, CONFIG):  # without its configuration a package is none
            (folder / old).unlink(missing_ok=True)
        save_run(run, folder / WEIGHTS)
        if onnx:
            graph.replace(folder / GRAPH)
    write_text(config_of(run, {name: sha256(folder / name) for name in files}), folder / CONFIG)
    write_text(card, folder / CARD)
    return said


def check_target(folder: Path) -> None:
    """Refuse a folder that holds something else than a package.

    Raises:
        UserError: it does, or one may not write there.
    """
    check_writable(folder / CONFIG)
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    others = sorted(names - {WEIGHTS, GRAPH, CONFIG, CARD})
    if others or ((folder / CARD).exists() and not (folder / CONFIG).exists()):
        raise UserError(
            f"{folder}: holds other files ({', '.join(others[:3]) or CARD}). Name an empty folder, "
            "a new one, or a name that ends with .zip."
        )
    if (folder / CONFIG).exists():
        read_config(folder / CONFIG)


def portable(run: TrainedRun) -> TrainedRun:
    """A run without paths of this machine.

    Landmark networks are then found as on any machine, in torch's cache or by download. Of what it
    was trained from, file names remain where paths are absolute.
    """
    settings = run.settings
    for part in ("backbone", "model"):
        own = getattr(settings, part)
        paths = {name: getattr(own, name, None) for name in ("model", "weights")}
        names = {k: Path(v).name for k, v in paths.items() if v and Path(v).is_absolute()}
        settings = dataclasses.replace(settings, **{part: dataclasses.replace(own, **names)})
    landmarks = run.landmarks
    if landmarks is not None:
        landmarks = {name: value for name, value in landmarks.items() if name != "weights"}
    return dataclasses.replace(run, settings=settings, landmarks=landmarks)


def config_of(run: TrainedRun, sha256: dict[str, str]) -> str:
    """The text of config.json."""
    values = {name: getattr(run, name) for name in HEADER}
    return Config(
        **values,
        dfer_version=metadata.version("dfer"),
        run=run.settings.key,
        settings=run.settings.to_dict(),
        frames=run.settings.model.frames,
        image_size=run.image_size,
        sampler=run.settings.train.sampler,
        sha256=sha256,
    ).to_json()


def read_record(path: Path) -> dict[str, Any] | None:
    """What a training left in run.json; None where a run has none.

    Raises:
        UserError: it is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(
            f"{path}: not JSON ({error}). Delete it, and train the run again."
        ) from None


def pack(folder: Path, path: Path) -> None:
    """Write the files of a folder as a zip, not compressed, in the order of their names."""
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for file in sorted(folder.iterdir()):
            with archive.open(zipfile.ZipInfo(file.name, EPOCH), "w", force_zip64=True) as out:
                out.write(file.read_bytes())


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("run", type=Path, help="folder of a trained run")
    add("--to", type=Path, required=True, help="where it goes (a folder, or a name with .zip)")
    add("--with-onnx", action="store_true", help="write model.onnx, too, and compare it with torch")
    add("--licence", help="of the weights, as the hub calls it (apache-2.0); left out: none")
    return top


def main(args: argparse.Namespace) -> None:
    """Export, and say what to do next."""
    options = {"onnx": args.with_onnx, "licence": args.licence}
    if args.to.suffix == ".zip":
        check_writable(args.to)
        with tempfile.TemporaryDirectory() as folder:
            said = write_package(Path(folder), args.run, **options)
            pack(Path(folder), args.to)
    else:
        said = write_package(args.to, args.run, **options)
    print(f"{args.to}: {args.run}, {said}.")
    name = shlex.quote(str(args.to))
    print(f'Use it: dfer predict clip.mp4 --run {name}, or dfer.load("{args.to}")')


if __name__ == "__main__":
    stage(main, parser())
