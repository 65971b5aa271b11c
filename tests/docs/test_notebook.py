"""The notebook runs from its first cell to its last, on a small run, a video and a table."""

import re
from importlib.util import find_spec

import av
import numpy as np
import pandas as pd
import pytest
from checkout import ROOT
from skimage import data
from small_run import CLASSES, small_run

from dfer.files import write_parquet
from dfer.models.checkpoint import save_run
from dfer.tables import reported
from dfer.tables.numbers import NUMBERS, numbers
from dfer.tables.summary import SUMMARY

PATH = ROOT / "docs/predict.ipynb"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not find_spec("ipykernel"), reason="`make docs` installs Jupyter's kernel"),
]


@pytest.fixture
def executed(tmp_path, monkeypatch):
    """The outputs of its cells of code."""
    import nbformat
    from nbclient import NotebookClient

    save_run(small_run(), tmp_path / "run/checkpoint.safetensors")
    face = data.astronaut()[0:200, 130:330]
    with av.open(str(tmp_path / "clip.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 200, 200, "yuv420p"
        for light in np.linspace(0.8, 1.0, 16):
            frame = av.VideoFrame.from_ndarray((face * light).astype(np.uint8))
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    empty = pd.DataFrame(columns=SUMMARY.names)
    table = numbers(1, reported.read(ROOT / "config/reported.csv"), empty, None, {}, {}, {}, "")
    write_parquet(table, tmp_path / "table1.parquet", NUMBERS)
    monkeypatch.setenv("DFER_RUN", str(tmp_path / "run"))
    monkeypatch.setenv("DFER_CLIP", str(tmp_path / "clip.mp4"))
    monkeypatch.setenv("DFER_TABLE", str(tmp_path / "table1.parquet"))
    notebook = nbformat.read(PATH, as_version=4)
    where = {"metadata": {"path": str(PATH.parent)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def test_it_predicts_plots_and_counts(executed):
    _, _, predicted, plotted, counted, _ = executed
    shown = predicted[0].data["text/html"]
    assert shown.count("<tr") == 1 + 14  # 0.64 s in windows of 0.12 s, one every 0.04 s
    assert all(f"<th>{name}</th>" in shown for name in CLASSES)
    assert "cannot" not in shown and "no face" not in shown
    assert "image/png" in plotted[0].data
    assert "reported" in counted[0].data["text/plain"]


def test_what_is_committed_was_measured_on_the_demo_and_names_no_machine():
    text = PATH.read_text(encoding="utf-8")
    assert "**synthetic**" in text
    assert not re.search(r"[\"' (>]/(home|root|tmp|usr|work)\b", text)
