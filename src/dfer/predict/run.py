"""The run that predicts: where its files are, how it finds faces, what it cannot do.

A trained run is given as

    results/demo/runs/<settings>/fold1-seed0     the folder of a run
    folder/, folder.zip                          what `dfer export` wrote
    user/name, user/name@revision                the same on Hugging Face's hub
    folder/model.onnx                            to be computed by ONNX Runtime, without torch
"""

import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from dfer.errors import UserError
from dfer.faces.backends import open_backend, parse_settings, read_settings
from dfer.faces.settings import LandmarkSettings
from dfer.faces.track import Backend
from dfer.files import check_readable
from dfer.predict.clip import Wanted
from dfer.predict.package import (
    CONFIG,
    GRAPH,
    WEIGHTS,
    check_content,
    other_version,
    read_config,
)
from dfer.predict.predictor import Predictor

CHECKPOINT = "checkpoint.safetensors"  # of a run's folder
RUNS = f"results/*/runs/*/*/{CHECKPOINT}"


def open_run(
    source: str | Path,
    *,
    onnx: bool = False,
    threads: int = 1,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["auto", "fp32", "bf16"] | None = None,
) -> Predictor:
    """A trained run, ready to compute.

    Args:
        source: see above.
        onnx: compute with ONNX Runtime, also where `source` does not end with .onnx.
        threads, device, precision: see `dfer.predict.api.load`; ONNX Runtime computes in fp32 on
            the CPU.

    Raises:
        UserError: there is no such run, it is damaged, or it cannot be computed so.
    """
    if onnx or str(source).endswith(".onnx"):
        if device == "cuda" or precision == "bf16":
            raise UserError(
                f"{source}: ONNX Runtime computes in fp32 on the CPU here. Leave out device and "
                "precision, or let torch compute."
            )
        return _with_onnx(source, threads)
    return _with_torch(source, threads=threads, device=device, precision=precision)


def _with_torch(source: str | Path, **options: Any) -> Predictor:
    """As `open_run`, by torch; `options` are those of `TorchRun.on`."""
    try:
        from dfer.models.checkpoint import load_run
        from dfer.predict.with_torch import TorchRun
    except ImportError as error:
        raise UserError(
            f"{source}: torch cannot be imported ({error}). Install it, or give a model.onnx, "
            "which needs none."
        ) from None
    with folder_of(source, WEIGHTS) as folder:
        if not _is_package(folder):
            run = load_run(find_checkpoint(folder))
        else:
            config = read_config(folder / CONFIG)
            check_content(folder / WEIGHTS, config, WEIGHTS)
            try:
                run = load_run(folder / WEIGHTS)
            except UserError as error:
                raise other_version(source, config, error) from None
    return TorchRun.on(run, **options)


def _with_onnx(source: str | Path, threads: int) -> Predictor:
    """As `open_run`, by ONNX Runtime."""
    from dfer.predict.with_onnx import open_onnx

    with folder_of(source, GRAPH) as folder:
        graph = Path(source) if str(source).endswith(".onnx") else folder / GRAPH
        if os.path.exists(folder / CHECKPOINT) and not _is_package(folder):
            raise UserError(
                f"{source}: a run has no graph. Export it first: "
                f"dfer export {source} --to <folder> --with-onnx"
            )
        config = read_config(folder / CONFIG)
        check_content(graph, config, GRAPH)
        return open_onnx(graph, config, threads)


def _is_package(folder: Path) -> bool:
    """Whether a folder is what `dfer export` writes, or a part of it."""
    return any(os.path.exists(folder / name) for name in (CONFIG, WEIGHTS, GRAPH))


@contextmanager
def folder_of(source: str | Path, file: str) -> Iterator[Path]:
    """The folder where a trained run's files are, as long as the `with` block lasts.

    Args:
        source: as in `open_run`.
        file: of a package that is needed beside its config.json.

    Raises:
        UserError: there is none.
    """
    from dfer.predict.hub import download, is_hub_id

    path = Path(source)
    if os.path.isdir(path):
        yield path
    elif path.suffix == ".onnx":
        yield path.parent
    elif os.path.isfile(path) and (path.suffix == ".zip" or zipfile.is_zipfile(path)):
        with tempfile.TemporaryDirectory() as folder:
            _unpack(path, Path(folder), {CONFIG, file, CHECKPOINT})
            yield Path(folder)
    elif is_hub_id(str(source)) and not _is_local(path):
        yield download(str(source), file)
    else:
        yield find_checkpoint(path).parent


def _is_local(path: Path) -> bool:
    """Whether a/b is meant as a path, though it does not exist: where a does, or is `results`."""
    return os.path.lexists(path.parts[0]) or path.parts[0] == RUNS.partition("/")[0]


def _unpack(path: Path, folder: Path, names: set[str]) -> None:
    """Take files of these names out of a zip: at its top, or in the one folder that it holds.

    Raises:
        UserError: the zip is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                inside = PurePosixPath(member.filename)
                if inside.name in names and len(inside.parts) <= 2:
                    with archive.open(member) as packed, open(folder / inside.name, "wb") as out:
                        shutil.copyfileobj(packed, out)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path}: not a whole zip ({error}). Copy it again.") from None


def find_checkpoint(path: Path) -> Path:
    """The checkpoint in a run's folder.

    Raises:
        UserError: there is none, and the message lists the runs below `results/`; or it may not be
            read.
    """
    checkpoint = path / CHECKPOINT
    try:
        check_readable(checkpoint)
        return checkpoint
    except OSError:
        pass
    runs = sorted(str(file.parent) for file in Path().glob(RUNS))
    listed = "\n  ".join(["Trained runs here:", *runs]) if runs else "Train one first."
    raise UserError(
        f"{path}: no trained run ({CHECKPOINT}) in this folder, nor what `dfer export` writes. "
        f"{listed}"
    )


def landmark_settings(run: Predictor, given: str | None) -> LandmarkSettings:
    """How faces are found: as `given` in JSON, or else as for the run's own dataset.

    A run of a release's own face crops has no settings. It gets dlib, and a note says so.
    """
    if given is not None:
        return parse_settings(given)
    if run.landmarks is not None:
        return read_settings(run.landmarks)
    print(
        "It was trained on face crops that came with the release. Here dlib finds the faces, and "
        "they may be cut differently. Give --landmark-settings to choose another backend."
    )
    return LandmarkSettings("dlib")


def open_faces(settings: LandmarkSettings) -> Backend:
    """The backend of these settings.

    Raises:
        UserError: it needs a package that is not installed.
    """
    try:
        return open_backend(settings)
    except ImportError as error:
        raise UserError(
            f"landmark settings: {settings.backend} cannot be imported ({error}). Install what it "
            """needs, or let dlib find the faces: --landmark-settings '{"backend": "dlib"}'"""
        ) from None


def check_run(run: Predictor, source: str | Path, wanted: Wanted) -> None:
    """Refuse what a run's method cannot do.

    Raises:
        UserError: it chooses frames by what a whole clip shows, or has no heat maps.
    """
    if run.settings.train.sampler == "freq_hd":
        raise UserError(
            f"{source}: its frames are chosen by what a whole clip of its dataset shows, so "
            "windows of a video cannot be predicted. Choose a run with another sampler."
        )
    if run.no_maps and (wanted.overlays or wanted.strips):
        raise UserError(f"{source}: {run.no_maps}. Leave out --out-overlays and --out-strips.")
