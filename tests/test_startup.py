"""What stages load before they work: most of a cheap stage's time would be imports."""

import subprocess
import sys

import pytest

from dfer import provenance

TORCH = {"torch"}  # about 1.3 seconds
CLIP = {"open_clip", "timm", "torchvision"}  # 2 more with all that they load
RENDERER = {"cv2", "numba", "av", "pandas"}
SCIENCE = {"sklearn", "scipy", "matplotlib", "optuna"}
READERS = {"cv2", "decord", "dlib"}

# Stage → packages that it may not load when it starts. What is needed for some settings alone is
# loaded where they say so.
WITHOUT = {
    "dfer.analysis.features": CLIP | SCIENCE,
    "dfer.analysis.maps": CLIP | {"sklearn", "optuna"},
    "dfer.dag.gpu": TORCH | RENDERER | SCIENCE | {"numpy"},
    "dfer.demo.contact_sheet": TORCH | SCIENCE | {"numba", "pandas"},
    "dfer.demo.face_model": TORCH | RENDERER | SCIENCE,
    "dfer.demo.render": TORCH | RENDERER | SCIENCE,
    "dfer.predict.__main__": TORCH | SCIENCE | {"dlib", "numba"},
    "dfer.prepare.align": TORCH | SCIENCE | {"dlib", "numba"},
    "dfer.prepare.extract": TORCH | SCIENCE | {"dlib", "numba"},
    "dfer.prepare.manifest": TORCH | SCIENCE | READERS,
    "dfer.prepare.splits": TORCH | SCIENCE | READERS,
    "dfer.sharing.upload": TORCH | SCIENCE | READERS,
    "dfer.tables.summary": TORCH | SCIENCE | READERS,
    "dfer.tables.table": TORCH | SCIENCE | READERS,
    "dfer.training.evaluate": CLIP | SCIENCE,
    "dfer.training.text": CLIP | SCIENCE | READERS,
    "dfer.training.train": CLIP | SCIENCE,
}


@pytest.mark.slow
@pytest.mark.parametrize("stage", WITHOUT)
def test_a_stage_does_not_load_what_it_may_not_need(stage):
    program = f"import sys, {stage}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) & WITHOUT[stage] == set()
    assert stage in provenance.modules(stage)  # the name is of a stage of ours
