"""The run that predicts: where its checkpoint is, how it finds faces, what it cannot do."""

from pathlib import Path

from dfer.errors import UserError
from dfer.faces.backends import parse_settings, read_settings
from dfer.faces.settings import LandmarkSettings
from dfer.files import check_readable
from dfer.models.checkpoint import TrainedRun
from dfer.predict.clip import Wanted

RUNS = "results/*/runs/*/*/checkpoint.safetensors"


def find_checkpoint(path: Path) -> Path:
    """The checkpoint in a run's folder.

    Raises:
        UserError: there is none, and the message lists the runs below `results/`; or it may not be
            read.
    """
    checkpoint = path / "checkpoint.safetensors"
    try:
        check_readable(checkpoint)
        return checkpoint
    except OSError:
        pass
    runs = sorted(str(file.parent) for file in Path().glob(RUNS))
    listed = "\n  ".join(["Trained runs here:", *runs]) if runs else "Train one first."
    raise UserError(f"{path}: no trained run (checkpoint.safetensors) in this folder. {listed}")


def landmark_settings(run: TrainedRun, given: str | None) -> LandmarkSettings:
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


def check_run(run: TrainedRun, path: Path, wanted: Wanted) -> None:
    """Refuse what a run's method cannot do.

    Raises:
        UserError: it chooses frames by what a whole clip shows, or has no heat maps.
    """
    if run.settings.train.sampler == "freq_hd":
        raise UserError(
            f"{path}: its frames are chosen by what a whole clip of its dataset shows, so windows "
            "of a video cannot be predicted. Choose a run with another sampler."
        )
    if not run.settings.model.uses_clip and (wanted.overlays or wanted.strips):
        raise UserError(
            f"{path}: heat maps are drawn of methods on CLIP, and this is {run.settings.method}. "
            "Leave out --out-overlays and --out-strips."
        )
